"""One upload to its job: admission, idempotency, files, row."""
