"""What documents name is there: links and their headings, files, modules, targets of make, drawings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
ROOMS = ("upscaler_client", "upscaler_site", "monitoring", "jobs", "modelstore", "audit")
FILES = {
    str(path.relative_to(REPOSITORY))
    for folder in (*ROOMS, "tests", "benchmarks", "training", "templates")
    for path in (REPOSITORY / folder).rglob("*")
    if path.is_file()
} | {path.name for path in REPOSITORY.iterdir() if path.is_file()}
#: First words of a Mermaid drawing that this project uses.
DRAWINGS = ("flowchart TD", "stateDiagram-v2", "sequenceDiagram")


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def anchors(text: str) -> set[str]:
    """The anchors that a host of repositories gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def code_spans(text: str) -> Iterator[str]:
    """Words in backticks, without fenced blocks."""
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_files_and_modules_are_there(path: Path) -> None:
    missing = []
    for span in code_spans(path.read_text(encoding="utf-8")):
        if re.fullmatch(r"[\w/]+\.py", span) and not any(file == span or file.endswith(f"/{span}") for file in FILES):
            missing.append(span)
        module = re.fullmatch(r"(upscaler_site|monitoring|jobs|modelstore)((\.[a-z_]+)+)", span)
        if module:
            parts = span.replace(".", "/")
            parent = parts.rpartition("/")[0]  # the last word may be a function
            if not any(f"{each}.py" in FILES or (REPOSITORY / each).is_dir() for each in (parts, parent)):
                missing.append(span)
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_targets_of_make_exist(path: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)\b", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_drawings_are_whole(path: Path) -> None:
    for drawing in re.findall(r"^```mermaid\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        assert drawing.startswith(DRAWINGS)
        for opening, closing in ("[]", "()", "{}"):
            assert drawing.count(opening) == drawing.count(closing), drawing
