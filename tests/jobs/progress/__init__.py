"""Waiting for a job, its events, its time left."""
