"""BMP: pixels of every kind, and colour."""
