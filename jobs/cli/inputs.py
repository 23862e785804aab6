"""Inputs of a command line, and the place of each result. Paths only: no pixel is read here."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Names that pictures have; a file named on the command line is taken whatever it is called.
PICTURE_SUFFIXES = frozenset(
    [
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff"),
        *(".bmp", ".dib", ".gif", ".avif", ".heic", ".heif", ".hif", ".jxl"),
    ]
)

#: The usual suffix of each format that can be written, then others that mean the same.
SUFFIXES = {
    "png": (".png", ".apng"),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "webp": (".webp",),
    "avif": (".avif",),
    "tiff": (".tif", ".tiff"),
    "jxl": (".jxl",),
}


class GatheringError(Exception):
    """The inputs cannot be used as they were named; the message says which and why."""


@dataclass(frozen=True)
class Item:
    """One picture to be upscaled; ``folder`` is where it stood below the directory that was named: the tree is kept."""

    source: Path
    folder: Path

    @property
    def label(self) -> str:
        """The name that messages give it."""
        return str(self.folder / self.source.name)


def gather(inputs: Iterable[Path], output: Path) -> list[Item]:
    """Return every picture of ``inputs``: files as they are, directories with all below them, in order of name.

    Files in ``output`` are left out: a second run must not upscale the first one's results.

    :raises GatheringError: when an input does not exist, or a directory holds no picture.
    """
    items: dict[Path, Item] = {}
    for named in inputs:
        if named.is_dir():
            found = [Item(path, path.parent.relative_to(named)) for path in _pictures_below(named, output)]
            if not found:
                raise GatheringError(f"{named} holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))})")
        elif named.exists():
            found = [Item(named, Path())]
        else:
            raise GatheringError(f"{named} does not exist")
        for item in found:
            items.setdefault(item.source.resolve(), item)
    return list(items.values())


def _pictures_below(directory: Path, output: Path) -> Iterator[Path]:
    left_out = output.resolve()
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        # A results directory that is the input directory itself is allowed: names differ, or the file is kept as it is.
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (here / name).resolve() != left_out
        )
        yield from (
            here / name
            for name in sorted(files)
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".")
        )


def suffix_for(source: Path, written: str) -> str:
    """Return the suffix of a result of format ``written``: the source's own where it means the same."""
    return source.suffix if source.suffix.lower() in SUFFIXES[written] else SUFFIXES[written][0]


def format_of(path: Path) -> str | None:
    """Return the format that a file name's suffix means, or None."""
    return next((name for name, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), None)


def result_name(template: str, *, source: Path, model: str, scale: float) -> str:
    """Fill ``{stem}``, ``{ext}``, ``{model}`` and ``{scale}`` in; the result is one file name without suffix.

    :raises GatheringError: the template has another field, or the name would leave its directory.
    """
    try:
        name = template.format(stem=source.stem, ext=source.suffix[1:], model=model, scale=f"{scale:g}")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise GatheringError(
            f"--name {template!r}: only {{stem}}, {{ext}}, {{model}} and {{scale}} can stand in braces"
        ) from error
    if not name or name in (".", "..") or "/" in name or os.sep in name or "\0" in name:
        raise GatheringError(f"--name {template!r} gives {name!r}, which is not a file name")
    return name
