"""The build of the kernels: one library per instruction set of this machine's architecture.

    python -m jobs.engine.backends.winograd.build [--cc CC] [--to FOLDER] [--optional]

Takes the compiler that is asked for, or else cc, gcc or clang. ``--cc zig`` is the C compiler of the ``ziglang`` wheel,
for machines without any. Prints one line: what it built, or why it could not.
"""

import argparse
import ctypes
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jobs.engine.backends.winograd.variants import FOLDER, SOURCE, Variant, digest, variants

_FLAGS = (
    "-std=gnu11", "-O3", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror=implicit-function-declaration",
    "-fPIC", "-shared", "-fvisibility=hidden", "-pthread",
)  # fmt: skip
#: Seconds for one variant; gcc takes one, zig on its first run ten.
_DEADLINE = 300


class BuildFailed(Exception):
    """Nothing was built; the message says why."""


def compiler(wanted: str = "") -> list[str]:
    """Return the command of a C compiler.

    :param wanted: a command, or "zig"; "" takes the first of the usual ones.
    :raises BuildFailed: there is none.
    """
    if wanted == "zig":
        # By itself zig compiles for the very processor that it runs on, whatever instruction set is asked for.
        if importlib.util.find_spec("ziglang") is not None:
            return [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]
        raise BuildFailed("the ziglang package is not installed")
    if wanted:
        command = shlex.split(wanted)
        if shutil.which(command[0]) is None:
            raise BuildFailed(f"there is no {command[0]}")
        return command
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise BuildFailed("no C compiler was found (cc, gcc, clang)")


def build(folder: Path = FOLDER, *, cc: str = "") -> str:
    """Write the libraries of all variants into a folder, and return a line that names them.

    A library replaces its predecessor at once and whole: a process that computes with the old one keeps it.

    :raises BuildFailed: the compiler is missing, fails, or makes something that is no such library.
    """
    if not variants():
        raise BuildFailed(f"there are no kernels for {platform.machine()}")
    command = compiler(cc)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for variant in variants():
            _compile(command, variant, folder)
    except OSError as error:
        raise BuildFailed(f"{error.filename or folder}: {error.strerror or error}") from error
    names = ", ".join(variant.name for variant in variants())
    return f"built the winograd kernels for {names} by {' '.join(Path(part).name for part in command[:4])}"


def _compile(command: Sequence[str], variant: Variant, folder: Path) -> None:
    source = digest()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / variant.file
        flags = (*_FLAGS, *variant.flags, f'-DSOURCE="{source}"')
        try:
            done = subprocess.run(
                [*command, *flags, str(SOURCE), "-o", str(made)],
                capture_output=True, text=True, errors="replace", check=False, timeout=_DEADLINE,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BuildFailed(f"{command[0]} took more than {_DEADLINE} s for {variant.name}") from error
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-200:])
            raise BuildFailed(f"{command[0]} failed for {variant.name}: {said or f'exit status {done.returncode}'}")
        _check(made, source, command[0])
        os.replace(made, folder / variant.file)  # noqa: PTH105 - pathlib's replace does the same


def _check(made: Path, source: str, name: str) -> None:
    """:raises BuildFailed: the compiler said that all went well, and that was not so."""
    try:
        library = ctypes.CDLL(str(made))
        library.winograd_source.restype = ctypes.c_char_p
        carries = library.winograd_source().decode()
    except (OSError, AttributeError) as error:
        raise BuildFailed(f"{name} succeeded, but made no library that can be loaded") from error
    if carries != source:
        raise BuildFailed(f"{name} succeeded, but made a library of another source")


def main() -> int:
    """Build as the command line asks. :returns: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default="", help="a C compiler, or zig for the one in the ziglang wheel")
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder for the libraries (%(default)s)")
    parser.add_argument("--optional", action="store_true", help="exit with 0 also where nothing could be built")
    arguments = parser.parse_args()
    try:
        print(build(arguments.to, cc=arguments.cc))  # noqa: T201 - the command's answer
    except BuildFailed as error:
        print(f"Note: no winograd kernels: {error}")  # noqa: T201 - as above
        return 0 if arguments.optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
