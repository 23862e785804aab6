"""Tests of the site: configuration, database, processes, web server, logs."""
