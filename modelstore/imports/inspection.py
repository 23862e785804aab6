"""Try one weights file in a process of its own; ``python -m modelstore.imports.inspection FILE SECONDS``.

It prints a line of JSON. A stranger's file is opened here and nowhere else before it was accepted: memory and processor
time are bounded, no GPU is visible, and if reading it kills the process, no worker dies. The parent (importing.py)
bounds the time by the clock. This is the only module of this room beside `networks` that imports torch.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from modelstore.networks.checkpoint import load
from modelstore.networks.errors import NetworkError

#: Side of the trial picture, in pixels: a multiple of every unshuffle factor, and quick for the largest networks.
TRIAL_SIDE = 16
#: Bytes of address space: torch's own mappings, and room for the weights several times over.
_BASE_BYTES = 16 << 30
_TIMES_FILE = 8


def examine(path: Path) -> dict[str, Any]:
    """Return facts about an acceptable file, ``{"network": {…}}``, or ``{"refused": "why"}``."""
    try:
        network, spec = load(path)
    except NetworkError as error:
        return {"refused": str(error)}
    side = torch.linspace(0, 1, TRIAL_SIDE)
    picture = (side[:, None] * side[None, :]).expand(1, spec.channels, TRIAL_SIDE, TRIAL_SIDE).contiguous()
    with torch.inference_mode():
        result = network(picture)
    wanted = (1, spec.channels, TRIAL_SIDE * spec.scale, TRIAL_SIDE * spec.scale)
    if tuple(result.shape) != wanted:
        return {"refused": f"a trial picture came back as {tuple(result.shape)}, not as {wanted}"}
    if not bool(torch.isfinite(result).all()):
        return {"refused": "a trial picture came back with NaN or infinity in it"}
    return {"network": asdict(spec)}


def main(path: Path, processor_seconds: int) -> None:
    """Print the outcome for the parent."""
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 5))
    limit = _BASE_BYTES + _TIMES_FILE * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        outcome = examine(path)
    except MemoryError:
        outcome = {"refused": "examining the file takes more memory than such a network may need"}
    except RuntimeError as error:  # torch's own out-of-memory and shape errors
        outcome = {"refused": f"a trial picture could not be run through it: {str(error).splitlines()[0][:200]}"}
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
