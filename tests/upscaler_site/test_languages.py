"""The language of an answer: the caller's for people, English for staff; and caches know the difference."""

import pytest
from django.conf import settings as project
from django.test import Client
from pytest_django.fixtures import Settings

CHOSEN = {
    "de-AT,de;q=0.9,en;q=0.5": "de",
    "fr": "fr",
    "es-MX": "es",
    "ja": "ja",
    "zh-CN,zh;q=0.9": "zh-hans",
    "xx": "en",
}


@pytest.fixture(autouse=True)
def _no_collectstatic(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.mark.parametrize(("asked", "language"), CHOSEN.items())
@pytest.mark.django_db
def test_the_page_is_in_the_first_language_of_the_browser_that_there_is(
    client: Client, asked: str, language: str
) -> None:
    answer = client.get("/", headers={"Accept-Language": asked})
    assert f'<html lang="{language}">' in answer.content.decode()
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]


@pytest.mark.django_db
def test_staff_read_english(client: Client) -> None:
    answer = client.get("/admin/login/", headers={"Accept-Language": "de"})
    assert 'lang="en' in answer.content.decode()
    assert "Accept-Language" not in answer.get("Vary", "")


def test_the_texts_of_the_scripts_are_asked_for_anew_and_answered_304_while_they_are_the_same(client: Client) -> None:
    first = client.get("/jsi18n", headers={"Accept-Language": "ja"})
    assert first.status_code == 200
    assert "no-cache" in first["Cache-Control"]
    assert "Accept-Language" in first["Vary"]
    again = client.get("/jsi18n", headers={"Accept-Language": "ja", "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    english = client.get("/jsi18n", headers={"Accept-Language": "en", "If-None-Match": first["ETag"]})
    assert english.status_code == 200


def test_every_language_has_its_catalogues() -> None:
    from django.utils.translation import to_locale

    names = {to_locale(code) for code, _ in project.LANGUAGES} - {"en"}
    assert {path.name for path in project.LOCALE_PATHS[0].iterdir()} == names
