"""XMP packets: small changes in place, so that what we do not know stays byte for byte. Pure bytes.

Patterns here begin with a word and do not run on: on a hostile packet of 64 MiB, time must not grow with the square.
"""

import re
from collections.abc import Callable

from jobs.engine.codecs.metadata.xmp_outline import Property, Unreadable, without

_EXIF = "http://ns.adobe.com/exif/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"


def upright_xmp(xmp: bytes) -> bytes:
    """Return the XMP bytes with tiff:Orientation 1: it repeats EXIF's, and some viewers believe it first."""
    xmp = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\2", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\2", xmp)


def resized_xmp(xmp: bytes, width: int, height: int) -> bytes:
    """Return the XMP bytes with the new size in px, and without the old thumbnail.

    XMP repeats the size (tiff:ImageWidth, exif:PixelXDimension), and may carry a thumbnail of its own.
    """
    for names, size in (
        (b"tiff:ImageWidth|exif:PixelXDimension", width),
        (b"tiff:ImageLength|exif:PixelYDimension", height),
    ):
        new = rb"\g<1>%d\g<3>" % size
        xmp = re.sub(rb"((?:" + names + rb")\s*=\s*[\"'])\s*(\d+)\s*([\"'])", new, xmp)
        xmp = re.sub(rb"(<(?:" + names + rb")>)\s*(\d+)\s*(</)", new, xmp)
    return _without(xmp, lambda one: (one.namespace, one.name) == (_XMP, "Thumbnails"))


def without_location(xmp: bytes) -> bytes | None:
    """Return the XMP bytes without the EXIF namespace's GPS properties; None for a packet that may hide them."""
    try:
        return without(xmp, lambda one: one.namespace == _EXIF and one.name.startswith("GPS"))
    except Unreadable:
        return None if b"GPS" in xmp or b"\0" in xmp else xmp


def _without(xmp: bytes, unwanted: Callable[[Property], bool]) -> bytes:
    try:
        return without(xmp, unwanted)
    except Unreadable:
        return xmp
