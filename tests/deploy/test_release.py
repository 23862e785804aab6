"""`make release`: one version everywhere, and what is handed out is whole."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from tests.checkout import cloned
from tests.deploy.compose import dockerfile, ours, service
from tests.deploy.packages import locked, normal
from tests.service import REPOSITORY
from upscaler_site.conf.version import VERSION

pytestmark = pytest.mark.processes


def script(name: str) -> ModuleType:
    """A script of .ci as a module."""
    loader = SourceFileLoader(name, str(REPOSITORY / ".ci" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The checkout as it stands, committed."""
    target = cloned(tmp_path / "clone")
    changed = subprocess.run(
        ["git", "ls-files", "--modified", "--others", "--exclude-standard"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in changed:
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)
    if git(target, "status", "--porcelain"):
        git(target, "add", "--all")
        git(target, "commit", "--quiet", "--message", "As it stands")
    return target


def release(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ".ci/release", version], cwd=folder, capture_output=True, text=True, check=False, timeout=500
    )


@pytest.mark.slow
def test_a_release_has_one_version_everywhere_and_everything_to_hand_out(clone: Path) -> None:
    major, minor, patch = (int(part) for part in VERSION.split("."))
    following = f"{major}.{minor + 1}.{patch}"
    news = clone / "CHANGELOG.md"
    news.write_text(news.read_text().replace("## Unreleased\n", "## Unreleased\n\n- Something new.\n", 1))
    git(clone, "commit", "--all", "--quiet", "--message", "News")
    done = release(clone, following)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^## Unreleased\n\n## {re.escape(following)}\n\n- Something new", news.read_text(), re.MULTILINE)
    changed = set(git(clone, "diff", "--name-only").split())
    assert changed == {"CHANGELOG.md", *script("release").PLACES}
    for path in (clone / "compose.yaml", clone / "Dockerfile", *(clone / "deploy" / "kubernetes").rglob("*.*")):
        assert VERSION not in path.read_text(), path

    out = clone / "dist" / following
    names = {path.name for path in out.iterdir()}
    assert {f"sbom-{image}.cdx.json" for image in ("web", "worker-cpu", "worker-cuda", "worker-vulkan")} < names
    for package in ("upscaler-", "upscaler_client-", "upscaler_engine-"):
        (wheel,) = out.glob(f"{package}{following}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (facts,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            assert f"\nVersion: {following}\n" in archive.read(facts).decode()
    assert (out / f"upscaler-{following}.tar.gz").is_file()
    lines = [line.split("  ") for line in (out / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert set(sums) == names - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    bill = json.loads((out / "sbom-web.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    extras = script("release").EXTRAS
    assert f'ARG EXTRAS="{" ".join(extras)}"' in dockerfile()
    there = {normal(name) for lock in ("web", *extras) for name in locked(lock)}
    assert {normal(part["name"]) for part in bill["components"]} == there
    assert all(part["version"] for part in bill["components"])
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == (
        "upscaler-web",
        following,
    )
    parts = {
        image: {
            normal(part["name"])
            for part in json.loads((out / f"sbom-worker-{image}.cdx.json").read_text())["components"]
        }
        for image in ("cpu", "cuda", "vulkan")
    }
    assert {"torch", "realesrgan", "basicsr", "nvidia-ml-py"} <= parts["cpu"] & parts["cuda"] & parts["vulkan"]
    assert {"nvidia-cublas", "triton"} <= parts["cuda"] - parts["cpu"] - parts["vulkan"]
    assert "ncnn" in parts["vulkan"] - parts["cpu"]
    again = release(clone, following)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.parametrize(("version", "says"), [
    ("", "no version"), ("1.1", "no version"), ("v1.1.0", "no version"), (VERSION, "does not follow"),
    ("0.9.9", "does not follow"),
])  # fmt: skip
def test_what_cannot_be_the_next_version_is_refused_and_changes_nothing(clone: Path, version: str, says: str) -> None:
    done = release(clone, version)
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    assert git(clone, "status", "--porcelain") == ""
    assert not (clone / "dist").exists()


def test_a_release_that_fails_in_the_middle_leaves_the_tree_as_it_was(clone: Path) -> None:
    for name, text in (("CHANGELOG.md", "\n- Something new.\n"), ("engine/pyproject.toml", "\n[broken\n")):
        path = clone / name
        before = path.read_text()
        path.write_text(
            before.replace("## Unreleased\n", f"## Unreleased\n{text}", 1) if "md" in name else before + text
        )
    git(clone, "commit", "--all", "--quiet", "--message", "News, and a fault")
    done = release(clone, "99.0.0")
    assert (done.returncode, "hatchling" in done.stderr) == (1, True), done.stderr
    assert git(clone, "status", "--porcelain") == ""
    assert not (clone / "dist" / "99.0.0").exists()


def test_a_tree_with_changes_is_refused(clone: Path) -> None:
    (clone / "README.md").write_text("changed")
    done = release(clone, "99.0.0")
    assert done.returncode == 1
    assert "README.md" in done.stderr


def test_every_place_names_this_version() -> None:
    assert f"ARG VERSION={VERSION}\n" in dockerfile()
    assert {service(name)["image"].removeprefix("upscaler:").partition("-")[0] for name in ours()} == {VERSION}


@pytest.mark.parametrize(("said", "printed", "code"), [
    ('{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}',
     "a 1: CVE-1, mended in 2", 1),
    ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', "no known vulnerability", 0),
    ("", "NOT AUDITED, the data could not be had: the network is away", 1),
])  # fmt: skip
def test_the_audit_says_what_it_found_or_that_it_could_not_ask(
    said: str, printed: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = script("audit")
    answer = subprocess.CompletedProcess([], code, stdout=said, stderr="the network is away" if not said else "")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_args, **_more: answer)
    audit.main()
    assert printed in capsys.readouterr().out
