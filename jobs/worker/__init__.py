"""One claimed job in a worker: execution, heartbeat, registration, previews."""
