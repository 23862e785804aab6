"""Sentences that rooms raise and store in English, as people read them."""

import re

import polib
import pytest
from django.conf import settings
from django.utils import translation

from modelstore.errors import OFFLINE_ADVICE, ModelNotReady
from modelstore.sentences import told, translated, unknown


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


def test_callers_read_neither_commands_nor_repositories() -> None:
    name = "RealESRGAN_x4plus"
    for_operators = f"`python manage.py download_models {name}`. {OFFLINE_ADVICE}"
    advice = f"Download it first using /api/v1/models/download or {for_operators}"
    assert told(str(ModelNotReady(name, advice))) == (
        "Model not available: RealESRGAN_x4plus. Download it first using /api/v1/models/download"
    )
    assert told(f"huggingface somebody/Upscalers: HTTP 404; github: HTTP 404. {OFFLINE_ADVICE}") == (
        "huggingface: HTTP 404; github: HTTP 404"
    )


def test_an_unknown_word_is_answered_by_the_nearest_and_the_list() -> None:
    said = unknown("outscal", ["tile_size", "outscale"])
    assert said == '"outscal" is not known. Did you mean "outscale"? There are: outscale, tile_size'
    assert unknown("zzz", ["b", "a"]) == '"zzz" is not known. There are: a, b'


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("de", "Das Bild hat 8000×8000 px, 64 Megapixel; die Grenze ist 50 Megapixel"),
        ("fr", "L’image fait 8000×8000 px, 64 mégapixels ; la limite est 50 mégapixels"),
        ("es", "La imagen mide 8000×8000 px, 64 megapíxeles; el límite es 50 megapíxeles"),
        ("ja", "画像は 8000×8000 px、64 メガピクセル です。上限は 50 メガピクセル です"),
        ("zh-hans", "图片为 8000×8000 px，64 百万像素；上限为 50 百万像素"),
    ],
)
def test_a_sentence_and_what_was_filled_in_are_translated(language: str, shown: str) -> None:
    with translation.override(language):
        assert told("the image is 8000×8000 px, 64 megapixels; the limit is 50 megapixels") == shown


def test_what_callers_wrote_is_not_translated() -> None:
    with translation.override("de"):
        assert told(unknown("faild", ["completed", "failed"])) == (
            "„faild“ ist nicht bekannt. Meinten Sie „failed“? Möglich sind: completed, failed"
        )


def test_each_sentence_of_the_catalogue_is_found_again() -> None:
    """None is hidden behind another one, whose places would take its words."""
    hidden = []
    for path in sorted(settings.LOCALE_PATHS[0].glob("de/LC_MESSAGES/errors.po")):
        for entry in polib.pofile(str(path)):
            names = re.findall(r"\{(\w+)\}", entry.msgid)
            values = {name: f"<{number}>" for number, name in enumerate(names)}
            with translation.override("de"):
                if translated(entry.msgid.format(**values)) != entry.msgstr.format(**values):
                    hidden.append(entry.msgid)
    assert hidden == []


def test_callers_read_no_numbers_of_the_system() -> None:
    assert told("github: Network error: [Errno -2] Name or service not known") == (
        "github: Network error: Name or service not known"
    )
    assert told("huggingface: certificate has expired (_ssl.c:1006)") == "huggingface: certificate has expired"
