"""The catalogues are complete: each text is translated, into the same places, in every form of its plural."""

import gettext
import re
import subprocess
import sys
from pathlib import Path

import polib
import pytest

from tests.service import REPOSITORY

LOCALE = REPOSITORY / "templates" / "locale"
FILES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))
FORMS = {"de": 2, "es": 2, "fr": 2, "ja": 1, "zh_Hans": 1}
_PLACES = re.compile(r"\{\w*\}|%\(\w+\)s|%s")


def language(path: Path) -> str:
    return path.parent.parent.name


def forms(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_each_language_has_a_catalogue_of_the_page_its_scripts_and_the_errors() -> None:
    assert {(language(path), path.stem) for path in FILES} == {
        (name, domain) for name in FORMS for domain in ("django", "djangojs", "errors")
    }


def test_they_hold_exactly_the_texts_of_the_project_and_are_compiled() -> None:
    command = [sys.executable, str(REPOSITORY / ".ci" / "messages"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{language(path)}-{path.stem}")
def test_nothing_is_missing_guessed_or_left_over(path: Path) -> None:
    catalogue = polib.pofile(str(path))
    assert [entry.msgid for entry in catalogue if not all(forms(entry))] == []
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == []
    assert "Glossary" in catalogue.header


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{language(path)}-{path.stem}")
def test_places_and_plural_forms_are_those_of_the_source(path: Path) -> None:
    wrong = []
    for entry in polib.pofile(str(path)):
        places = sorted(_PLACES.findall(entry.msgid))
        wrong += [form for form in forms(entry) if sorted(_PLACES.findall(form)) != places]
        if entry.msgid_plural and len(forms(entry)) != FORMS[language(path)]:
            wrong.append(entry.msgid)
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("de", ["0 Bilder sind fertig.", "1 Bild ist fertig.", "2 Bilder sind fertig."]),
        ("es", ["0 imágenes han terminado.", "1 imagen ha terminado.", "2 imágenes han terminado."]),
        ("fr", ["0 image est terminée.", "1 image est terminée.", "2 images sont terminées."]),
        ("ja", [f"{n} 枚の画像が完了しました。" for n in range(3)]),
        ("zh_Hans", [f"{n} 张图片已完成。" for n in range(3)]),
    ],
)
def test_a_number_has_the_form_of_the_language(name: str, said: list[str]) -> None:
    catalogue = gettext.translation("djangojs", LOCALE, [name])
    texts = [catalogue.ngettext("%s picture is finished.", "%s pictures are finished.", n) % n for n in range(3)]
    assert texts == said
