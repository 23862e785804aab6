"""The command `upscale`."""
