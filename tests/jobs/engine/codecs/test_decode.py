"""Format by property: what comes in must come out, on real files that other programs' encoders wrote."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import piexif
import pillow_heif
import pytest
from PIL import Image, ImageCms

from jobs.engine.codecs.decode import decode
from jobs.engine.codecs.encode import encode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Frame, Metadata, Picture
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x78\x00\x0bA red boat."
WRITABLE = ["png", "jpeg", "webp", "avif", "tiff"]


def exif(orientation: int = 1, *, width: int = 40, height: int = 30) -> bytes:
    """A camera's EXIF with GPS, a maker note and a thumbnail directory."""
    content = {
        "0th": {
            piexif.ImageIFD.Make: b"Camera",
            piexif.ImageIFD.Software: b"Firmware 1.2",
            piexif.ImageIFD.Orientation: orientation,
        },
        "Exif": {
            piexif.ExifIFD.DateTimeOriginal: b"2024:05:06 07:08:09",
            piexif.ExifIFD.PixelXDimension: width,
            piexif.ExifIFD.PixelYDimension: height,
            piexif.ExifIFD.MakerNote: bytes(range(64)),
        },
        "GPS": {piexif.GPSIFD.GPSLatitudeRef: b"N", piexif.GPSIFD.GPSLatitude: ((52, 1), (31, 1), (0, 1))},
    }
    return bytes(piexif.dump(content))


def read_exif(path: Path) -> dict[str, Any]:
    """The EXIF of a file by an independent reader."""
    with Image.open(path) as image:
        raw = image.info.get("exif")
    assert raw, "the file has no EXIF"
    return dict(piexif.load(raw if raw.startswith(b"Exif") else b"Exif\0\0" + raw))


def tile_of(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1)


