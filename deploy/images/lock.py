"""Write the images' locks anew: exact versions with their files' hashes, for the image's Python and any processor.

    pip install uv && python deploy/images/lock.py

Reads metadata only: no wheel of torch or CUDA is downloaded. Run it after a change of requirements*.txt; a test says
where it was forgotten. The hashes are those of the Python Package Index.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "locks"
#: As in the Dockerfile.
PYTHON = "3.12"
#: Packages that the images hold beyond those of their part: as in install.sh.
EXTRAS = ("s3", "redis", "oidc", "otel")
#: What only torch's build for NVIDIA asks for. nvidia-ml-py is ours, and pure Python.
_CUDA = re.compile(r"^(torch|triton|cuda-.*|nvidia-(?!ml-py).*)==")


def blocks_of(lock: str) -> list[str]:
    """Return the parts of a lock, one for each package: its version with its hashes."""
    return re.findall(r"^[^ #\n].*(?:\n .*)*", lock, re.MULTILINE)


def compiled(*files: str, constraints: str = "", dependencies: bool = True) -> str:
    """Return what requirements files pin, with everything that they need unless ``dependencies`` is false."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) / "constraints.txt"
        kept.write_text(constraints, encoding="utf-8")
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--constraint", str(kept), *([] if dependencies else ["--no-deps"])]
        done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def main() -> None:
    """Write every lock; all of one image agree, because the smaller ones take their versions from the largest."""
    whole = compiled("requirements.txt")
    versions = [block.split(" \\")[0] for block in blocks_of(whole)]
    constraints = "\n".join(versions)
    # basicsr is built with an older setuptools.
    without_setuptools = "\n".join(version for version in versions if not version.startswith("setuptools=="))
    locks = {
        "web": compiled("requirements-web.txt", constraints=constraints),
        "worker": "\n".join(block for block in blocks_of(whole) if not _CUDA.match(block)) + "\n",
        "torch-cuda": whole,
        "vulkan": compiled("requirements-vulkan.txt", constraints=constraints),
        "redis": compiled("requirements-redis.txt", constraints=constraints),
        **{extra: compiled(f"requirements-{extra}.txt", constraints=constraints) for extra in EXTRAS},
        "families": compiled("requirements-families.txt", dependencies=False),
        "reference-build": compiled("requirements-build.txt", constraints=without_setuptools),
        "reference": compiled("requirements-reference.txt", dependencies=False),
    }
    for name, text in locks.items():
        (LOCKS / f"{name}.txt").write_text(f"# Written by deploy/images/lock.py.\n{text}", encoding="utf-8")
        sys.stdout.write(f"{name}: {len(blocks_of(text))} packages\n")


if __name__ == "__main__":
    main()
