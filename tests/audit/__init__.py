"""Tests of health, system, figures, metrics and logs."""