def gray_profile() -> bytes:
    """A minimal valid gray profile (ICC.1:2022): header, white point, gray curve of gamma 2.2."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
    start = 128 + 4 + 24
    table = (
        struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", start, 20) + b"kTRC" + struct.pack(">II", start + 20, 14)
    )
    body = table + white + curve
    header = struct.pack(">I", 128 + len(body)) + b"\0\0\0\0" + bytes([2, 0x40, 0, 0]) + b"mntr" + b"GRAY" + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


# --- pixels


@pytest.mark.parametrize("name", ["png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "gray-alpha"])
def test_pixels_survive_a_lossless_format_exactly(tmp_path: Path, name: str, kind: str) -> None:
    pixels = photo(37, 23, channels=1 if kind.startswith("gray") else 3)
    alpha = photo(37, 23, channels=1, seed=5)[:, :, 0] if "alpha" in kind or kind == "rgba" else None
    path = tmp_path / f"out.{name}"
    options = EncodeOptions(format=name, lossless=True)  # type: ignore[arg-type]
    assert encode(picture(pixels, alpha), path, options) == name
    back = decode(path, LIMITS)
    color = back.frames[0].color
    if (name == "webp" and kind.startswith("gray")) or (name == "avif" and kind == "gray-alpha"):
        # WebP has no gray of its own, and AVIF's gray with alpha comes back as colour: the values are what counts.
        color = color[:, :, :1]
    assert difference(color, pixels) == 0
    if alpha is None:
        assert back.frames[0].alpha is None
    else:
        assert back.frames[0].alpha is not None
        assert difference(back.frames[0].alpha, alpha) == 0


@pytest.mark.parametrize("name", ["png", "tiff"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "gray-alpha"])
def test_sixteen_bits_survive(tmp_path: Path, name: str, kind: str) -> None:
    pixels = photo(37, 23, channels=1 if kind.startswith("gray") else 3, bits=16)
    alpha = photo(37, 23, channels=1, bits=16, seed=5)[:, :, 0] if "alpha" in kind or kind == "rgba" else None
    path = tmp_path / f"out.{name}"
    assert encode(picture(pixels, alpha, fmt=name), path) == name
    header = probe(path, LIMITS)
    assert header.bits == 16
    assert header.alpha is (alpha is not None)
    back = decode(path, LIMITS)
    assert back.bits == 16
    color = back.frames[0].color
    assert difference(color, pixels) == 0
    if alpha is not None:
        assert back.frames[0].alpha is not None
        assert difference(back.frames[0].alpha, alpha) == 0


def test_sixteen_bits_are_decided_by_the_file_not_by_its_pixels(tmp_path: Path) -> None:
    dark = (photo(20, 20) // 2).astype(np.uint16)  # no value above 127: the reference takes this for 8 bit
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    back = decode(tmp_path / "dark.png", LIMITS)
    assert back.bits == 16
    assert difference(back.frames[0].color, np.ascontiguousarray(dark[:, :, ::-1])) == 0


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("1", "gray"), ("L", "gray"), ("LA", "gray+alpha"), ("P", "rgb"), ("RGB", "rgb"), ("RGBA", "rgb+alpha")],
)
def test_png_modes_become_gray_or_rgb_with_the_same_values(tmp_path: Path, mode: str, wanted: str) -> None:
    source = Image.fromarray(np.dstack((photo(31, 17), photo(31, 17, channels=1, seed=9)))).convert("RGBA")
    source = source.quantize(64) if mode == "P" else source.convert(mode)
    if mode == "P":
        source.info.pop("transparency", None)
        source = Image.fromarray(photo(31, 17)).quantize(64)
    path = tmp_path / "in.png"
    source.save(path)
    frame = decode(path, LIMITS).frames[0]
    assert frame.color.shape[2] == (1 if wanted.startswith("gray") else 3)
    expected = np.asarray(source.convert({"gray": "L", "gray+alpha": "LA", "rgb": "RGB", "rgb+alpha": "RGBA"}[wanted]))
    if expected.ndim == 2:
        expected = expected[:, :, np.newaxis]
    assert difference(frame.color, np.ascontiguousarray(expected[:, :, : frame.color.shape[2]])) == 0
    assert (frame.alpha is not None) == wanted.endswith("alpha")
    if frame.alpha is not None:
        assert difference(frame.alpha, np.ascontiguousarray(expected[:, :, -1])) == 0
    header = probe(path, LIMITS)
    assert (header.gray, header.alpha) == (wanted.startswith("gray"), wanted.endswith("alpha"))


def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path) -> None:
    source = Image.fromarray(photo(31, 17)).quantize(16)
    source.save(tmp_path / "in.png", transparency=3)
    frame = decode(tmp_path / "in.png", LIMITS).frames[0]
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha == 0, np.asarray(source) == 3)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, bits: int, channels: int) -> None:
    """tRNS on gray and RGB, 8 and 16 bit (PNG specification, 11.3.1.1)."""
    pixels = photo(12, 9, channels=channels, bits=bits)
    pixels[2:4, 3:6] = pixels[0, 0]
    data = cv2.imencode(".png", pixels[:, :, ::-1] if channels == 3 else pixels)[1].tobytes()
    key = b"".join(int(value).to_bytes(2, "big") for value in pixels[0, 0])
    chunk = b"tRNS" + key
    data = data[:33] + struct.pack(">I", len(key)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    (tmp_path / "in.png").write_bytes(data)
    assert probe(tmp_path / "in.png", LIMITS).alpha
    frame = decode(tmp_path / "in.png", LIMITS).frames[0]
    assert frame.alpha is not None
    assert frame.color.shape[2] == channels
    assert frame.color.dtype == pixels.dtype
    hidden = (pixels == pixels[0, 0]).all(axis=2)
    assert np.array_equal(frame.alpha == 0, hidden)
    assert np.array_equal(frame.color[~hidden], pixels[~hidden])


@pytest.mark.parametrize("name", ["bmp", "gif", "webp", "jpeg", "avif", "heic", "tiff"])
def test_every_input_format_is_read(tmp_path: Path, name: str) -> None:
    source = Image.fromarray(photo(64, 48))
    path = tmp_path / "in.dat"  # the name says nothing
    if name == "heic":
        pillow_heif.from_pillow(source).save(path, quality=95, format="HEIF")
    else:
        source.save(path, format=name.upper())
    header = probe(path, LIMITS)
    assert (header.format, header.width, header.height, header.frames) == (name, 64, 48, 1)
    frame = decode(path, LIMITS).frames[0]
    assert frame.color.shape == (48, 64, 3)
    error = np.abs(frame.color.astype(int) - np.asarray(source).astype(int)).mean()
    assert error < 12


def test_ten_bit_heic_keeps_its_depth(tmp_path: Path) -> None:
    deep = photo(64, 48, bits=16)
    pillow_heif.encode("RGB;16", (64, 48), deep.tobytes(), str(tmp_path / "in.heic"), quality=-1)
    header = probe(tmp_path / "in.heic", LIMITS)
    assert header.bits == 16
    back = decode(tmp_path / "in.heic", LIMITS).frames[0].color
    assert back.dtype == np.uint16
    assert np.abs(back.astype(int) - deep.astype(int)).mean() < 3000
    assert len(np.unique(back)) > 256


def test_big_endian_and_planar_and_cmyk_tiff(tmp_path: Path) -> None:
    pixels = photo(20, 10, bits=16)
    cv2.imwrite(str(tmp_path / "a.tiff"), pixels[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    assert difference(decode(tmp_path / "a.tiff", LIMITS).frames[0].color, pixels) == 0
    Image.fromarray(photo(20, 10)).convert("CMYK").save(tmp_path / "b.tiff")
    assert decode(tmp_path / "b.tiff", LIMITS).frames[0].color.shape == (10, 20, 3)
    Image.fromarray(photo(20, 10, channels=1).astype(np.float32)[:, :, 0]).save(tmp_path / "c.tiff")
    with pytest.raises(FormatUnsupported, match="floating-point"):
        probe(tmp_path / "c.tiff", LIMITS)


# --- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "avif"])
def test_orientation_is_applied_and_its_tag_reset(tmp_path: Path, name: str, orientation: int) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = (250, 20, 20)  # a red corner top left, a blue one bottom right
    upright[12:, 20:] = (20, 20, 250)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(Image.Transpose(undo))
    path = tmp_path / "in.dat"
    extra: dict[str, Any] = {"exif": exif(orientation)}
    if name == "tiff":
        tagged = Image.Exif()
        tagged[0x0112] = orientation
        extra = {"exif": tagged}
    elif name == "webp":
        extra["lossless"] = True
    elif name == "jpeg":
        extra |= {"quality": 100, "subsampling": 0}
    elif name == "avif":
        extra |= {"quality": 100, "subsampling": "4:4:4"}
    stored.save(path, format=name.upper(), **extra)
    header = probe(path, LIMITS)
    assert (header.width, header.height) == (40, 24)
    back = decode(path, LIMITS)
    assert np.abs(back.frames[0].color.astype(int) - upright).max() < 60
    assert np.abs(back.frames[0].color.astype(int) - upright).mean() < 4
    out = tmp_path / "out.jpg"
    encode(back, out, EncodeOptions(format="jpeg"))
    with Image.open(out) as image:
        assert image.size == (40, 24)
        assert image.getexif().get(0x0112, 1) == 1


def test_a_turned_sixteen_bit_tiff_is_upright(tmp_path: Path) -> None:
    upright = photo(20, 12, bits=16)
    encode(picture(np.ascontiguousarray(np.rot90(upright)), fmt="tiff"), tmp_path / "in.tiff")
    data = bytearray((tmp_path / "in.tiff").read_bytes())
    at = data.index(struct.pack("<HHIH", 274, 3, 1, 1))
    data[at + 8] = 6  # "turn me right to see me"
    (tmp_path / "in.tiff").write_bytes(data)
    header = probe(tmp_path / "in.tiff", LIMITS)
    assert (header.width, header.height) == (20, 12)
    assert difference(decode(tmp_path / "in.tiff", LIMITS).frames[0].color, upright) == 0


def test_xmp_that_repeats_the_orientation_is_reset_too(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.jpg", exif=exif(6), xmp=XMP)
    meta = decode(tmp_path / "in.jpg", LIMITS).metadata
    assert meta.xmp is not None
    assert b'tiff:Orientation="1"' in meta.xmp


# --- colour profiles


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("strip", [False, True])
def test_the_profile_is_kept_even_when_metadata_is_stripped(tmp_path: Path, name: str, strip: bool) -> None:
    made = replace(picture(photo(40, 30)), metadata=Metadata(icc=SRGB))
    path = tmp_path / f"out.{name}"
    encode(made, path, EncodeOptions(format=name, strip_metadata=strip))  # type: ignore[arg-type]
    with Image.open(path) as image:
        assert image.info.get("icc_profile") == SRGB
    assert decode(path, LIMITS).metadata.icc == SRGB


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff"])
def test_a_gray_profile_stays_with_gray(tmp_path: Path, name: str) -> None:
    profile = gray_profile()
    Image.fromarray(photo(40, 30, channels=1)[:, :, 0]).save(tmp_path / "in.png", icc_profile=profile)
    made = decode(tmp_path / "in.png", LIMITS)
    assert made.metadata.icc == profile
    encode(made, tmp_path / f"out.{name}", EncodeOptions(format=name))  # type: ignore[arg-type]
    back = decode(tmp_path / f"out.{name}", LIMITS)
    assert (back.metadata.icc, back.frames[0].color.shape[2]) == (profile, 1)


def test_a_profile_of_another_colour_space_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.png", icc_profile=gray_profile())
    assert decode(tmp_path / "in.png", LIMITS).metadata.icc is None


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (32, 32), (0, 255, 255, 0))  # magenta and yellow: red
    inks.save(tmp_path / "in.jpg", quality=100)
    made = decode(tmp_path / "in.jpg", LIMITS)
    red, green, blue = (int(value) for value in made.frames[0].color[16, 16])
    assert red > 180
    assert green < 80
    assert blue < 80
    assert made.metadata.icc is not None
    assert made.metadata.icc[16:20] == b"RGB "


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(photo(32, 24)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "in.tiff")
    made = decode(tmp_path / "in.tiff", LIMITS)
    assert np.abs(made.frames[0].color.astype(int) - photo(32, 24).astype(int)).mean() < 6


# --- metadata


def with_metadata(path: Path) -> Picture:
    """A JPEG as a camera and an editor leave it."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    content = b"Photoshop 3.0\0" + resource
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    Image.fromarray(photo(40, 30)).save(
        path, format="JPEG", exif=exif(), xmp=XMP, dpi=(300, 300), extra=segment, icc_profile=SRGB
    )
    return decode(path, LIMITS)


