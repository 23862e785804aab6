"""XMP packets: small changes by pattern, so that what we do not know stays byte for byte. Pure bytes."""

import re

#: Properties of the namespace exif that tell where a picture was taken.
_GPS = rb"exif:GPS\w+"


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
    return re.sub(rb"<(xmp|xap):Thumbnails>.*?</\1:Thumbnails>", b"", xmp, flags=re.DOTALL)


def without_location(xmp: bytes) -> bytes:
    """Return the XMP bytes without the EXIF namespace's GPS properties, written as attributes or as elements."""
    xmp = re.sub(rb"\s" + _GPS + rb"\s*=\s*(\"[^\"]*\"|'[^']*')", b"", xmp)
    xmp = re.sub(rb"<(" + _GPS + rb")(?:\s[^>]*)?/>", b"", xmp)
    return re.sub(rb"<(" + _GPS + rb")(?:\s[^>]*)?>.*?</\1\s*>", b"", xmp, flags=re.DOTALL)
