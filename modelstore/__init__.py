"""The model store: what a model is, where its weights come from, and that they are genuine."""
