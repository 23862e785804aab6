"""`manage.py doctor`: its lines, its JSON, its exit code; and the page in the admin."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from modelstore.models import Model
from tests.jobs import made
from tests.jobs.conftest import model
from tests.staff import Staff

__all__ = ["model"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


def asked(*words: str) -> str:
    out = StringIO()
    call_command("doctor", "--no-devices", *words, stdout=out)
    return out.getvalue()


def test_a_sound_installation_ends_well(model: Model) -> None:
    made.worker()
    made.worker("io")
    said = asked()
    assert said.endswith("No faults, 0 warnings\n")
    assert "ok       database  PostgreSQL" in said
    shape = json.loads(asked("--json"))
    assert (shape["faults"], shape["warnings"]) == (0, 0)
    assert {"area", "level", "told", "advice"} == set(shape["findings"][0])
    assert {one["level"] for one in shape["findings"]} <= {"fine", "note"}


def test_a_fault_ends_with_1_and_says_what_to_do(model: Model) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match=r"^2 faults, 0 warnings$") as ended:
        call_command("doctor", "--no-devices", stdout=out)
    assert ended.value.returncode == 1
    assert "FAULT    workers   No gpu worker is alive" in out.getvalue()
    assert "→ Start them: python -m upscaler_site.serve" in out.getvalue()
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", "--no-devices", "--json", stdout=out)
    assert json.loads(out.getvalue())["faults"] == 2


@pytest.mark.parametrize("words", [["--prove", "--pictures", "9"], ["--pictures", "40"], ["--pictures", "x"]])
def test_misuse_is_told_before_anything_is_examined(words: list[str]) -> None:
    with pytest.raises(CommandError, match="--pictures") as ended:
        asked(*words)
    assert ended.value.returncode in (1, 2)  # Django's parser raises its own where it is called from Python


def test_the_page_examines_when_asked(staff: Staff, model: Model) -> None:
    assert staff().get("/admin/doctor/").status_code == 403
    viewer = staff("Viewers")
    before = viewer.get("/admin/doctor/").content.decode()
    assert "PostgreSQL" not in before
    assert "manage.py doctor" in before
    assert "Operators may have it made" in before
    assert viewer.post("/admin/doctor/").status_code == 403
    page = staff("Operators").post("/admin/doctor/").content.decode()
    for fact in ("2 faults", "PostgreSQL", "No gpu worker is alive", "Start them:", model.name, "Examine again"):
        assert fact in page


def test_the_echo_is_for_the_doctor_alone(staff: Staff) -> None:
    for query in ("", "?by=doctor", "?by=doctor:abc:def"):
        assert staff("Managers").get(f"/api/doctor{query}").status_code == 404
