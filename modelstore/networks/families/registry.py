"""The families that the optional package spandrel knows, imported without torchvision where that cannot be imported.

Two of its files import names from torchvision, whose wheels do not load with a CPU build of torch; no network that is
accepted here computes with them. So stand-ins lie in `sys.modules` while spandrel is imported, and only then.
"""

import enum
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from modelstore.networks.errors import ArchitectureUnknown

HOW_TO_INSTALL = "`make families` installs it; elsewhere: pip install --no-deps spandrel einops"
_STAND_INS = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


def available() -> bool:
    """Return True if the package is installed, without importing it."""
    return find_spec("spandrel") is not None and find_spec("einops") is not None


def registry() -> Any:
    """Return spandrel's registry of architectures, imported on first use (a second).

    :raises ArchitectureUnknown: the package is not installed; the message says how to get it.
    """
    if not available():
        raise ArchitectureUnknown(f"this needs the spandrel package: {HOW_TO_INSTALL}")
    if "spandrel" in sys.modules:
        return sys.modules["spandrel"].MAIN_REGISTRY
    with _torchvision():
        return importlib.import_module("spandrel").MAIN_REGISTRY


def names() -> list[str]:
    """Return the names of all families, such as "SPAN", in alphabetical order; none where the package is missing."""
    return sorted((str(one.architecture.id) for one in registry()), key=str.lower) if available() else []


@contextmanager
def _torchvision() -> Iterator[None]:
    others = _taken() if getattr(sys.modules.get("torchvision"), "__spec__", "none") is None else {}
    try:
        importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError):  # RuntimeError: installed, but for another build of torch
        _taken()
    else:
        yield
        return
    modules = [ModuleType(name, "A stand-in; see modelstore.networks.families.registry.") for name in _STAND_INS]
    modules[2].__dict__.update(
        InterpolationMode=enum.Enum("InterpolationMode", ["NEAREST", "BILINEAR"]), rotate=_refuse, normalize=_refuse
    )
    try:
        sys.modules.update(zip(_STAND_INS, modules, strict=True))
        yield
    finally:
        _taken()
        sys.modules.update(others)  # the stand-ins of the reference backend, which has been loaded before


def _taken() -> dict[str, ModuleType]:
    """Forget every module of torchvision and return them: stand-ins, and those that a failed import left behind."""
    names = [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
    return {name: sys.modules.pop(name) for name in names}


def _refuse(*_: Any, **__: Any) -> None:
    raise NotImplementedError("a stand-in for torchvision: no network that is accepted here needs it")
