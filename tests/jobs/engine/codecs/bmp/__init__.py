"""BMP: pixels."""
