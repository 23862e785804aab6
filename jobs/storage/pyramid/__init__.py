"""Pyramids: pictures cut into tiles at every half of their size, for viewers of what no browser can hold or read."""
