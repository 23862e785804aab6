"""Pieces of the command line: inputs, plans, weights, and pictures upscaled by the process itself."""
