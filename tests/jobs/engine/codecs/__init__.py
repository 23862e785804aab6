"""Pictures in, pictures out: formats, depth, colour, metadata."""
