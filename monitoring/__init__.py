"""Monitoring: tells people whether the service is well."""
