"""The meaning of a picture's numbers: CICP code points, gamma and chromaticities, and ICC profiles equal to them.

Primaries and transfer functions: ITU-T H.273 (07/2024), tables 2 and 3. Profiles: ICC.1:2022 (version 4.4), whose cicp
tag (9.2.17) carries the code points themselves; SMPTE ST 2084 and BT.2100 for PQ and HLG; BT.2408 for reference white.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.types import Cicp, Metadata

Numbers = NDArray[np.float64]
Chromaticities = tuple[float, ...]

#: BT.709's primaries with the transfer function of IEC 61966-2-1.
SRGB = Cicp(1, 13)
PQ, HLG, LINEAR = 16, 18, 8

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
#: White, then red, green, blue, as CIE x, y (H.273, table 2).
_PRIMARIES: dict[int, Chromaticities] = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
SRGB_XY = _PRIMARIES[1]
_PRIMARIES_NAMES = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_TRANSFER_NAMES = {1: "BT.709", 8: "linear", 13: "sRGB", PQ: "PQ", HLG: "HLG"}
#: cd/m² of diffuse white in a PQ picture (BT.2408, 3.2); an HLG signal of 0.75 is as bright.
_REFERENCE_WHITE = 203.0


def _pq(signal: Numbers) -> Numbers:
    """Return light in units of 10,000 cd/m² for a PQ signal of 0 to 1 (ST 2084, 5.1)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    result: Numbers = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return result


def _hlg(signal: Numbers) -> Numbers:
    """Return scene light of 0 to 1 for an HLG signal of 0 to 1 (BT.2100, table 5)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _bt709(signal: Numbers) -> Numbers:
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))


def _srgb(signal: Numbers) -> Numbers:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _smpte240(signal: Numbers) -> Numbers:
    return np.where(signal < 4 * 0.0228, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


def _log(decades: float) -> Callable[[Numbers], Numbers]:
    return lambda signal: np.where(signal <= 0, 0.0, 10 ** ((signal - 1) * decades))


def _power(exponent: float) -> Callable[[Numbers], Numbers]:
    return lambda signal: signal**exponent


#: Light of 0 to 1 by a signal of 0 to 1 (H.273, table 3). PQ and HLG: 1 is reference white, what is brighter is cut.
_TO_LIGHT: dict[int, Callable[[Numbers], Numbers]] = {
    1: _bt709,
    4: _power(2.2),
    5: _power(2.8),
    6: _bt709,
    7: _smpte240,
    LINEAR: _power(1.0),
    9: _log(2.0),
    10: _log(2.5),
    11: _bt709,
    13: _srgb,
    14: _bt709,
    15: _bt709,
    PQ: lambda signal: np.minimum(_pq(signal) * 10_000 / _REFERENCE_WHITE, 1),
    17: lambda signal: np.minimum(signal**2.6 * 52.37 / 48, 1),
    HLG: lambda signal: np.minimum(_hlg(signal) / _hlg(np.float64(0.75)), 1),  # type: ignore[arg-type] # a scalar is one
}


def is_hdr(meta: Metadata) -> bool:
    """Return True for the transfer functions PQ and HLG, whose upper range is brighter than white."""
    return meta.cicp is not None and meta.cicp.transfer in (PQ, HLG)


def is_linear(meta: Metadata) -> bool:
    """Return True where the numbers are amounts of light: by code points, by the profile's curve, or by gamma."""
    if meta.cicp:
        return meta.cicp.transfer == LINEAR
    if meta.icc:
        return _curve_is_linear(meta.icc)
    return meta.gamma is not None and 0.95 < meta.gamma < 1.05


def _curve_is_linear(icc: bytes) -> bool:
    """Return True if a profile's red or gray curve is the identity: an empty table, or a power of 1 (10.6, 10.18)."""
    for at in range(132, min(len(icc), 132 + 12 * 100) - 11, 12):
        name, offset, size = struct.unpack_from(">4sII", icc, at)
        if name not in (b"rTRC", b"kTRC"):
            continue
        curve = icc[offset : offset + min(size, 16)]
        if curve[:4] == b"curv" and len(curve) >= 12:
            (count,) = struct.unpack_from(">I", curve, 8)
            return bool(count == 0 or (count == 1 and curve[12:14] == b"\x01\0"))
        return curve[:4] == b"para" and curve[8:10] == b"\0\0" and curve[12:16] == b"\0\x01\0\0"
    return False


def name_of(cicp: Cicp) -> str:
    """Return the code points in words, such as "BT.2020 PQ"."""
    primaries = _PRIMARIES_NAMES.get(cicp.primaries, f"primaries {cicp.primaries}")
    transfer = _TRANSFER_NAMES.get(cicp.transfer, f"transfer {cicp.transfer}")
    return primaries if cicp == Cicp(12, 13) else f"{primaries} {transfer}"


def equal_profile(meta: Metadata, channels: int) -> bytes | None:
    """Return the bytes of an ICC profile for formats that know nothing else; None where sRGB needs none.

    :param channels: of the colour, 1 or 3.
    """
    if meta.icc:
        return meta.icc
    if meta.cicp:
        return None if meta.cicp == SRGB else profile_of_cicp(meta.cicp, channels)
    if meta.gamma is None and meta.chromaticities is None:
        return None
    gamma, xy = meta.gamma, meta.chromaticities or SRGB_XY
    plain = gamma is None or abs(gamma - 0.45455) < 0.0005
    if plain and all(abs(one - two) < 0.001 for one, two in zip(xy, SRGB_XY, strict=True)):
        return None  # browsers take exactly this for sRGB (PNG specification, third edition, 4.3)
    name = "gamma and chromaticities" if meta.chromaticities else "gamma"
    curve = _SRGB_CURVE if gamma is None else _function(0, 1 / gamma)
    return _profile(f"PNG {name}", xy, curve, channels)


