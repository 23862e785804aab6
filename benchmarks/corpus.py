"""A folder of pictures through decoder and encoder, held against Pillow and OpenCV: what is refused, what differs.

    python benchmarks/corpus.py DIR [--limit-mb 2048] [--jobs 1] [--deadline 120] [--list]

Each file is decoded, written in its own format ("auto"), and decoded again. Between the two stands no network: the
picture itself, which is what a perfect network of scale 1 would give. So this says nothing of networks, and everything
of what codecs keep: pixels against Pillow's and OpenCV's (`differences`), and colour, EXIF, XMP, texts and resolution
after the round trip against those before it. Each file has a process of its own, with a limit on its memory.
``--list`` prints every file that is refused, differs without a reason, or lost something without a note.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks import child
from benchmarks.differences import UNEXPLAINED, by_opencv, by_pillow, ours, reason
from jobs.engine.codec import decode, encode
from jobs.engine.codecs.metadata.read import orientation
from jobs.engine.codecs.open import open_image
from jobs.engine.errors import EngineError
from jobs.engine.types import Limits, Metadata, Picture

_LIMITS = Limits()
_LOSSLESS = ("png", "tiff")
#: Mean difference, of 255, that one more lossy coding may make.
_RECODING = 6.0


@dataclass
class Row:
    """The fate of one file."""

    format: str = ""
    refused: str | None = None
    read_by: list[str] = field(default_factory=list)  # the others that read it, each with its mode
    against: dict[str, str] = field(default_factory=dict)  # library: kind of difference, or why it does not read it
    again: str = ""  # the round trip's pixels
    kept: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def examined(path: Path, folder: Path) -> Row:
    """Take one file through our decoder and encoder; ``folder`` takes what is written on the way."""
    row = Row()
    try:
        picture = decode(path, _LIMITS)
    except EngineError as error:
        row.refused = str(error)
        return row
    row.format = picture.format
    written = folder / "again"
    encoded = encode(picture, written)
    second = decode(written, _LIMITS)
    row.notes = (*picture.notes, *encoded.notes)
    row.again = _again(picture, second, lossless=encoded.format in _LOSSLESS)
    row.kept, row.lost = _metadata(picture.metadata, second.metadata, row.notes)
    if picture.gain_map:
        (row.kept if second.gain_map else row.lost if not row.notes else row.kept).append("gain map")
    return row


def compared(path: Path) -> Row:
    """Hold our decoding of one file against that of the others; the row has no more than that."""
    row = Row()
    others = {"Pillow": by_pillow(path), "OpenCV": by_opencv(path)}
    row.read_by = [f"{name} {view.mode}" for name, view in others.items() if view.pixels is not None]
    try:
        picture = decode(path, _LIMITS)
    except EngineError:
        return row
    mine, turned = ours(picture.frames[0]), _orientation(path)
    first = ", first frame" if len(picture.frames) > 1 else ""
    for name, view in others.items():
        if view.pixels is None:
            row.against[name] = "it does not read the file"
        else:
            kind = reason(mine, view, name=picture.format, depth=picture.depth, orientation=turned)
            row.against[name] = kind + first
    return row


def _orientation(path: Path) -> int:
    with path.open("rb") as file:
        return orientation(*open_image(file, path))


def _again(first: Picture, second: Picture, *, lossless: bool) -> str:
    """Say how the second decoding differs from the first."""
    if len(first.frames) != len(second.frames):
        return f"{len(first.frames)} frames became {len(second.frames)}"
    if [frame.duration_ms for frame in first.frames] != [frame.duration_ms for frame in second.frames]:
        return "other durations"
    apart = 0.0
    for one, two in zip(first.frames, second.frames, strict=True):
        a, b = ours(one), ours(two)
        if a.shape != b.shape:
            return "another size"
        if lossless and one.color.dtype != two.color.dtype:
            return "another depth"
        apart = max(apart, float(np.abs(a.astype(np.int16) - b).mean()))
    if apart == 0:
        return "equal"
    return (
        "lossy" if not lossless and apart <= _RECODING else f"{'lossless' if lossless else 'lossy'}, {apart:.2f} apart"
    )


def _metadata(first: Metadata, second: Metadata, notes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the names of what was kept, and of what was not although no note says so.

    A colour description counts as kept where another one stands in its place: CICP as an equal ICC profile.
    """
    kept, lost = [], []
    color = second.icc or second.cicp or second.gamma or second.chromaticities
    for name, before, after in (
        ("icc", first.icc, second.icc),
        ("cicp", first.cicp, color),
        ("gamma", first.gamma, color),
        ("exif", first.exif, second.exif),
        ("xmp", first.xmp, second.xmp),
        ("iptc", first.iptc, second.iptc),
        ("texts", first.texts, second.texts),
        ("dpi", first.dpi, second.dpi),
        ("aspect", first.aspect, second.aspect),
    ):
        if not before:
            continue
        fewer = name == "texts" and len(second.texts) < len(first.texts)
        other = name == "icc" and before != after
        if after and not fewer and not other:
            kept.append(name)
        elif not notes:
            lost.append(name)
    return kept, lost


