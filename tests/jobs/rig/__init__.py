"""Faults for real cluster processes: settings and an app which a test names by DJANGO_SETTINGS_MODULE."""
