"""Imports of the `realesrgan` package where torchvision cannot be imported.

basicsr 1.4.2 touches a few names of torchvision while it is imported. One (``functional_tensor``) is gone since
torchvision 0.17, and torchvision's wheels do not load with a CPU build of torch. Inference uses none of them, so names
that only training uses are stand-ins which refuse to be called.
"""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import Tensor

from jobs.engine.errors import DeviceUnavailable

HOW_TO_INSTALL = (
    "pip install -r requirements-build.txt, then "
    "pip install --no-deps --no-build-isolation -r requirements-reference.txt"
)


def available() -> bool:
    """Return True if the package is installed, without importing it."""
    return find_spec("realesrgan") is not None and find_spec("basicsr") is not None


def load() -> tuple[Any, Any, Any]:
    """Return the classes RealESRGANer, RRDBNet and SRVGGNetCompact of the real package.

    :raises DeviceUnavailable: when it is not installed; the message says how to get it.
    """
    if not available():
        raise DeviceUnavailable(f"the reference backend needs the realesrgan package: {HOW_TO_INSTALL}")
    _register_stand_ins()
    package = importlib.import_module("realesrgan")
    rrdbnet = importlib.import_module("basicsr.archs.rrdbnet_arch")
    srvgg = importlib.import_module("realesrgan.archs.srvgg_arch")
    return package.RealESRGANer, rrdbnet.RRDBNet, srvgg.SRVGGNetCompact


def _register_stand_ins() -> None:
    if "torchvision" in sys.modules or find_spec("torchvision") is not None:
        real = importlib.import_module("torchvision.transforms.functional")
        sys.modules.setdefault("torchvision.transforms.functional_tensor", real)
        return
    functional = _module("transforms.functional", normalize=normalize, rgb_to_grayscale=rgb_to_grayscale)
    tensor = _module("transforms.functional_tensor", rgb_to_grayscale=rgb_to_grayscale)
    transforms = _module("transforms", functional=functional, functional_tensor=tensor)
    utils = _module("utils", make_grid=_refused("utils.make_grid"))
    vgg = _module("models.vgg")
    models = _module("models", vgg=vgg)
    ops = _module("ops", deform_conv2d=_refused("ops.deform_conv2d"))
    _module("", __version__="0.0.0+stand-in", transforms=transforms, utils=utils, models=models, ops=ops)


def _module(name: str, **content: Any) -> ModuleType:
    full = f"torchvision.{name}" if name else "torchvision"
    module = ModuleType(full, "A stand-in; see jobs.engine.backends.reference_imports.")
    module.__dict__.update(content)
    module.__path__ = []  # lets `import torchvision.x.y` look into sys.modules
    sys.modules[full] = module
    return module


def _refused(name: str) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise NotImplementedError(f"torchvision.{name} is a stand-in: only inference is supported here")

    return refuse


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """Return (x - mean) / std per channel of (..., C, H, W), as torchvision does."""
    out = tensor if inplace else tensor.clone()
    means, deviations = (out.new_tensor(values).view(-1, 1, 1) for values in (mean, std))
    return out.sub_(means).div_(deviations)


def rgb_to_grayscale(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """Return the ITU-R BT.601 luma of (..., 3, H, W) RGB as (..., num_output_channels, H, W), as torchvision does."""
    red, green, blue = image.unbind(dim=-3)
    luma = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(dim=-3)
    return luma.expand(*image.shape[:-3], num_output_channels, *image.shape[-2:])
