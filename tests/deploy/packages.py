"""Which packages an image has, and a Python that has no others."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.service import REPOSITORY

LOCKS = REPOSITORY / "deploy" / "images" / "locks"

#: Refuses every module that the image would not have. Python runs this at its start, in all processes that follow.
_SITE = """
import os, sys

class NotInTheImage:
    blocked = frozenset(os.environ["TESTS_BLOCKED_MODULES"].split())

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, NotInTheImage())
"""


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    """The versions in a lock, by normal name."""
    text = (LOCKS / f"{lock}.txt").read_text()
    return {
        normal(name): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE)
    }


def without_others(lock: str, place: Path) -> Mapping[str, str]:
    """The environment in which Python finds, of all that is installed here, only what the lock names."""
    there = set(locked(lock))
    owners = importlib.metadata.packages_distributions()
    blocked = {module for module, names in owners.items() if not there & {normal(name) for name in names}}
    blocked |= {"torch", "cv2", "openvino"}  # whether they are installed here or not
    place.mkdir(parents=True, exist_ok=True)
    (place / "sitecustomize.py").write_text(_SITE)
    return {
        "PYTHONPATH": os.pathsep.join([str(place), str(REPOSITORY)]),
        "TESTS_BLOCKED_MODULES": " ".join(sorted(blocked - set(sys.stdlib_module_names) - {"tests"})),
    }
