"""Tests of jobs/engine/codecs/jpeg."""
