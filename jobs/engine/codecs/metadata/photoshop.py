"""Photoshop's image resources, in which JPEG and old PNG files carry IPTC (Photoshop File Formats Specification)."""

from collections.abc import Iterator

#: The resource that holds an IPTC-NAA record.
IPTC = 0x0404


def resource(data: bytes, wanted: int) -> bytes | None:
    """Return the bytes of the first resource of that number; None without it."""
    return next(resources(data, wanted), None)


def resources(data: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the bytes of all resources of that number in a chain: 8BIM, number, padded name, size, padded data."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name = data[at + 6] + 1
        at += 6 + name + name % 2
        size = int.from_bytes(data[at : at + 4], "big")
        if number == wanted and data[at + 4 : at + 4 + size]:
            yield data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2


def iptc_resource(iptc: bytes) -> bytes:
    """Return the bytes of a resource that holds this IPTC record."""
    return b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + b"\0" * (len(iptc) % 2)
