"""The README says what is true: its addresses, its commands, its eight settings; and the table of all settings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import Resolver404, resolve

from modelstore.catalog import BUNDLED_NAME, OFFICIAL

REPOSITORY = Path(__file__).resolve().parent.parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SCRIPT = """from upscaler_site.conf.settings_table import DOCUMENT, table, table_in
print(table() == table_in(DOCUMENT.read_text()))
"""


@pytest.mark.processes
def test_the_configuration_table_lists_every_variable_with_its_default(tmp_path: Path) -> None:
    """In a process of its own, whose environment leaves every default as it is."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    environment["UPSCALER_DATA_DIR"] = str(tmp_path)  # the table shows the default all the same
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True", "run: python -m upscaler_site.conf.settings_table"


def test_the_readmes_settings_have_the_defaults_of_the_whole_table() -> None:
    rows = re.compile(r"^\| `([A-Z_]+)` \| (`[^`]*`)? ?\|", re.MULTILINE)
    everything = dict(rows.findall((REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")))
    shown = dict(rows.findall(README))
    assert len(shown) == 8
    assert shown == {name: everything[name] for name in shown}


def test_every_address_in_the_readme_exists() -> None:
    paths = {
        re.sub(r"\{\w+\}", "x", path).rstrip(".")
        for path in re.findall(r"(?:(?<![\w.])|localhost:8000)(/(?:api|admin|metrics)[\w/{}-]*)", README)
    }
    assert {"/api/v1/upscale", "/api/docs", "/metrics", "/admin/"} <= paths
    unknown = []
    for path in sorted(paths):
        try:
            resolve(path)
        except Resolver404:
            unknown.append(path)
    assert unknown == []


def test_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"manage\.py (\w+)", README))
    assert {"upscale", "createsuperuser", "import_model"} <= named
    assert named - set(get_commands()) == set()


def test_the_table_of_models_lists_those_that_can_be_had() -> None:
    table = README.partition("## Models")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) == {*OFFICIAL, BUNDLED_NAME}


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"`?make (run|test|setup|check|\w+)\b(?=[`\s:)]| ARGS)", README)) & set(
        re.findall(r"^make (\w+)", README, re.MULTILINE)
    )
    makefile = (REPOSITORY / "Makefile").read_text()
    assert {"run", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_file_that_the_readme_names_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert "modelstore/bundled/README.md" in links
    assert [link for link in links if not (REPOSITORY / link.partition("#")[0]).exists()] == []
    assert (REPOSITORY / "samples" / "sample.png").is_file()
