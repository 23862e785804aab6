"""Weights on the disk."""
