"""The command line's own pieces: inputs and weights."""
