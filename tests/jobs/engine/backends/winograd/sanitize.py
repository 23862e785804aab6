"""The kernels over many shapes under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.

    python -m tests.jobs.engine.backends.winograd.sanitize [--cc CC] [--seconds 5] [--seed 1]

Each variant that this processor runs is compiled with `fuzz.c`, and runs for that long.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from jobs.engine.backends.winograd.build import compiler
from jobs.engine.backends.winograd.library import runnable
from jobs.engine.backends.winograd.variants import SOURCE

FUZZ = Path(__file__).with_name("fuzz.c")
FLAGS = ("-std=gnu11", "-g", "-pthread", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
SANITIZERS = ("address,undefined", "thread")


def fuzz(command: list[str], sanitizer: str, flags: tuple[str, ...], seconds: int, seed: int) -> tuple[bool, str]:
    """Compile and run; return whether all went well, and what was said. "" is no sanitizer, and optimised."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fuzz"
        how = ("-O1", f"-fsanitize={sanitizer}") if sanitizer else ("-O3",)
        made = subprocess.run(
            [*command, *FLAGS, *how, *flags, f"-I{SOURCE.parent}", str(FUZZ), "-o", str(program), "-lm"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            return False, made.stderr
        try:
            ran = subprocess.run(
                [program, str(seconds), str(seed)], capture_output=True, text=True, check=False, timeout=seconds + 120
            )
        except subprocess.TimeoutExpired:
            return False, "threads wait for each other for ever"
        return ran.returncode == 0, ran.stdout + ran.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default="")
    parser.add_argument("--seconds", type=int, default=5, help="for each variant and sanitizer (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    command = compiler(arguments.cc)
    failed = False
    for variant in runnable():
        for sanitizer in SANITIZERS:
            well, said = fuzz(command, sanitizer, variant.flags, arguments.seconds, arguments.seed)
            print(f"{variant.name}, {sanitizer}: {'' if well else 'FAILED '}{said.strip()}", flush=True)
            failed = failed or not well
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