def rgb_profile(meta: Metadata) -> bytes | None:
    """Return the bytes of a profile for RGB numbers, also where the picture is gray; None where sRGB needs none.

    A gray profile is one curve: of equal red, green and blue an RGB profile of that curve makes the same gray.
    """
    icc = equal_profile(meta, 3)
    if icc is None or icc[16:20] != b"GRAY":
        return icc
    curve = _tag(icc, b"kTRC")
    return _profile("gray", SRGB_XY, curve, 3) if curve else None


def _tag(icc: bytes, wanted: bytes) -> bytes | None:
    """Return a tag's bytes (7.3); None without it."""
    for at in range(132, min(len(icc), 132 + 12 * 100) - 11, 12):
        name, offset, size = struct.unpack_from(">4sII", icc, at)
        if name == wanted:
            return icc[offset : offset + size] if offset + size <= len(icc) else None
    return None


def profile_of_cicp(cicp: Cicp, channels: int) -> bytes | None:
    """Return the bytes of a profile equal to code points, for 1 or 3 channels; None where H.273 reserves them."""
    if cicp.primaries not in _PRIMARIES or cicp.transfer not in _TO_LIGHT:
        return None
    curve = _parametric(cicp.transfer) or _table(_TO_LIGHT[cicp.transfer])
    tag = b"cicp\0\0\0\0" + bytes((cicp.primaries, cicp.transfer, 0, 1))
    return _profile(name_of(cicp), _PRIMARIES[cicp.primaries], curve, channels, cicp=tag)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _parametric(transfer: int) -> bytes | None:
    if transfer == 13:
        return _SRGB_CURVE
    if transfer in (1, 6, 11, 14, 15):
        return _function(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
    exponent = {4: 2.2, 5: 2.8, LINEAR: 1.0}.get(transfer)
    return None if exponent is None else _function(0, exponent)


def _function(kind: int, *parameters: float) -> bytes:
    """Return a parametricCurveType's bytes (10.18): 0 is a power, 3 a power with a linear beginning."""
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(_fixed(value) for value in parameters)


_SRGB_CURVE = _function(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _table(to_light: Callable[[Numbers], Numbers]) -> bytes:
    """Return a curveType's bytes (10.6): 4096 samples of 16 bit, as littleCMS takes them at most."""
    samples = np.rint(np.clip(to_light(np.linspace(0.0, 1.0, 4096)), 0, 1) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(samples)) + samples.tobytes()


def _profile(name: str, xy: Chromaticities, curve: bytes, channels: int, cicp: bytes | None = None) -> bytes:
    """Return a display profile's bytes: matrix and curves for RGB (8.3.4), a curve alone for gray (8.3.5)."""
    white = _xyz(xy[0], xy[1])
    adapt = _bradford(white)
    tags = {b"desc": _text(name), b"cprt": _text("No copyright, use freely"), b"wtpt": _vector(_D50)}
    tags[b"chad"] = b"sf32\0\0\0\0" + b"".join(_fixed(value) for value in adapt.ravel())
    if channels == 1:
        tags[b"kTRC"] = curve
    else:
        columns = np.stack([_xyz(xy[at], xy[at + 1]) for at in (2, 4, 6)], axis=1)  # (3, 3)
        matrix = adapt @ (columns * np.linalg.solve(columns, white))
        for index, color in enumerate((b"r", b"g", b"b")):
            tags[color + b"XYZ"] = _vector(matrix[:, index])
            tags[color + b"TRC"] = curve
        if cicp:
            tags[b"cicp"] = cicp
    return _assembled(tags, b"RGB " if channels == 3 else b"GRAY")


_D50: Numbers = np.array([0.9642, 1.0, 0.8249])  # the profile connection space's white (7.2.16)
_CONE: Numbers = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _xyz(x: float, y: float) -> Numbers:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _bradford(white: Numbers) -> Numbers:
    """Return the (3, 3) matrix that adapts colours from a white to D50 (annex E)."""
    scale: Numbers = (_CONE @ _D50) / (_CONE @ white)
    result: Numbers = np.linalg.inv(_CONE) @ np.diag(scale) @ _CONE
    return result


def _vector(value: Any) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(float(number)) for number in value)


def _text(value: str) -> bytes:
    data = value.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Return header (7.2), tag table (7.3) and the tags' bytes; equal contents stand there once."""
    table, body = b"", b""
    places: dict[bytes, int] = {}
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        if content not in places:
            body += b"\0" * (-(start + len(body)) % 4)
            places[content] = start + len(body)
            body += content
        table += name + struct.pack(">II", places[content], len(content))
    body += b"\0" * (-(start + len(body)) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x04400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s4sI", 2026, 1, 1, 0, 0, 0, b"acsp", b"\0" * 4, 0) + b"\0" * 16
    head += struct.pack(">I", 1) + b"".join(_fixed(float(value)) for value in _D50)  # intent: relative colorimetric
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
