"""Tells people and machines whether the service is well: health, system, figures, Prometheus, the Operations page."""
