"""The description of the primary picture, among those of thumbnails, alpha and gain maps."""

import io
import random
import struct

import pytest

from jobs.engine.codecs import isobmff
from jobs.engine.types import Cicp, LightLevel, MasteringDisplay


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def nclx(primaries: int, transfer: int, matrix: int = 6, *, full: bool = True) -> bytes:
    return box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, matrix, 0x80 if full else 0))


PROFILE = box(b"colr", b"prof" + bytes(128))
CLLI = box(b"clli", struct.pack(">HH", 1000, 400))
MDCV = box(b"mdcv", struct.pack(">8H2I", 13250, 34500, 7500, 3000, 34000, 16000, 15635, 16450, 10_000_000, 50))


def heif(
    properties: list[bytes], links: dict[int, list[int]], *, primary: int, version: int = 0, wide: bool = False
) -> bytes:
    size = ">I" if version else ">H"
    entries = b"".join(
        struct.pack(size, item)
        + bytes((len(numbers),))
        + b"".join(struct.pack(">H", number | 0x8000) if wide else bytes((number | 0x80,)) for number in numbers)
        for item, numbers in links.items()
    )
    ipma = box(b"ipma", bytes((version, 0, 0, wide)) + struct.pack(">I", len(links)) + entries)
    pitm = box(b"pitm", bytes((version, 0, 0, 0)) + struct.pack(size, primary))
    meta = box(b"meta", bytes(4) + pitm + box(b"iprp", box(b"ipco", b"".join(properties)) + ipma))
    return box(b"ftyp", b"avif" + bytes(4)) + meta + box(b"mdat", bytes(40))


def described(data: bytes) -> isobmff.Description:
    return isobmff.describe(io.BytesIO(data))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [False, True])
def test_the_primary_item_counts(version: int, wide: bool) -> None:
    properties = [nclx(1, 13), nclx(9, 16), PROFILE, CLLI, MDCV]
    data = heif(properties, {1: [1, 3], 2: [2, 4, 5]}, primary=2, version=version, wide=wide)
    found = described(data)
    assert found.color is not None
    assert (found.color.cicp, found.has_profile) == (Cicp(9, 16), False)
    assert found.light == LightLevel(1000, 400)
    xy = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    assert found.mastering == MasteringDisplay(xy, 1000.0, 0.005)
    other = described(heif(properties, {1: [1, 3], 2: [2]}, primary=1, version=version, wide=wide))
    assert other.color is not None
    assert (other.color.cicp, other.has_profile) == (Cicp(1, 13), True)


def test_a_grid_takes_the_colour_of_its_tiles() -> None:
    found = described(heif([nclx(12, 13)], {2: [1]}, primary=1))
    assert found.color is not None
    assert found.color.cicp == Cicp(12, 13)


def test_range_and_matrix_are_told() -> None:
    found = described(heif([nclx(9, 18, 9, full=False)], {1: [1]}, primary=1)).color
    assert found is not None
    assert (found.matrix, found.full_range) == (9, False)


def test_code_points_are_written_into_every_box_and_nothing_else_changes() -> None:
    data = heif([nclx(1, 13), nclx(2, 2, 0)], {1: [1], 2: [2]}, primary=1)
    file = io.BytesIO(data)
    assert isobmff.write_code_points(file, Cicp(9, 16))
    assert {found.cicp for found in isobmff.color_boxes(file)} == {Cicp(9, 16)}
    assert [found.matrix for found in isobmff.color_boxes(file)] == [6, 0]
    changed = [at for at, (old, new) in enumerate(zip(data, file.getvalue(), strict=True)) if old != new]
    assert len(changed) == 4
    assert not isobmff.write_code_points(io.BytesIO(b"no boxes here"), Cicp(9, 16))


def test_random_damage_is_never_an_error() -> None:
    random.seed(5)
    whole = heif([nclx(1, 13), nclx(9, 16), PROFILE, CLLI, MDCV], {1: [1, 3], 2: [2, 4, 5]}, primary=2)
    for _ in range(3000):
        data = bytearray(whole[: random.randrange(len(whole))] if random.random() < 0.3 else whole)
        for _ in range(random.randrange(1, 8)):
            if data:
                data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0xFF, random.randrange(256)))
        described(bytes(data))