@pytest.mark.parametrize("name", WRITABLE)
def test_exif_xmp_and_iptc_are_kept(tmp_path: Path, name: str) -> None:
    made = with_metadata(tmp_path / "in.jpg")
    assert made.metadata.iptc == IPTC
    big = replace(made, frames=(Frame(color=photo(160, 120)),))
    path = tmp_path / f"out.{name}"
    encode(big, path, EncodeOptions(format=name, provenance="RealESRGAN_x4plus x4, upscaler 1.0.0"))  # type: ignore[arg-type]
    meta = decode(path, LIMITS).metadata
    with Image.open(path) as image:
        image.load()
        if name == "tiff":
            entries = image.getexif()
            assert entries[0x010F] == "Camera"
            assert entries.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
            assert entries.get_ifd(0x8825)[1] == "N"
        else:
            found = read_exif(path)
            assert found["0th"][piexif.ImageIFD.Make] == b"Camera"
            assert found["0th"][piexif.ImageIFD.Software] == b"Firmware 1.2"
            assert found["Exif"][piexif.ExifIFD.DateTimeOriginal] == b"2024:05:06 07:08:09"
            assert found["Exif"][piexif.ExifIFD.MakerNote] == bytes(range(64))
            assert found["Exif"][piexif.ExifIFD.PixelXDimension] == 160
            assert found["Exif"][piexif.ExifIFD.PixelYDimension] == 120
            assert found["GPS"][piexif.GPSIFD.GPSLatitudeRef] == b"N"
        if name in ("png", "jpeg", "tiff"):
            assert round(image.info["dpi"][0]) == 300
    assert meta.xmp is not None
    assert b"adobe:ns:meta" in meta.xmp
    if name in ("png", "jpeg", "tiff"):  # WebP and AVIF have no place for IPTC
        assert meta.iptc == IPTC


