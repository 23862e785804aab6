"""Processes of the service: programs, launcher, addresses, devices, banner."""
