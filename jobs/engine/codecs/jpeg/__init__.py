"""JPEG: the segments beside its pixels, read and written; several pictures in one file."""
