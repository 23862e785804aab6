"""Devices, precisions and the ways to compute."""
