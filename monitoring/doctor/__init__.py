"""The doctor: examines an installation from the database to the proxy, and says what to do about each finding."""
