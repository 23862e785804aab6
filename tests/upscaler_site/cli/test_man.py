"""``upscaler man``: pages that man reads without a complaint."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.upscaler_site.cli.test_main import upscaler
from upscaler_site.cli.main import COMMANDS

pytestmark = pytest.mark.processes


def test_every_command_has_a_page_that_says_its_exit_codes(tmp_path: Path) -> None:
    done = upscaler(tmp_path / "data", "man", "--output", tmp_path / "man")
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "man" / "man1").iterdir()}
    assert set(pages) == {"upscaler.1", *(f"upscaler-{command}.1" for command in COMMANDS)}
    for name, page in pages.items():
        assert all(section in page for section in (".SH NAME", ".SH SYNOPSIS", ".SH SEE ALSO")), name
        assert ".SH EXIT STATUS" in page, name
    assert "\\fB\\-\\-watch\\fR" in pages["upscaler-upscale.1"]
    synopsis = pages["upscaler-upscale.1"].partition(".SH SYNOPSIS")[2].partition(".SH")[0]
    assert ("upscaler upscale" in synopsis, "upscaler\\-upscale" in synopsis) == (True, False)
    assert upscaler(tmp_path / "data", "man", "upscale").stdout == pages["upscaler-upscale.1"]
    readers = [
        command for command in (["man", "--warnings", "-l"], ["mandoc", "-W", "warning"]) if shutil.which(command[0])
    ]
    if not readers:
        pytest.skip("neither man nor mandoc is here to read the pages")
    for reader in readers:
        for path in sorted((tmp_path / "man" / "man1").iterdir()):
            read = subprocess.run([*reader, str(path)], capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, ""), path.name
            assert path.stem.upper() in read.stdout


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = upscaler(tmp_path / "data", "man", "--output", tmp_path / "file")
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True)
