"""A container's confinement without an engine, by bubblewrap: a root that nobody can write, uid 10001, no capability.

The packages are those of this Python (test_web_alone.py tells what an image's own packages are enough for). Network and
host name are this machine's. Not tested by it: what an engine does with images, volumes, profiles and health checks.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.service import REPOSITORY

UID = 10001
#: Directories of the system that programs are run from; links (merged /usr) stay links.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc")


def _places_of_python() -> list[Path]:
    """This Python's own directories, where they are not the system's."""
    found = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.prefix)}
    return sorted(path for path in found if not path.is_relative_to("/usr"))


def program(place: Path) -> Path:
    """The files that the build would take in, below ``place``, as the Dockerfile leaves them."""
    kept = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in (line.removeprefix("!") for line in kept):
        source, target = REPOSITORY / name, place / name
        if source.is_dir() and name != "deploy/images":
            shutil.copytree(source, target, ignore=ignored)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", str(place)], check=True)
    _users_of(place).write_text(f"root:x:0:0::/root:/bin/sh\nupscaler:x:{UID}:{UID}::/data:/usr/sbin/nologin\n")
    return place


def _users_of(app: Path) -> Path:
    return app.with_name(f"{app.name}.passwd")


def command(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    app: Path,
    writable: Mapping[str, Path] | None = None,
    readable: Mapping[str, Path] | None = None,
    tmpfs: Sequence[str] = ("/tmp",),
    uid: int = UID,
    capabilities: Sequence[str] = (),
) -> list[str]:
    """A command that runs ``words`` in a container of ours."""
    box = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--new-session", "--clearenv"]
    for path in _SYSTEM:
        if Path(path).is_symlink():
            box += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            box += ["--ro-bind", path, path]
    bound = [*_places_of_python(), *(Path(inside) for inside in (*(readable or {}), *(writable or {})))]
    for parent in sorted({parent for path in bound for parent in path.parents} - {Path("/")}):
        if not any(parent.is_relative_to(path) for path in (*_SYSTEM, *tmpfs)):
            box += ["--perms", "0755", "--dir", str(parent)]
    for place in _places_of_python():
        box += ["--ro-bind", str(place), str(place)]
    box += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]
    for path in tmpfs:
        box += ["--perms", "1777", "--tmpfs", path]
    box += ["--ro-bind", str(app), "/app"]
    if _users_of(app).exists():
        box += ["--ro-bind", str(_users_of(app)), "/etc/passwd"]
    for flag, places in (("--ro-bind", readable or {}), ("--bind", writable or {})):
        for inside, outside in places.items():
            box += [flag, str(outside), inside]
    for name, value in {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/data", **environment}.items():
        box += ["--setenv", name, value]
    box += ["--remount-ro", "/", "--chdir", "/app", "--cap-drop", "ALL"]
    kept = [f"CAP_{name}" for name in capabilities]
    for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", *kept):
        box += ["--cap-add", name]
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
    drop = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--bounding-set", bounds]
    return [*box, *drop, "--inh-caps", "-all", "--no-new-privs", *words]


@cache
def _obstacle() -> str:
    """Why no such container can be had here, or ""."""
    if not shutil.which("bwrap") or not shutil.which("setpriv"):
        return "bubblewrap or setpriv is not here: apt-get install bubblewrap util-linux"
    if os.geteuid() != 0:
        return f"only root can become uid {UID}"
    tried = subprocess.run(
        command(["id", "-u"], {}, app=REPOSITORY), capture_output=True, text=True, check=False, timeout=60
    )
    return "" if tried.stdout.strip() == str(UID) else f"bubblewrap cannot confine here: {tried.stderr.strip()}"


def require() -> None:
    """Skip the test where this machine cannot confine, and say why."""
    if why := _obstacle():
        pytest.skip(why)
