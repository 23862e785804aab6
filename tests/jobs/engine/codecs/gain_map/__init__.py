"""Tests of jobs/engine/codecs/gain_map."""
