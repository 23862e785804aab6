"""What is lost of a file that is cut short, damaged or unusual: each loss has its note."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.color.description import profile_of_cicp
from jobs.engine.types import Cicp, EncodeOptions
from tests.jobs.engine.codecs.samples import SRGB, chunk, png, read
from tests.jobs.engine.conftest import LIMITS, photo

GRAY_PROFILE = profile_of_cicp(Cicp(1, 16), 1)
LAB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
UNFITTING = "not kept: the colour profile, which is damaged or for pixels of another kind"
CREDENTIALS = "not kept: Content Credentials (C2PA), which are signed for the old pixels"


def saved(kind: str, channels: int = 3, **options: object) -> bytes:
    file = io.BytesIO()
    pixels = photo(40, 30, channels=channels)
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, kind, **options)
    return file.getvalue()


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(photo(40, 30, seed=seed)) for seed in range(3)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def with_segment(marker: int, content: bytes) -> bytes:
    data = saved("JPEG")
    return data[:2] + segment(marker, content) + data[2:]


def webp_with(name: bytes) -> bytes:
    data = saved("WEBP", icc_profile=SRGB)
    data += name + struct.pack("<I", 5) + b"12345\0"
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def tiff_with(tag: int, content: bytes) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory.tagtype[tag] = 7
    directory[tag] = content
    return saved("TIFF", tiffinfo=directory)


def damaged(name: bytes, content: bytes) -> bytes:
    made = chunk(name, content)
    return png(made[:-4] + bytes(4))


def first_icc_segment_of_two() -> bytes:
    return with_segment(0xE2, b"ICC_PROFILE\0\1\2" + SRGB[:100])


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "gray JPEG, RGB profile": (lambda: saved("JPEG", 1, icc_profile=SRGB), UNFITTING),
    "RGB JPEG, gray profile": (lambda: saved("JPEG", icc_profile=GRAY_PROFILE), UNFITTING),
    "RGB PNG, Lab profile": (lambda: saved("PNG", icc_profile=LAB_PROFILE), UNFITTING),
    "RGB WebP, no profile": (lambda: saved("WEBP", icc_profile=b"junk" * 50), UNFITTING),
    "JPEG, half a profile": (first_icc_segment_of_two, "not kept: the colour profile, of which a part is missing"),
    "PNG, damaged profile": (lambda: damaged(b"iCCP", b"x\0\0" + zlib.compress(SRGB)), "'iCCP', which is damaged"),
    "PNG, damaged text": (lambda: damaged(b"tEXt", b"Title\0x"), "'tEXt', which is damaged"),
    "JPEG, C2PA": (lambda: with_segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x20jumdc2pa"), CREDENTIALS),
    "WebP, C2PA": (lambda: webp_with(b"C2PA"), CREDENTIALS),
    "TIFF, C2PA": (lambda: tiff_with(52545, b"jumbf"), CREDENTIALS),
    "WebP, unknown chunk": (lambda: webp_with(b"ABCD"), "not kept: the WebP chunk 'ABCD'"),
    "GIF, cut in its last frame": (lambda: animated("GIF")[:-9], "not kept: a last frame, in which the file ends"),
    "TIFF, cut before its last page": (
        lambda: animated("TIFF")[:-3700],
        "not kept: further pages, before which the file ends",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_loss_is_named(tmp_path: Path, case: str) -> None:
    make, note = CASES[case]
    made = read(tmp_path, make())
    assert any(note in one for one in made.notes), made.notes
    assert "profile" not in case or made.metadata.icc is None


def test_what_is_whole_says_nothing(tmp_path: Path) -> None:
    for data in (
        saved("JPEG", icc_profile=SRGB), saved("PNG", icc_profile=SRGB), saved("WEBP", icc_profile=SRGB),
        saved("TIFF", icc_profile=SRGB), saved("JPEG", 1, icc_profile=GRAY_PROFILE), animated("GIF"), animated("TIFF"),
        animated("GIF")[:-1],  # the end mark alone is missing
    ):  # fmt: skip
        assert read(tmp_path, data).notes == ()


def test_pages_of_other_profiles_are_named(tmp_path: Path) -> None:
    first, second = (Image.fromarray(photo(40, 30, seed=seed)) for seed in (1, 2))
    first.info["icc_profile"] = SRGB
    second.encoderinfo = {"icc_profile": profile_of_cicp(Cicp(12, 13), 3)}
    first.save(tmp_path / "in", "TIFF", save_all=True, append_images=[second], icc_profile=SRGB)
    made = decode(tmp_path / "in", LIMITS)
    assert len(made.frames) == 2
    if made.notes:
        assert made.notes == ("not kept: colour profiles of pages that differ from the first one's",)
    else:  # this Pillow gives every page the first one's
        with Image.open(tmp_path / "in") as image:
            image.seek(1)
            assert image.info.get("icc_profile") == SRGB


def test_no_density_is_made_up(tmp_path: Path) -> None:
    exif = piexif.dump({"0th": {piexif.ImageIFD.Make: b"Camera"}})
    data = saved("JPEG", exif=exif)
    assert data[13:18] == b"\0\0\1\0\1"[:5] or b"JFIF" not in data[:20], "no unit"
    assert read(tmp_path, data).metadata.dpi is None
    assert read(tmp_path, saved("JPEG", exif=exif, dpi=(96, 96))).metadata.dpi == pytest.approx((96, 96))
    resolved = piexif.dump({"0th": {282: (300, 1), 283: (300, 1), 296: 2}})
    assert read(tmp_path, saved("JPEG", exif=resolved)).metadata.dpi == pytest.approx((300, 300))


def test_iptc_of_a_photoshop_block_in_a_tiff_is_read(tmp_path: Path) -> None:
    record = b"\x1c\x02\x78\0\x03cat"
    block = b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(record)) + record + b"\0"
    assert read(tmp_path, tiff_with(34377, block)).metadata.iptc == record


def test_a_cameras_software_stays_in_a_tiff(tmp_path: Path) -> None:
    exif = piexif.dump({"0th": {piexif.ImageIFD.Software: b"MyCamera 1.0"}})
    made = read(tmp_path, saved("JPEG", exif=exif))
    encode(made, tmp_path / "out", EncodeOptions(format="tiff", provenance="model 4x, upscaler 1.0"))
    with Image.open(tmp_path / "out") as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert (tags[305], tags[11]) == ("MyCamera 1.0", "model 4x, upscaler 1.0")
    plain = read(tmp_path, saved("PNG"))
    encode(plain, tmp_path / "out", EncodeOptions(format="tiff", provenance="model 4x, upscaler 1.0"))
    with Image.open(tmp_path / "out") as image:
        assert image.tag_v2[305] == "model 4x, upscaler 1.0"  # type: ignore[attr-defined]
    assert np.array_equal(decode(tmp_path / "out", LIMITS).frames[0].color, plain.frames[0].color)