@pytest.mark.parametrize("name", WRITABLE)
def test_provenance_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out.{name}"
    line = "RealESRGAN_x4plus x4, upscaler 1.0.0"
    encode(picture(photo(40, 30)), path, EncodeOptions(format=name, provenance=line))  # type: ignore[arg-type]
    with Image.open(path) as image:
        image.load()
        if name == "png":
            said = image.info["Software"]
        elif name == "jpeg":
            said = image.info["comment"].decode()
        else:
            said = image.getexif()[305 if name == "tiff" else 0x000B]
    assert said == line


@pytest.mark.parametrize("name", WRITABLE)
def test_stripping_leaves_pixels_and_profile_only(tmp_path: Path, name: str) -> None:
    made = with_metadata(tmp_path / "in.jpg")
    path = tmp_path / f"out.{name}"
    encode(made, path, EncodeOptions(format=name, strip_metadata=True, provenance="secret line"))  # type: ignore[arg-type]
    data = path.read_bytes()
    for word in (b"Camera", b"2024:05:06", b"adobe:ns:meta", b"A red boat", b"secret line", IPTC.hex().encode()):
        assert word not in data
    with Image.open(path) as image:
        assert image.info.get("icc_profile") == SRGB


def test_broken_exif_never_stops_a_picture(tmp_path: Path) -> None:
    for number, raw in enumerate(
        (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    ):
        path = tmp_path / f"in{number}.jpg"
        Image.fromarray(photo(40, 30)).save(path, exif=raw)
        for name in WRITABLE:
            encode(decode(path, LIMITS), tmp_path / "out", EncodeOptions(format=name, provenance="x"))  # type: ignore[arg-type]
            assert decode(tmp_path / "out", LIMITS).width == 40


# --- animations


def animation(path: Path, name: str, *, transparent: bool = False) -> list[np.ndarray]:
    """Four frames of 16 colours with times of their own, endless."""
    frames = []
    for index in range(4):
        pixels = np.zeros((20, 30, 4), np.uint8)
        pixels[..., 3] = 255
        pixels[2:12, 3 + 5 * index : 12 + 5 * index, :3] = (200, 40 * index, 80)
        if transparent:
            pixels[15:, :, 3] = 0
        frames.append(pixels)
    images = [Image.fromarray(pixels if transparent else pixels[:, :, :3]) for pixels in frames]
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": [100, 200, 50, 400]}
    if name != "AVIF":
        options["loop"] = 0
    if name == "WEBP":
        options["lossless"] = True
    if name == "AVIF":
        options |= {"quality": 100, "subsampling": "4:4:4"}
    if name == "GIF":
        options["disposal"] = 2
    images[0].save(path, format=name, **options)
    return frames


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("transparent", [False, True])
def test_every_frame_of_an_animation_comes_with_its_time(tmp_path: Path, name: str, transparent: bool) -> None:
    frames = animation(tmp_path / "in", name, transparent=transparent)
    header = probe(tmp_path / "in", LIMITS)
    assert (header.format, header.frames, header.pixels) == (name.lower(), 4, 2400)
    made = decode(tmp_path / "in", LIMITS)
    assert [frame.duration_ms for frame in made.frames] == [100, 200, 50, 400]
    for frame, source in zip(made.frames, frames, strict=True):
        visible = source[:, :, 3] > 0
        assert np.abs(frame.color[visible].astype(int) - source[visible][:, :3]).max() <= (8 if name == "AVIF" else 0)
        if transparent:
            assert frame.alpha is not None
            assert np.abs(frame.alpha.astype(int) - source[:, :, 3]).max() <= (2 if name == "AVIF" else 0)
    written = encode(made, tmp_path / "out")
    assert written == {"GIF": "png", "WEBP": "webp", "PNG": "png", "AVIF": "avif"}[name]
    back = decode(tmp_path / "out", LIMITS)
    assert [frame.duration_ms for frame in back.frames] == [100, 200, 50, 400]
    if written == "png":
        assert back.metadata.loop == 0
        for frame, before in zip(back.frames, made.frames, strict=True):
            assert (
                difference(
                    frame.color[before.alpha > 0] if before.alpha is not None else frame.color,
                    before.color[before.alpha > 0] if before.alpha is not None else before.color,
                )
                == 0
            )


def test_equal_frames_keep_their_number_or_their_time(tmp_path: Path) -> None:
    """Encoders merge equal neighbours; the time on screen must stay."""
    still = Frame(color=photo(20, 10), duration_ms=70)
    made = Picture(
        format="webp", frames=(still, still, replace(still, color=photo(20, 10, seed=4))), metadata=Metadata(loop=3)
    )
    for name in ("webp", "png"):
        encode(made, tmp_path / "out", EncodeOptions(format=name, lossless=True))
        back = decode(tmp_path / "out", LIMITS)
        assert sum(frame.duration_ms or 0 for frame in back.frames) == 210
        assert back.metadata.loop == 3


def test_formats_without_animation_refuse_by_name(tmp_path: Path) -> None:
    animation(tmp_path / "in", "GIF")
    made = decode(tmp_path / "in", LIMITS)
    for name in ("jpeg", "tiff"):
        with pytest.raises(FormatUnsupported, match="4 frames"):
            encode(made, tmp_path / "out", EncodeOptions(format=name))
        assert not (tmp_path / "out").exists()


def test_twelve_bits_of_a_tiff_reach_over_the_whole_range(tmp_path: Path) -> None:
    values = [0, 1, 2048, 4095]
    packed = bytes.fromhex("".join(f"{value:03x}" for value in values))
    entries = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    data = struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items()) + bytes(4)
    (tmp_path / "in.tiff").write_bytes(data)
    found = decode(tmp_path / "in.tiff", LIMITS).frames[0].color[0, :, 0]
    assert found.tolist() == [round(value * 65535 / 4095) for value in values]


