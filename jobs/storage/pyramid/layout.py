"""The arithmetic of a pyramid: level 0 is the picture, each next one half of it, the last a single tile."""

from dataclasses import dataclass

TILE_SIDE = 512  # pixels
#: The name in the archive of what describes it: width, height and format of the tiles, as JSON.
INDEX = "pyramid.json"


@dataclass(frozen=True)
class Level:
    """One size of the picture, cut into tiles of TILE_SIDE; those at the right and the bottom may be smaller."""

    width: int  # pixels
    height: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // TILE_SIDE)

    @property
    def rows(self) -> int:
        """Tiles in a column."""
        return -(-self.height // TILE_SIDE)


def levels_of(width: int, height: int) -> list[Level]:
    """Return the levels of a picture of that size in pixels, the picture itself first."""
    levels = [Level(width, height)]
    while max(levels[-1].width, levels[-1].height) > TILE_SIDE:
        levels.append(Level(-(-levels[-1].width // 2), -(-levels[-1].height // 2)))
    return levels


def tile_name(level: int, column: int, row: int) -> str:
    """Return a tile's name in the archive."""
    return f"{level}/{column}_{row}"
