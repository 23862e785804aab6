"""Downloads from servers that lie."""
