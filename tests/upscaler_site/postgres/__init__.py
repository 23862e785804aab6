"""The embedded Postgres and the database backend."""
