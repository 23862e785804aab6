"""The operator's own catalogues."""
