"""From a request or an address to rows and files: everything is checked before anything stays."""
