"""PNG: chunks and pixels."""
