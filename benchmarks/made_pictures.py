"""Small pictures of every format and kind that we read, made on the spot: what `mutate.py` damages."""

import io
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from jobs.engine.codec import encode
from jobs.engine.types import (
    Cicp,
    EncodeOptions,
    Frame,
    GainMap,
    LightLevel,
    MasteringDisplay,
    Metadata,
    OutputFormat,
    Picture,
    Text,
)

_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1"/></rdf:RDF></x:xmpmeta>'
_MAP_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" \
hdrgm:GainMapMax="2.5" hdrgm:HDRCapacityMax="2.5"/></rdf:RDF></x:xmpmeta>'


def made() -> dict[str, list[bytes]]:
    """Return the files' bytes by our name of the format."""
    return {
        "png": _png(),
        "jpeg": _jpeg(),
        "webp": _webp(),
        "tiff": _tiff(),
        "bmp": _bmp(),
        "gif": _gif(),
        "avif": _avif(),
        "heic": _heic(),
        "jxl": _jxl(),
    }


def pixels(channels: int = 3, width: int = 48, height: int = 36) -> NDArray[np.uint8]:
    """Return (H, W, C) uint8: waves with a little noise, so that coders have something to code."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([127 + 100 * np.sin(x / (5 + i) + i) * np.cos(y / 7) for i in range(channels)], 2)
    noise = np.random.default_rng(channels).normal(0, 3, waves.shape)
    return np.clip(np.rint(waves + noise), 0, 255).astype(np.uint8)


def _image(mode: str = "RGB", shift: int = 0) -> Image.Image:
    image = Image.fromarray(np.roll(pixels(4), shift, axis=1))
    return image.convert(mode) if mode != "LA" else image.convert("L").convert("LA")


def _saved(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def _by_opencv(name: str, values: NDArray[Any], *options: int) -> bytes:
    return bytes(cv2.imencode(name, values, options)[1].tobytes())


def _by_us(name: OutputFormat, picture: Picture) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        encode(picture, path, EncodeOptions(format=name))
        return path.read_bytes()


def _metadata() -> Metadata:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a picture", 1
    exif.get_ifd(0x8825)[1] = "N"
    return Metadata(
        icc=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        exif=exif.tobytes().removeprefix(b"Exif\0\0"),
        xmp=_XMP,
        iptc=b"\x1c\x02\x78\0\x03abc",
        texts=(Text("parameters", "a cat"), Text("Comment", "ü", "de", "Kommentar")),
        dpi=(300.0, 300.0),
    )


def _deep(channels: int) -> NDArray[np.uint16]:
    return pixels(channels).astype(np.uint16) * 257


def _png() -> list[bytes]:
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b" * 500, zip=True)
    text.add_itxt("k", "ö" * 50, "de", "x", zip=True)
    others = [_image("RGBA", shift) for shift in (5, 11)]
    hdr = Metadata(
        cicp=Cicp(9, 16),
        light=LightLevel(1000, 400),
        mastering=MasteringDisplay((1, 2, 3, 4, 5, 6, 7, 8), 1000, 0.01),
        gamma=0.5,
        chromaticities=(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    )
    return [
        *(_saved(_image(mode), "PNG", pnginfo=text) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        _saved(_image("P"), "PNG", transparency=bytes(range(200))),
        _saved(_image("L"), "PNG", transparency=7, bits=4),
        _saved(_image("RGBA"), "PNG", save_all=True, append_images=others, duration=40, loop=2),
        _saved(_image("RGBA"), "PNG", save_all=True, append_images=others, default_image=True, disposal=2, blend=1),
        *(_by_us("png", Picture("png", (Frame(_deep(n)),), _metadata())) for n in (1, 3)),
        _by_us("png", Picture("png", (Frame(_deep(3), _deep(1)[:, :, 0]),), hdr)),
    ]


def _jpeg() -> list[bytes]:
    frame = Frame(pixels())
    gain = GainMap(Frame(pixels(1, 24, 18)), _MAP_XMP)
    long = Metadata(xmp=b"<x>" + b" " * 70_000 + b"</x>", aspect=(4, 3))
    return [
        *(_saved(_image(mode), "JPEG", quality=80) for mode in ("L", "RGB", "CMYK")),
        _saved(_image(), "JPEG", progressive=True, restart_marker_blocks=2, comment=b"hello"),
        _by_us("jpeg", Picture("jpeg", (frame,), _metadata())),
        _by_us("jpeg", Picture("jpeg", (frame,), long)),
        _by_us("jpeg", Picture("jpeg", (frame,), _metadata(), gain_map=gain)),
    ]


def _webp() -> list[bytes]:
    more = [_image("RGBA", 5), _image("RGBA", 11)]
    return [
        _saved(_image(), "WEBP", quality=70),
        _saved(_image("RGBA"), "WEBP", quality=70, alpha_quality=50),
        _saved(_image("RGBA"), "WEBP", lossless=True),
        _saved(_image("RGBA"), "WEBP", save_all=True, append_images=more, duration=30, loop=1),
        _by_us("webp", Picture("webp", (Frame(pixels()),), _metadata())),
    ]


def _tiff() -> list[bytes]:
    packings = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
    return [
        *(_saved(_image(mode), "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")),
        *(_saved(_image(), "TIFF", compression=packing) for packing in packings),
        _saved(_image(), "TIFF", compression="jpeg"),
        _saved(_image("1"), "TIFF", compression="group4"),
        _saved(_image(), "TIFF", big_tiff=True),
        _saved(_image(), "TIFF", save_all=True, append_images=[_image(shift=3)]),
        _by_us("tiff", Picture("tiff", (Frame(pixels()),), _metadata())),
        *(_by_us("tiff", Picture("tiff", (Frame(_deep(n)),))) for n in (1, 3)),
        *(_by_us("tiff", Picture("tiff", (Frame(_deep(n), _deep(1)[:, :, 0]),))) for n in (1, 3)),
        *(_by_opencv(".tiff", _deep(n), cv2.IMWRITE_TIFF_COMPRESSION, 5) for n in (1, 3, 4)),
    ]  # fmt: skip


def _bmp() -> list[bytes]:
    return [
        *(_saved(_image(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")),
        _by_opencv(".bmp", pixels(4)),
        _by_opencv(".bmp", pixels(1)),
    ]


def _gif() -> list[bytes]:
    more = [_image("P", 5), _image("P", 11)]
    return [
        _saved(_image("P"), "GIF", comment=b"hello"),
        _saved(_image("L"), "GIF", interlace=0, transparency=3),
        _saved(_image("P"), "GIF", save_all=True, append_images=more, duration=40, loop=0, disposal=2),
        _saved(_image("P"), "GIF", save_all=True, append_images=more, duration=[20, 30, 40], disposal=1),
    ]


def _avif() -> list[bytes]:
    more = [_image("RGBA", 5), _image("RGBA", 11)]
    return [
        *(_saved(_image(mode), "AVIF", speed=9) for mode in ("L", "RGB", "RGBA")),
        _saved(_image("RGBA"), "AVIF", speed=9, save_all=True, append_images=more, duration=40),
        _by_us("avif", Picture("avif", (Frame(pixels()),), _metadata())),
        *(_by_us("avif", Picture("avif", (Frame(_deep(n)),), _metadata(), depth=10)) for n in (1, 3)),
        _by_us("avif", Picture("avif", (Frame(_deep(3), _deep(1)[:, :, 0]),), Metadata(cicp=Cicp(9, 16)), depth=12)),
    ]


def _heic() -> list[bytes]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = _metadata().exif
    deep = pillow_heif.from_bytes("RGB;16", (48, 36), _deep(3).tobytes())
    stream = io.BytesIO()
    deep.save(stream, quality=80)
    return [
        *(_saved(_image(mode), "HEIF", quality=80) for mode in ("L", "RGB", "RGBA")),
        _saved(_image(), "HEIF", quality=80, exif=b"Exif\0\0" + (exif or b""), xmp=_XMP),
        _saved(_image(), "HEIF", quality=80, save_all=True, append_images=[_image(shift=3)]),
        stream.getvalue(),
    ]


def _jxl() -> list[bytes]:
    import pillow_jxl  # noqa: F401 - it makes Pillow write the format

    exif = _metadata().exif
    return [
        *(_saved(_image(mode), "JXL") for mode in ("L", "RGB", "RGBA")),
        _saved(_image(), "JXL", lossless=True),
        _saved(Image.fromarray(_deep(1)[:, :, 0]), "JXL", lossless=True),
        _saved(_image(), "JXL", exif=b"Exif\0\0" + (exif or b""), xmp=_XMP),
    ]
