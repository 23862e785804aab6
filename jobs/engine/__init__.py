"""The engine: pure image-to-image upscaling. No Django, no settings, no environment, no network connection."""