def test_pages_of_a_tiff_are_all_kept(tmp_path: Path) -> None:
    pages = [photo(20, 10, seed=seed) for seed in range(3)]
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(tmp_path / "in.tiff", save_all=True, append_images=others)
    assert probe(tmp_path / "in.tiff", LIMITS).frames == 3
    made = decode(tmp_path / "in.tiff", LIMITS)
    assert encode(made, tmp_path / "out.tiff") == "tiff"
    back = decode(tmp_path / "out.tiff", LIMITS)
    assert all(difference(frame.color, page) == 0 for frame, page in zip(back.frames, pages, strict=True))
    Image.new("RGB", (20, 10)).save(tmp_path / "b.tiff", save_all=True, append_images=[Image.new("RGB", (10, 10))])
    with pytest.raises(FormatUnsupported, match="different sizes"):
        decode(tmp_path / "b.tiff", LIMITS)


# --- choice of the output format


@pytest.mark.parametrize(
    ("source", "alpha", "bits", "written"),
    [
        ("jpeg", False, 8, "jpeg"),
        ("jpeg", True, 8, "png"),
        ("webp", True, 8, "webp"),
        ("webp", False, 16, "png"),
        ("tiff", True, 16, "tiff"),
        ("bmp", False, 8, "png"),
        ("gif", True, 8, "png"),
        ("heic", False, 8, "png"),
        ("heic", False, 16, "png"),
        ("avif", True, 8, "avif"),
        ("png", True, 16, "png"),
    ],
)
def test_auto_is_the_inputs_format_or_png_where_that_cannot_hold_the_result(
    tmp_path: Path, source: str, alpha: bool, bits: int, written: str
) -> None:
    pixels = photo(20, 10, bits=bits)
    mask = photo(20, 10, channels=1, bits=bits)[:, :, 0] if alpha else None
    assert encode(picture(pixels, mask, fmt=source), tmp_path / "out") == written


