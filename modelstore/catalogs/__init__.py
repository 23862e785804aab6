"""The operator's own catalogues: a file beside the data, and one at an address. Read, checked, and merged."""
