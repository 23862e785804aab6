"""Weights files of every kind: good ones of each family, and bad ones that must be refused."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny_models import write_tiny_weights


def _rrdbnet(scale: int = 4, unshuffle: int = 1) -> dict[str, Any]:
    import torch

    from modelstore.networks.rrdbnet import RRDBNet

    torch.manual_seed(3)
    doublings = (scale * unshuffle).bit_length() - 1
    network = RRDBNet(channels=3, features=8, blocks=1, growth=4, unshuffle=unshuffle, doublings=doublings)
    return dict(network.state_dict())


def rrdbnet_pth(path: Path) -> None:
    """As the official files: ``params_ema`` in a .pth."""
    import torch

    torch.save({"params_ema": _rrdbnet()}, path)


def rrdbnet_x2_unshuffle(path: Path) -> None:
    import torch

    torch.save({"params": _rrdbnet(scale=2, unshuffle=2)}, path)


def old_esrgan(path: Path) -> None:
    """ESRGAN's first key names, without a wrapper."""
    import re

    import torch

    names = {
        "conv_first": "model.0",
        "conv_body": "model.1.sub.1",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    old = {}
    for key, value in _rrdbnet().items():
        match = re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)\.(weight|bias)", key)
        if match:
            old[f"model.1.sub.{match[1]}.RDB{match[2]}.conv{match[3]}.0.{match[4]}"] = value
        else:
            name, kind = key.rsplit(".", 1)
            old[f"{names[name]}.{kind}"] = value
    torch.save(old, path)


def tiny_safetensors(path: Path) -> None:
    write_tiny_weights(path)


GOOD: dict[str, tuple[Callable[[Path], None], str, int]] = {
    "rrdbnet.pth": (rrdbnet_pth, "rrdbnet", 4),
    "rrdbnet-x2.pth": (rrdbnet_x2_unshuffle, "rrdbnet", 2),
    "old-esrgan.pth": (old_esrgan, "rrdbnet", 4),
    "tiny.safetensors": (tiny_safetensors, "srvggnet", 2),
}


class _Payload:
    """Unpickling this would make a file: the proof that code ran."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.target}",)


def code_in_pickle(path: Path) -> None:
    import torch

    torch.save({"params": _Payload(path.parent / "executed")}, path)


def bare_pickle_with_code(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Payload(path.parent / "executed")))


def nan_weights(path: Path) -> None:
    import torch

    state = _rrdbnet()
    state["conv_hr.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, path)


def missing_key(path: Path) -> None:
    import torch

    state = _rrdbnet()
    del state["body.0.rdb2.conv3.weight"]
    torch.save(state, path)


def unknown_architecture(path: Path) -> None:
    import torch

    torch.save({"encoder.weight": torch.zeros(3, 3), "decoder.weight": torch.zeros(3, 3)}, path)


def text_file(path: Path) -> None:
    path.write_text("this is no model, whatever its name says\n" * 10)


def truncated_pth(path: Path) -> None:
    rrdbnet_pth(path)
    path.write_bytes(path.read_bytes()[:-1000])


def overflowing(path: Path) -> None:
    """Finite weights whose product is not: only running a picture through it shows that."""
    import torch

    state = {key: torch.full_like(value, 3e38) for key, value in _rrdbnet().items()}
    torch.save(state, path)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "code.pth": (code_in_pickle, "execute code"),
    "bare-code.pth": (bare_pickle_with_code, "code|checkpoint"),
    "nan.pth": (nan_weights, "NaN"),
    "missing-key.pth": (missing_key, "body.0.rdb2.conv3.weight"),
    "unknown.pth": (unknown_architecture, "neither an RRDBNet nor"),
    "text.pth": (text_file, "neither a torch checkpoint"),
    "truncated.pth": (truncated_pth, "truncated or damaged"),
    "overflowing.pth": (overflowing, "trial picture came back with NaN or infinity"),
}
