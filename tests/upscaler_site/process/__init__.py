"""Launcher and supervisor."""
