"""Picture files to pixels and back: formats, metadata, colour."""
