"""Files to pictures and back: the two doors of the codec."""

from jobs.engine.decoding import decode
from jobs.engine.encoding import encode

__all__ = ["decode", "encode"]