def pictures(folder: Path) -> list[Path]:
    """Return all files under a folder, in order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Examine every file and print the tables; 1 where a file crashed, hung or raised what is no error of ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=120, help="seconds per file")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    paths = pictures(arguments.folder)
    start = time.perf_counter()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        ended = list(pool.map(partial(_one, limit_mb=arguments.limit_mb, deadline=arguments.deadline), paths))
    found = list(zip(paths, ended, strict=True))
    rows = {path: end.value for path, end in found if end.fault is None}
    faults = {path: end.fault for path, end in found if end.fault is not None}
    read = {path: row for path, row in rows.items() if row.refused is None}
    most = max(found, key=lambda pair: pair[1].memory_mb, default=None)
    slowest = max(found, key=lambda pair: pair[1].processor_s, default=None)
    print(f"{len(paths)} files: {len(read)} read, {len(rows) - len(read)} refused, {len(faults)} crashed or hung")
    if most and slowest:
        print(f"largest memory {most[1].memory_mb:.0f} MB ({most[0].name}), slowest {slowest[1].processor_s:.1f} s of")
        print(f"processor ({slowest[0].name}), {time.perf_counter() - start:.0f} s in all")
    _table("formats read", ((row.format, path) for path, row in read.items()))
    _table("crashed or hung", ((fault.strip().splitlines()[-1], path) for path, fault in faults.items()))
    _table(
        "refused; who else reads it",
        ((f"{row.refused} [{', '.join(row.read_by) or 'nobody'}]", path) for path, row in rows.items() if row.refused),
    )
    for name in ("Pillow", "OpenCV"):
        _table(f"against {name}", ((row.against[name], path) for path, row in read.items()))
    _table("after the round trip, pixels", ((row.again, path) for path, row in read.items()))
    _table("metadata kept", ((name, path) for path, row in read.items() for name in row.kept))
    _table("metadata lost without a note", ((name, path) for path, row in read.items() for name in row.lost))
    _table("notes", ((note, path) for path, row in read.items() for note in row.notes))
    if arguments.list:
        for path, row in rows.items():
            odd = [f"{name}: {kind}" for name, kind in row.against.items() if UNEXPLAINED in kind or "size" in kind]
            if row.refused or row.lost or odd:
                print(path.name, row.refused or "", "; ".join(odd), row.lost or "", row.read_by)
        for path, fault in faults.items():
            print(path.name, fault)
    return 1 if faults else 0


def _one(path: Path, *, limit_mb: int, deadline: float) -> child.Ended:
    """Return our end of the file, with the others' views in its row. Theirs is a process apart: so is its memory."""
    with tempfile.TemporaryDirectory() as folder:
        ended = child.call(lambda: examined(path, Path(folder)), limit_mb, deadline)
    beside = child.call(lambda: compared(path), 4 * limit_mb, deadline)
    if ended.fault is None and beside.fault is None:
        ended.value.read_by, ended.value.against = beside.value.read_by, beside.value.against
    elif ended.fault is None:
        ended.value.against = dict.fromkeys(("Pillow", "OpenCV"), f"one of them fails: {beside.fault}")
    return ended


def _table(title: str, pairs: Iterable[tuple[str, Path]]) -> None:
    """Print how often each kind came, the most frequent first, with up to three names."""
    names: dict[str, list[str]] = defaultdict(list)
    for kind, path in pairs:
        names[kind].append(path.name)
    print(f"\n{title}")
    for kind, count in Counter({kind: len(which) for kind, which in names.items()}).most_common():
        print(f"{count:5d}  {kind}  ({', '.join(names[kind][:3])})")


if __name__ == "__main__":
    sys.exit(main())
