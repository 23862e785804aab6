"""Commands of the model store."""
