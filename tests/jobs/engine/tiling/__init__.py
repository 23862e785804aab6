"""Tiles, the canvas, and what they cost."""
