"""A finished pyramid: one ZIP file of tiles beside the job's other files, so that it is removed by one deletion."""

import json
import zipfile
from dataclasses import dataclass

from jobs.errors import PyramidNotFound
from jobs.storage import files
from jobs.storage.pyramid.layout import INDEX, TILE_SIDE, Level, levels_of, tile_name


@dataclass(frozen=True)
class Pyramid:
    """The description of a pyramid on the disk."""

    width: int  # pixels
    height: int
    format: str  # of each tile: "jpeg" or "webp"

    @property
    def tile_size(self) -> int:
        """Pixels of a whole tile's side."""
        return TILE_SIDE

    @property
    def levels(self) -> list[Level]:
        """The sizes, the picture's own first."""
        return levels_of(self.width, self.height)


@dataclass(frozen=True)
class Tile:
    """One tile's file."""

    data: bytes
    format: str


def opened(name: str) -> Pyramid | None:
    """Return the pyramid of that storage name; None where it was not made yet."""
    try:
        with files.open_stored(name) as file, zipfile.ZipFile(file) as archive:
            index = json.loads(archive.read(INDEX))
    except FileNotFoundError:
        return None
    return Pyramid(width=index["width"], height=index["height"], format=index["format"])


def tile(name: str, level: int, column: int, row: int) -> Tile:
    """Return one tile of the pyramid of that storage name.

    :raises PyramidNotFound: it was not made, or has no such tile.
    """
    try:
        with files.open_stored(name) as file, zipfile.ZipFile(file) as archive:
            data = archive.read(tile_name(level, column, row))
            return Tile(data, json.loads(archive.read(INDEX))["format"])
    except FileNotFoundError:
        raise PyramidNotFound("Tiles not found: they are not made; ask for the pyramid first") from None
    except KeyError:
        raise PyramidNotFound(f"Tile not found: level {level}, column {column}, row {row}") from None
