"""The engine: pure image-to-image upscaling, pixels in and pixels out. No Django, no settings, no environment, no network."""
