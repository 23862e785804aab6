"""The verbs of the querysets, against a real database."""
