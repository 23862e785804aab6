"""Old key names of ESRGAN checkpoints, translated to the names of RRDBNet. Tensors are passed on untouched."""

import re
from collections.abc import Mapping

from torch import Tensor

_BSRGAN = {
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "upconv3": "conv_up3",
    "HRconv": "conv_hr",
}
_OLD_DENSE = re.compile(r"^model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.(weight|bias)$")
_OLD_TRUNK = re.compile(r"^model\.1\.sub\.(\d+)\.(weight|bias)$")
_OLD_TAIL = re.compile(r"^model\.(\d+)\.(weight|bias)$")
_BSRGAN_DENSE = re.compile(r"^RRDB_trunk\.(\d+)\.RDB([123])\.(conv[1-5]\.(?:weight|bias))$")


def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename keys of the first ESRGAN release (``model.0.weight`` ...) and of BSRGAN (``RRDB_trunk...``) to today's.

    Tensors, (out, in, H, W) or (out,), pass untouched, and other states are returned as they are. A ``module.`` prefix,
    left by training on several devices, is dropped.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if any(key.startswith("RRDB_trunk.") for key in plain):
        return {_from_bsrgan(key): value for key, value in plain.items()}
    if "model.0.weight" in plain and any(_OLD_DENSE.match(key) for key in plain):
        return _from_first_release(plain)
    return plain


def _from_bsrgan(key: str) -> str:
    if match := _BSRGAN_DENSE.match(key):
        return f"body.{match[1]}.rdb{match[2]}.{match[3]}"
    head, dot, tail = key.partition(".")
    return _BSRGAN.get(head, head) + dot + tail


def _from_first_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the Sequential ``model``: index 0 first, 1 the trunk, then a convolution per doubling, then two more."""
    tail = sorted({int(match[1]) for key in state if (match := _OLD_TAIL.match(key)) and match[1] != "0"})
    names = [f"conv_up{index + 1}" for index in range(len(tail) - 2)] + ["conv_hr", "conv_last"]
    places = {"0": "conv_first"} | {str(number): name for number, name in zip(tail, names, strict=False)}
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if match := _OLD_DENSE.match(key):
            renamed[f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"] = value
        elif match := _OLD_TRUNK.match(key):
            renamed[f"conv_body.{match[2]}"] = value
        elif (match := _OLD_TAIL.match(key)) and match[1] in places:
            renamed[f"{places[match[1]]}.{match[2]}"] = value
        else:
            renamed[key] = value
    return renamed
