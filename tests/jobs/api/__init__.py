"""The job API's own units; tests/api calls the running service."""
