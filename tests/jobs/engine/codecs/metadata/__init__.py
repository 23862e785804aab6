"""The data beside the pixels: EXIF, XMP, IPTC, texts."""
