"""TIFF: directories and pages."""
