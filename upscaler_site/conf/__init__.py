"""Settings: environment variables read once, defaults, secret key, data directory."""
