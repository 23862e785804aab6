"""Sentences that rooms raise and store in English, as people read them."""

import pytest
from django.utils import translation

from modelstore.sentences import told, unknown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the image file is empty", "The image file is empty"),
        ("This field is required.", "This field is required"),
        ("model-a has no denoise strength", "model-a has no denoise strength"),
        ("image_url: more than 5 redirects", "image_url: more than 5 redirects"),
        ("Wait …", "Wait …"),
    ],
)
def test_english_begins_with_a_capital_and_ends_without_a_full_stop(text: str, shown: str) -> None:
    with translation.override("en"):
        assert told(text) == shown


def test_an_unknown_word_is_answered_by_the_nearest_and_the_list() -> None:
    said = unknown("outscal", ["tile_size", "outscale"])
    assert said == '"outscal" is not known. Did you mean "outscale"? There are: outscale, tile_size'
    assert unknown("zzz", ["b", "a"]) == '"zzz" is not known. There are: a, b'
