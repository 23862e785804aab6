"""Colour: pixels of any kind to gray or RGB, and what the numbers mean."""
