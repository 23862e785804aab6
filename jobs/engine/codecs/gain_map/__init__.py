"""Gain maps: found in files of every maker, brought to one form, claimed where they are written and only there."""
