"""Tests of the admin: what staff see, and what they may do."""
