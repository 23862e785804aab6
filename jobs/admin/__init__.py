"""The jobs room in Django's admin: what staff see and do. Importing the pages registers them."""

from jobs.admin import api_keys, audit, batches, jobs, login, usage, webhooks, workers

__all__ = ["api_keys", "audit", "batches", "jobs", "login", "usage", "webhooks", "workers"]
