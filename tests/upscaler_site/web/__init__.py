"""The web server: real sockets against real processes."""
