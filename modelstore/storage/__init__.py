"""Weights files on disk: paths, checksums, partial files, room, deletion."""
