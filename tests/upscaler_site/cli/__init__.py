"""The installed command `upscaler`."""
