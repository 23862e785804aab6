"""The web server: connections with deadlines, bodies read before a thread is given, WSGI behind."""
