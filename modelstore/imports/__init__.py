"""Weights files that people bring: inspected, registered, and refused by name."""
