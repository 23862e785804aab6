"""Make a weights file of a run's averaged weights: `python -m training.export --run FOLDER --output FILE`.

Works at any moment, also while the run goes on: checkpoints are replaced in one move.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.run import SCALE, Run
from training.train import CHECKPOINT

NAME = "bundled-compact-x4"
LICENCE = "BSD-3-Clause"
DATA = "BSDS500 train and val (Arbelaez et al., TPAMI 2011)"


def export(run: Run, output: Path, *, data: str = DATA) -> None:
    """Write the averaged weights as fp16 safetensors, replacing `output` in one move.

    :raises ValueError: when a weight does not fit fp16, which would make a broken picture somewhere later.
    """
    tensors = {}
    for name, value in run.average.state_dict().items():
        half = value.detach().to("cpu", torch.float16).contiguous()
        if not bool(torch.isfinite(half).all()):
            raise ValueError(f"{name} does not fit fp16: its largest value is {float(value.abs().max()):g}")
        tensors[name] = half
    metadata = {
        "name": NAME,
        "architecture": "SRVGGNetCompact",
        "scale": str(SCALE),
        "licence": LICENCE,
        "data": data,
        "training_steps": str(run.step),
        "recipe": json.dumps(asdict(run.recipe), sort_keys=True),
    }
    part = output.with_name(output.name + ".part")
    save_file(tensors, part, metadata)
    part.chmod(0o644)  # safetensors makes files that only their owner can read
    part.replace(output)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", default=DATA, help="what it was trained on, for the file's metadata")
    options = parser.parse_args(arguments)
    run, _ = Run.load(options.run / CHECKPOINT, "cpu")
    export(run, options.output, data=options.data)
    content = options.output.read_bytes()
    print(f"{options.output}: step {run.step}, {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
