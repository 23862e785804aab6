"""Tests: sentences about behaviour, against real databases, processes, files and HTTP."""
