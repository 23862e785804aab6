"""Postgres: the embedded server and its guard, the database URL, Django's backend with deadlines."""
