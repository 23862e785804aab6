"""Serializers of the jobs' endpoints: shapes only; meaning is checked by the domain."""
