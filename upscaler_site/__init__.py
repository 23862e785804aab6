"""The composition root: settings, URLs, the error contract. Imported by nobody."""
