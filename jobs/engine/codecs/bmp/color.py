"""The colour of a BMP, which Pillow does not read: a profile, or gamma and chromaticities, of the headers V4 and V5.

Microsoft's BITMAPV4HEADER and BITMAPV5HEADER: numbers little-endian, counted from the header, byte 14 of the file.
"""

import struct
from typing import IO

from jobs.engine.types import Metadata

_HEADER = 14
_V4, _V5 = 108, 124
_SPACE, _ENDPOINTS, _GAMMA, _PROFILE = 56, 60, 96, 112
_CALIBRATED, _EMBEDDED = 0, int.from_bytes(b"MBED", "big")
_MOST_PROFILE = 64 << 20
Triple = tuple[float, float, float]


def color(file: IO[bytes]) -> Metadata:
    """Return the header's colour: a profile's bytes, or gamma and chromaticities. The position is restored."""
    before = file.tell()
    file.seek(_HEADER)
    head = file.read(_V5)
    found = Metadata()
    if len(head) >= _V4 and int.from_bytes(head[:4], "little") >= _V4:
        (space,) = struct.unpack_from("<I", head, _SPACE)
        if space == _CALIBRATED:
            found = _calibrated(head)
        elif space == _EMBEDDED and len(head) >= _V5:
            at, size = struct.unpack_from("<II", head, _PROFILE)
            file.seek(_HEADER + at)
            profile = file.read(min(size, _MOST_PROFILE))
            found = Metadata(icc=profile if len(profile) == size else None)
    file.seek(before)
    return found


def _calibrated(head: bytes) -> Metadata:
    """Read CIE XYZ of red, green and blue (2.30 fixed point), whose sum is white, and three gammas (16.16)."""
    values = [value / (1 << 30) for value in struct.unpack_from("<9i", head, _ENDPOINTS)]
    red, green, blue = ((values[at], values[at + 1], values[at + 2]) for at in (0, 3, 6))
    white = (red[0] + green[0] + blue[0], red[1] + green[1] + blue[1], red[2] + green[2] + blue[2])
    points = [_xy(point) for point in (white, red, green, blue)]
    gammas = [value / (1 << 16) for value in struct.unpack_from("<3I", head, _GAMMA)]
    gamma = 1 / gammas[1] if 0.2 < gammas[1] < 10 and max(gammas) - min(gammas) < 0.01 else None
    if any(point is None for point in points):
        return Metadata(gamma=gamma)
    return Metadata(gamma=gamma, chromaticities=tuple(value for point in points if point for value in point))


def _xy(point: Triple) -> tuple[float, float] | None:
    total = sum(point)
    return (point[0] / total, point[1] / total) if total > 0 and point[1] > 0 else None
