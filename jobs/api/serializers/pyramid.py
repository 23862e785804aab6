"""The queries for a picture's tiles, and their description."""

from typing import Any

from rest_framework import serializers

from jobs.api.serializers.fields import WholeNumber
from jobs.api.views.downloads import content_type
from jobs.storage.pyramid.archive import Pyramid
from modelstore.serializers import Choice

#: Far beyond any picture; a number of this size still fits everywhere.
_MOST = 100_000


class PyramidQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The choice of a job's picture."""

    picture = Choice(
        choices=["result", "input"], default="result", help_text="The upscaled picture, or the one that was sent."
    )


class TileQuerySerializer(PyramidQuerySerializer):
    """The choice of a tile."""

    level = WholeNumber(min_value=0, max_value=_MOST, help_text="0 is the full size, each next level half of it.")
    column = WholeNumber(min_value=0, max_value=_MOST, help_text="From the left, from 0.")
    row = WholeNumber(min_value=0, max_value=_MOST, help_text="From the top, from 0.")


class LevelSerializer(serializers.Serializer[Any]):
    """One size of the picture."""

    width = serializers.IntegerField(help_text="Pixels.")
    height = serializers.IntegerField(help_text="Pixels.")
    columns = serializers.IntegerField(help_text="Tiles in a row.")
    rows = serializers.IntegerField(help_text="Tiles in a column.")


class PyramidSerializer(serializers.Serializer[Pyramid]):
    """A picture in tiles. Those at the right and the bottom may be smaller than the rest."""

    width = serializers.IntegerField(help_text="Pixels, as the picture is shown.")
    height = serializers.IntegerField(help_text="Pixels, as the picture is shown.")
    tile_size = serializers.IntegerField(help_text="Pixels of a tile's side.")
    media_type = serializers.SerializerMethodField(help_text="Of every tile.")
    levels = LevelSerializer(many=True, help_text="The full size first, the last one is a single tile.")

    def get_media_type(self, pyramid: Pyramid) -> str:
        """Return the tiles' media type."""
        return content_type(pyramid.format)
