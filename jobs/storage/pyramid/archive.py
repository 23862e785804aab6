"""A finished pyramid: one ZIP file of tiles beside the job's other files, so that it is removed by one deletion."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import PyramidNotFound
from jobs.storage import files
from jobs.storage.pyramid.layout import TILE_SIDE, Level, levels_of, tile_name

_INDEX = "pyramid.json"


@dataclass(frozen=True)
class Pyramid:
    """The description of a pyramid on the disk."""

    path: Path
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

    def tile(self, level: int, column: int, row: int) -> bytes:
        """Return the file of one tile.

        :raises PyramidNotFound: there is no such tile, or the pyramid was cleaned up meanwhile.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(tile_name(level, column, row))
        except (KeyError, FileNotFoundError):
            raise PyramidNotFound(f"Tile not found: level {level}, column {column}, row {row}") from None


def opened(name: str) -> Pyramid | None:
    """Return the pyramid of that storage name; None where it was not made yet."""
    path = files.path_of(name)
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(archive.read(_INDEX))
    except FileNotFoundError:
        return None
    return Pyramid(path=path, width=index["width"], height=index["height"], format=index["format"])