@pytest.mark.parametrize(
    ("name", "bits", "alpha", "word"), [("jpeg", 8, True, "transparency"), ("webp", 16, False, "16")]
)
def test_a_format_that_cannot_hold_the_result_refuses(
    tmp_path: Path, name: str, bits: int, alpha: bool, word: str
) -> None:
    pixels = photo(20, 10, bits=bits)
    mask = np.zeros((10, 20), pixels.dtype) if alpha else None
    with pytest.raises(FormatUnsupported, match=word):
        encode(picture(pixels, mask), tmp_path / "out", EncodeOptions(format=name))  # type: ignore[arg-type]


def test_webp_beyond_its_largest_side_becomes_png(tmp_path: Path) -> None:
    wide = picture(np.zeros((1, 17_000, 3), np.uint8), fmt="webp")
    assert encode(wide, tmp_path / "out") == "png"
    with pytest.raises(FormatUnsupported, match="16383"):
        encode(wide, tmp_path / "out", EncodeOptions(format="webp"))


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_quality_is_obeyed(tmp_path: Path, name: str) -> None:
    sizes = []
    for quality in (20, 60, 95):
        encode(picture(photo(200, 150)), tmp_path / "out", EncodeOptions(format=name, quality=quality))  # type: ignore[arg-type]
        sizes.append((tmp_path / "out").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.8 * sizes[2]


def test_real_files_round_trip(shared_dir: Path, tmp_path: Path) -> None:
    for path in sorted((shared_dir / "images").iterdir()):
        made = decode(path, LIMITS)
        header = probe(path, LIMITS)
        assert (made.width, made.height, made.bits) == (header.width, header.height, header.bits)
        encode(made, tmp_path / "out.png", EncodeOptions(format="png"))
        back = decode(tmp_path / "out.png", LIMITS)
        assert difference(back.frames[0].color, made.frames[0].color) == 0
        assert back.metadata.icc == made.metadata.icc
        assert back.metadata.iptc == made.metadata.iptc
        assert (back.metadata.xmp is None) == (made.metadata.xmp is None)


def test_decoding_is_what_opencv_and_so_the_reference_sees(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "images").iterdir()):
        ours = decode(path, LIMITS).frames[0]
        theirs: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if theirs.ndim == 2:
            theirs = theirs[:, :, np.newaxis]
        color = theirs if theirs.shape[2] == 1 else theirs[:, :, 2::-1]
        assert difference(ours.color, np.ascontiguousarray(color)) <= 1
