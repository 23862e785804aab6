"""The whole service, as a user meets it."""
