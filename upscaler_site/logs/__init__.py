"""Log lines: format, request ids, access log."""
