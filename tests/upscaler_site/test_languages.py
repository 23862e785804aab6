"""The language of an answer: the caller's for people, English for staff; and caches know the difference."""

import pytest
from django.conf import settings as project
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from tests.job_rows import waiting_job

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


UNKNOWN_PARAMETER = {
    "en": '"limt" is not known. Did you mean "limit"?',
    "de": "„limt“ ist nicht bekannt. Meinten Sie „limit“?",
    "fr": "« limt » est inconnu. Vouliez-vous dire « limit » ?",
    "es": "«limt» no se conoce. ¿Quiso decir «limit»?",
    "ja": "「limt」は不明です。「limit」のことですか？",
    "zh-CN": "未知的“limt”。您是指“limit”吗？",
}


@pytest.mark.parametrize(("asked", "said"), UNKNOWN_PARAMETER.items())
@pytest.mark.django_db
def test_an_error_of_the_api_is_in_the_callers_language_and_its_code_is_not(
    client: Client, asked: str, said: str
) -> None:
    answer = client.get("/api/v1/jobs?limt=1", headers={"Accept-Language": asked})
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_error"
    assert answer.json()["errors"][0]["field"] == "limt"
    assert answer.json()["errors"][0]["message"].startswith(said)
    assert "Accept-Language" in answer["Vary"]


@pytest.mark.django_db
def test_who_asks_for_no_language_gets_the_guides_english(client: Client) -> None:
    answer = client.get("/api/v1/jobs/invalid-job-id")
    assert answer.json() == {"detail": "Job not found: invalid-job-id", "code": "job_not_found"}
    german = client.get("/api/v1/jobs/invalid-job-id", headers={"Accept-Language": "de"})
    assert german.json() == {"detail": "Auftrag nicht gefunden: invalid-job-id", "code": "job_not_found"}


@pytest.mark.django_db
def test_an_error_that_a_row_holds_in_english_is_told_in_the_callers_language(client: Client) -> None:
    error = "the worker died 3 times while it worked on this job"
    job = waiting_job(status="failed", finished_at=Now(), error=error, error_code="worker_lost")
    address = f"/api/v1/jobs/{job.id}"
    assert client.get(address).json()["error"] == "The worker died 3 times while it worked on this job"
    german = client.get(address, headers={"Accept-Language": "de"}).json()
    assert german["error"] == "Der rechnende Prozess starb 3-mal bei diesem Auftrag"
    job.refresh_from_db()
    assert job.error == error


@pytest.mark.django_db
def test_what_programs_read_does_not_depend_on_the_language(client: Client) -> None:
    answer = client.get("/metrics", headers={"Accept-Language": "de"})
    assert "Accept-Language" not in answer.get("Vary", "")
