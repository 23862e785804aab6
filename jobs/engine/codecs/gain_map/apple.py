"""Apple's gain maps, brought to the form that everybody reads: a map of logarithms with its parameters beside it.

Source: "Applying Apple HDR effect to your photos", developer.apple.com. There HDR = SDR · (1 + (headroom - 1) · map) in
linear light, and the map is coded by the curve of Rec. 709. Here HDR = SDR · 2 ** (stops · map).
"""

import math
import re
import struct

import numpy as np

from jobs.engine.codecs.gain_map.parameters import iso_block, packet
from jobs.engine.codecs.metadata.xmp_outline import Unreadable, value
from jobs.engine.types import Frame, GainMap

NAMESPACE = "http://ns.apple.com/HDRGainMap/1.0/"
_MAKER = b"Apple iOS\0\0\x01MM"
_HEADROOM, _GAIN = 0x21, 0x30
_SIGNED_RATIONAL = 10
#: No screen and no camera goes beyond 16 stops; a larger number is a broken file.
_MOST_HEADROOM = 65_536.0
_NUMBER = re.compile(rb"HDRGainMapHeadroom\s*(?:=\s*[\"']|>)\s*([0-9.]{1,20})")


def converted(frame: Frame, headroom: float) -> GainMap:
    """Return Apple's map, (h, w, 1) uint8, as one of logarithms; its steps are then at most 1/255 of the stops.

    :param headroom: how much brighter than SDR white the brightest place is, above 1.
    """
    coded = np.arange(256) / 255
    # Rec. ITU-R BT.709-6, 1.2, inverted.
    light = np.where(coded < 0.081, coded / 4.5, ((coded + 0.099) / 1.099) ** (1 / 0.45))
    stops = math.log2(headroom)
    table = np.rint(np.log2(1 + (headroom - 1) * light) / stops * 255).astype(np.uint8)  # (256,)
    return GainMap(frame=Frame(color=table[frame.color]), xmp=packet(stops), iso=iso_block(stops))


def headroom(xmp: bytes | None, exif: bytes | None) -> float | None:
    """Return the headroom that the map's packet names, else that of the camera's note in the EXIF bytes; None without.

    Maps of version 1 have it in the note alone, as two numbers.
    """
    named = None
    try:
        named = value(xmp, NAMESPACE, "HDRGainMapHeadroom") if xmp else None
        found = float(named) if named else _from_note(exif or b"")
    except (Unreadable, ValueError):
        return None
    return found if found is not None and 1.0 < found <= _MOST_HEADROOM else None


def headroom_in(data: bytes) -> float | None:
    """Return the headroom of a packet that stands anywhere in a file's bytes: HEIC stores it as it is."""
    match = _NUMBER.search(data)
    try:
        found = float(match[1]) if match else 0.0
    except ValueError:
        return None
    return found if 1.0 < found <= _MOST_HEADROOM else None


def _from_note(exif: bytes) -> float | None:
    """Compute the headroom by Apple's own pieces of lines."""
    numbers = _note(exif)
    if _HEADROOM not in numbers or _GAIN not in numbers:
        return None
    first, second = numbers[_HEADROOM], numbers[_GAIN]
    if first < 1.0:
        stops = -20.0 * second + 1.8 if second <= 0.01 else -0.101 * second + 1.601
    else:
        stops = -70.0 * second + 3.0 if second <= 0.01 else -0.303 * second + 2.303
    return math.pow(2.0, min(max(stops, 0.0), 16.0))


def _note(exif: bytes) -> dict[int, float]:
    """Return the fractions of Apple's maker note: a directory like those of TIFF, counted from the note's begin."""
    start = exif.find(_MAKER)
    note = exif[start:] if start >= 0 else b""
    at = len(_MAKER)
    found = {}
    for _ in range(min(int.from_bytes(note[at : at + 2], "big"), 500)):
        entry = note[at + 2 : at + 14]
        at += 12
        if len(entry) < 12:
            break
        tag, kind, count, offset = struct.unpack(">HHII", entry)
        if kind == _SIGNED_RATIONAL and count == 1 and offset + 8 <= len(note):
            above, below = struct.unpack_from(">ii", note, offset)
            if below:
                found[tag] = above / below
    return found
