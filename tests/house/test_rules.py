"""Rules of CONTRIBUTING.md that no linter knows, seen in the code itself; needs no database."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ROOMS = ("upscaler_client", "upscaler_site", "monitoring", "jobs", "modelstore", "audit")
MODULES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py") if "migrations" not in path.parts)

#: Where rows change their state: the verbs of the querysets, and a job that begins its life as completed.
VERBS = {
    "jobs/models/job.py",
    "jobs/models/job_claiming.py",
    "jobs/models/job_queryset.py",
    "jobs/models/webhook.py",
    "modelstore/catalog_rows.py",
    "modelstore/models.py",
}
#: Django imports these to find an app's tables and admin pages; programs of other people import the client's.
FOUND_BY_OTHERS = {"jobs/models/__init__.py", "jobs/admin/__init__.py", "upscaler_client/__init__.py"}


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def changes_of_state(tree: ast.AST) -> Iterator[int]:
    """Lines that assign ``.status``/``.state``, or hand one to ``update()``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Attribute) and target.attr in ("status", "state") for target in targets):
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "update"
            and any(keyword.arg in ("status", "state") for keyword in node.keywords)
        ):
            yield node.lineno


def test_the_rule_about_states_sees_what_it_must_see() -> None:
    seen = changes_of_state(ast.parse("job.status = 1\njobs.update(status=2)\nx = job.status\njobs.filter(status=3)"))
    assert list(seen) == [1, 2]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_rows_change_their_state_by_verbs_only(path: Path) -> None:
    if named(path) in VERBS or named(path).startswith("upscaler_client/"):  # the client has no rows
        return
    found = list(changes_of_state(ast.parse(path.read_text())))
    assert not found, f"{named(path)}: lines {found} change a row's state; call a verb of its queryset"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_whoever_catches_everything_says_why(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.match(r"\s*except Exception\b", line):
            assert re.search(r"  # .{10,}|  # as above", line), f"{named(path)}:{number}: give the reason"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=named)
def test_a_package_is_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{named(path)}: say what the room is for"
    assert len(tree.body) == 1 or named(path) in FOUND_BY_OTHERS, f"{named(path)} holds more than its docstring"


#: Who may name the directory of pictures: its store; settings; who looks whether it is a directory, and how full.
KNOW_THE_DIRECTORY = {
    "jobs/apps.py",
    "jobs/submission/uploads.py",
    "modelstore/stores/chosen.py",
    "monitoring/checks.py",
    "monitoring/doctor/stores.py",
    "monitoring/health.py",
    "monitoring/machines.py",
    "monitoring/metrics.py",
    "monitoring/system.py",
    "upscaler_site/serve.py",
    "upscaler_site/settings.py",
    "upscaler_site/web/request_body.py",
}


def paths_of_pictures(source: str) -> list[int]:
    """Lines of code that name the directory of pictures, or Django's storage of it."""
    named_by = re.compile(r"\b(MEDIA_ROOT|FILE_UPLOAD_TEMP_DIR|default_storage|FILES_DIR)\b")
    found = []
    for node in ast.walk(ast.parse(source)):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if isinstance(node, ast.ImportFrom):
            name = " ".join(alias.name for alias in node.names)
        if named_by.search(name):
            found.append(node.lineno)  # type: ignore[attr-defined]  # each of the three has one
    return found


def test_the_rule_about_paths_sees_what_it_must_see() -> None:
    code = "from django.core.files.storage import default_storage\nsettings.MEDIA_ROOT / name\n# MEDIA_ROOT\nx = 1"
    assert paths_of_pictures(code) == [1, 2]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_where_pictures_are_the_store_alone_knows(path: Path) -> None:
    if named(path) not in KNOW_THE_DIRECTORY:
        found = paths_of_pictures(path.read_text())
        assert not found, f"{named(path)}: lines {found} know a path; ask jobs/storage/files.py"
