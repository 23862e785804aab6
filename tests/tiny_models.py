"""Tiny seeded networks: real weights files of real architectures that compute in milliseconds."""

from pathlib import Path

import pytest

TINY_MODEL = "tiny-x2"


def write_tiny_weights(path: Path, *, scale: int = 2, features: int = 4, convolutions: int = 1, seed: int = 7) -> Path:
    """Write a seeded SRVGGNetCompact as safetensors; equal arguments give equal files. torch is imported only here."""
    import torch
    from safetensors.torch import save_file

    from modelstore.networks.srvgg import SRVGGNetCompact

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SRVGGNetCompact(features=features, convolutions=convolutions, scale=scale)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ×2 network of a few hundred parameters, as a safetensors file."""
    return write_tiny_weights(tmp_path_factory.mktemp("tiny") / f"{TINY_MODEL}.safetensors")
