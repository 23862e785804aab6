"""A small network of every family that spandrel knows, with weights from a seed: for the tests, and for families.py.

Weights that nobody trained show what is read and how it is cut; how good a family's pictures are, they do not show.
"""

import importlib
from typing import Any

import torch
from torch import Tensor

from modelstore.networks.families.registry import registry

_SWIN: dict[str, Any] = {
    "img_size": 48, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 2], "window_size": 8, "mlp_ratio": 2,
}  # fmt: skip

#: Family: the class in its package, and what makes a small one.
SEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ATD": ("ATD", {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 2), "upscale": 2, "upsampler": "pixelshuffle"}),
    "AuraSR": (
        "AuraSR",
        {
            "dim": 8,
            "image_size": 64,
            "input_image_size": 16,
            "style_network": {"dim_in": 16, "dim_out": 64, "depth": 1},
        },
    ),
    "CRAFT": ("CRAFT", {"embed_dim": 24, "depths": [2], "num_heads": [6]}),
    "Compact": ("Compact", {"num_feat": 24, "num_conv": 6}),
    "DAT": ("DAT", {"embed_dim": 24, "depth": [2], "num_heads": [2], "split_size": [8, 8]}),
    "DCTLSA": ("DCTLSA", {"nf": 20}),
    "DITN": ("DITN", {"dim": 24, "ITL_blocks": 2, "SAL_blocks": 2}),
    "DRCT": ("DRCT", {**_SWIN, "gc": 8, "upscale": 2, "upsampler": "pixelshuffle"}),
    "DRUNet": ("DRUNet", {"in_nc": 4, "out_nc": 3, "nc": [16, 24, 32, 40], "nb": 2}),
    "DnCNN": ("DnCNN", {"in_nc": 3, "out_nc": 3, "nc": 16, "nb": 7}),
    "ESRGAN": ("ESRGAN", {"num_filters": 16, "num_blocks": 2, "scale": 4, "plus": True}),
    "FBCNN": ("FBCNN", {}),
    "FDAT": ("FDAT", {"embed_dim": 24, "num_groups": 2, "depth_per_group": 2, "num_heads": 2, "mid_dim": 16}),
    "FFTformer": ("FFTformer", {"dim": 16, "num_blocks": [1, 1, 2], "num_refinement_blocks": 1}),
    "GFPGAN": ("GFPGAN", {}),
    "GRL": (
        "GRL",
        {
            "embed_dim": 24,
            "upscale": 2,
            "upsampler": "pixelshuffle",
            "depths": [2],
            "num_heads_window": [2],
            "num_heads_stripe": [2],
            "stripe_size": [8, 8],
        },
    ),
    "HAT": ("HAT", {**_SWIN, "squeeze_factor": 4, "upscale": 2, "upsampler": "pixelshuffle"}),
    "HVICIDNet": ("HVICIDNet", {"channels": [12, 12, 24, 48], "heads": [1, 2, 4, 8]}),
    "IPT": ("IPT", {"patch_size": 24, "n_feats": 8, "num_layers": 1, "num_heads": 4, "scale": [2]}),
    "KBNet": ("KBNet_s", {"width": 16, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    "LaMa": ("LaMa", {}),
    "MMRealSR": ("MMRealSR", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_block": 1, "num_grow_ch": 8}),
    "MixDehazeNet": ("MixDehazeNet", {"embed_dims": [12, 24, 48, 24, 12]}),
    "MoESR": ("MoESR", {"dim": 16, "n_blocks": 2, "n_block": 2}),
    "MoSR": ("MoSR", {"n_block": 4, "dim": 16}),
    "NAFNet": ("NAFNet", {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    "OmniSR": ("OmniSR", {"num_feat": 24}),
    "PLKSR": ("PLKSR", {"dim": 16, "n_blocks": 4}),
    "RCAN": ("RCAN", {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 16, "reduction": 4}),
    "RGT": ("RGT", {"embed_dim": 24, "depth": [2], "num_heads": [2]}),
    "RealCUGAN": ("UpCunet2x", {}),
    "RestoreFormer": ("RestoreFormer", {}),
    "RetinexFormer": ("RetinexFormer", {"n_feat": 16, "stage": 1}),
    "SAFMN": ("SAFMN", {"dim": 16, "n_blocks": 4}),
    "SAFMNBCIE": ("SAFMNBCIE", {"dim": 16, "n_blocks": 2, "num_layers": 2}),
    "SCUNet": ("SCUNet", {"config": [2, 2, 2, 2, 2, 2, 2]}),
    "SPAN": ("SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 16, "upscale": 2}),
    "SeemoRe": ("SeemoRe", {"num_layers": 2, "num_experts": 2, "embedding_dim": 16}),
    "Swin2SR": ("Swin2SR", {**_SWIN, "upscale": 2, "upsampler": "pixelshuffle"}),
    "SwinIR": ("SwinIR", {**_SWIN, "upscale": 2, "upsampler": "pixelshuffledirect"}),
    "SwiftSRGAN": ("SwiftSRGAN", {"num_channels": 16, "num_blocks": 4, "upscale_factor": 2}),
    "Uformer": (
        "Uformer",
        {"img_size": 128, "embed_dim": 8, "depths": [1] * 9, "num_heads": [1, 1, 2, 2, 4, 4, 2, 2, 1]},
    ),
}


def seeded(family: str, **changes: Any) -> dict[str, Tensor]:
    """Return the tensors of a family's small network, the same on every machine.

    :param changes: to what makes the small one.
    :raises ArchitectureUnknown: spandrel is not installed.
    """
    registry()  # imports spandrel where torchvision is missing, too
    name, arguments = SEEDS[family]
    package = importlib.import_module(f"spandrel.architectures.{family}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return dict(getattr(package, name)(**{**arguments, **changes}).state_dict())
