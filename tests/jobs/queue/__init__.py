"""Broker, sweeper, watchdog and what else tames the queue."""
