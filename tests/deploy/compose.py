"""What compose.yaml and the Dockerfile say, for the tests that run it."""

import re
from functools import cache
from typing import Any

import yaml

from tests.service import REPOSITORY


@cache
def compose() -> dict[str, Any]:
    """The file as YAML, merges done; variables stand as they are."""
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    return loaded


def service(name: str) -> dict[str, Any]:
    """One service."""
    found: dict[str, Any] = compose()["services"][name]
    return found


def ours() -> list[str]:
    """The services that run one of our images."""
    return [name for name, each in compose()["services"].items() if each["image"].startswith("upscaler:")]


@cache
def dockerfile() -> str:
    """The Dockerfile, its comments left out, continued lines joined."""
    text = (REPOSITORY / "Dockerfile").read_text()
    return re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))


def stages() -> dict[str, list[str]]:
    """The instructions of each stage, by its name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", dockerfile(), flags=re.MULTILINE)
    return {
        name: [f"FROM {base}", *(line for line in body.splitlines() if line)]
        for base, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


def image_environment(target: str) -> dict[str, str]:
    """The variables that an image of that target sets."""
    lines = stages()[target]
    base = lines[0].removeprefix("FROM ")
    inherited = image_environment(base) if base in stages() else {}
    own = [pair for line in lines if line.startswith("ENV ") for pair in line.removeprefix("ENV ").split()]
    return inherited | dict(pair.split("=", 1) for pair in own)
