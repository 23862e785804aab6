"""The installed command `upscaler`: one program for people at a terminal and for scripts."""
