"""Files that are valid and not read: their true name, instead of "broken" or "no image"."""

import os
from typing import IO

from jobs.engine.codecs.tiff import directories

#: First bytes, where they stand, and what such a file is.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"II\xbc\x01", "a JPEG XR picture"),
    (0, b"v/1\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"#?RGBE", "a Radiance HDR picture"),
    (0, b"DDS ", "a DirectDraw surface"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"OggS", "an Ogg file"),
    (0, b"FLV\1", "a Flash video"),
    (0, b"qoif", "a QOI picture"),
    (0, b"PK\3\4", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\7", "a RAR archive"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftypqt", "a QuickTime video"),
    (4, b"ftypisom", "an MP4 video"),
    (4, b"ftypmp4", "an MP4 video"),
    (4, b"ftypM4V", "an MP4 video"),
    (4, b"ftyp3g", "a 3GP video"),
    (0, b"<html", "a web page"),
    (0, b"<!DOCTYPE html", "a web page"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"P1\n", "a PBM picture"), (0, b"P2\n", "a PGM picture"), (0, b"P3\n", "a PPM picture"),
    (0, b"P4\n", "a PBM picture"), (0, b"P5\n", "a PGM picture"), (0, b"P6\n", "a PPM picture"),
)  # fmt: skip
#: Camera files that do not begin as a TIFF of others does.
_RAW_SIGNATURES = (
    (0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"FOVb"), (0, b"\0MRM"),
    (4, b"ftypcrx "), (6, b"HEAPCCDR"), (8, b"CR\2\0"),
)  # fmt: skip
RAW = "the file is a camera's raw file: develop it first, and send the picture as TIFF or as PNG of 16 bit"
#: TIFF's compressions by number (TIFF 6.0 and libtiff's list).
_COMPRESSIONS = {
    2: "CCITT", 3: "CCITT group 3", 4: "CCITT group 4", 6: "old-style JPEG", 32809: "ThunderScan", 34661: "JBIG",
    34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34892: "DNG's lossy JPEG",
    34925: "LZMA", 34933: "PNG", 34934: "JPEG XR", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_COMMON_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)
#: Frames of JPEG that libjpeg does not decode (ITU-T T.81, table B.1).
_JPEG_FRAMES = {
    0xC3: "lossless JPEG", 0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "lossless JPEG",
    0xC9: "JPEG with arithmetic coding", 0xCA: "JPEG with arithmetic coding", 0xCB: "lossless JPEG",
    0xF7: "JPEG-LS", 0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "lossless JPEG",
}  # fmt: skip
_MOST_SEGMENTS = 1000


def is_raw(head: bytes) -> bool:
    """Return True if the first bytes, 64 or more, are those of a camera's raw file that is no plain TIFF."""
    return any(head[at : at + len(sign)] == sign for at, sign in _RAW_SIGNATURES)


def named(head: bytes) -> str | None:
    """Return what a file that is none of our formats is, by its first bytes, 256 or so; None if unknown."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<?xml") and b"<svg" in head:
        return "an SVG drawing"
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and head[4:6] != b"\0\0":  # at least one picture
        return "an icon (ICO)" if head[2] == 1 else "a cursor (CUR)"
    if len(head) >= 18 and head[1] < 2 and head[2] in (1, 2, 3, 9, 10, 11) and head[16] in (8, 15, 16, 24, 32):
        return "a Targa picture (TGA)"
    if head[:1] == b"\x0a" and head[1:3] in (b"\0\1", b"\2\1", b"\3\1", b"\4\1", b"\5\1"):
        return "a PCX picture"
    for at, sign, name in _SIGNATURES:
        if head[at : at + len(sign)] == sign or (at == 0 and sign[:1] == b"<" and text.startswith(sign)):
            return name
    return None


def obstacle(name: str, file: IO[bytes]) -> str | None:
    """Return why a file that looks valid cannot be read, as the end of a sentence; None where it is broken.

    :param name: our name of the format; ``file`` stands anywhere and is put back there, in bytes.
    """
    if name == "tiff":
        compression = directories.read(file).compression
        if compression in _COMMON_COMPRESSIONS:
            return None
        return f"its pixels are packed by {packing(compression)}"
    return _jpeg_frame(file) if name == "jpeg" else None


def packing(compression: int) -> str:
    """Return the name of a TIFF's compression that is not read, from the number in its tag."""
    return _COMPRESSIONS.get(compression, f"compression {compression}")


def _jpeg_frame(file: IO[bytes]) -> str | None:
    """Follow the segments to the frame header (T.81, B.2.2) and name a kind that is not read."""
    before = file.tell()
    size, at = file.seek(0, os.SEEK_END), 2
    found = None
    for _ in range(_MOST_SEGMENTS):
        file.seek(at)
        head = file.read(5)
        if len(head) < 5 or head[0] != 0xFF or at >= size:
            break
        marker = head[1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            bits = head[4]
            found = _JPEG_FRAMES.get(marker) or (f"JPEG of {bits} bit per channel" if bits != 8 else None)
            break
        at += 2 + int.from_bytes(head[2:4], "big")
    file.seek(before)
    return f"it is {found}" if found else None
