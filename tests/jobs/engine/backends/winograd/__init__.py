"""The winograd backend: its build, its choice, its pixels against torch."""
