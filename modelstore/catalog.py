"""The official Real-ESRGAN models: what each one is, what its file must be, and where it can be had.

Facts only. Sizes and SHA-256 digests pin the files of the official releases; a download that differs is refused, so a
mirror needs no trust. Importing this imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from modelstore.networks.spec import NetworkSpec
from modelstore.states import Use


class Provider(StrEnum):
    """A host of weights files. Its base address is a setting, so that an air-gapped site can point to its own."""

    GITHUB = "github"
    HUGGINGFACE = "huggingface"


#: The official releases; asked first unless the caller prefers another.
DEFAULT_PROVIDER = Provider.GITHUB


@dataclass(frozen=True)
class CatalogEntry:
    """One official model. ``paths`` are relative to the provider's base address, the best one first."""

    name: str
    network: NetworkSpec  # what checkpoint.inspect finds in the file; a test holds the two together
    description: str
    size_bytes: int
    sha256: str
    paths: Mapping[Provider, tuple[str, ...]]
    denoise_partner: str = ""  # the model whose weights are mixed in for a denoise strength below 1
    licence: str = "BSD-3-Clause"
    homepage: str = "https://github.com/xinntao/Real-ESRGAN"
    author: str = "Xintao Wang and others"
    use: Use = Use.PHOTO

    @property
    def scale(self) -> int:
        """The network's enlargement: result pixels per input pixel, along one side."""
        return self.network.scale

    @property
    def file_name(self) -> str:
        """The name of the file in the models directory: a constant of this module, never a caller's text."""
        return f"{self.name}.pth"


_RRDB_23_X4 = NetworkSpec("rrdbnet", 4, 3, 64, 23, 32, 1, 349, 35.853696, 16697987)
_RRDB_23_X2 = NetworkSpec("rrdbnet", 2, 3, 64, 23, 32, 2, 698, 8.966016, 16703171)
_RRDB_6_X4 = NetworkSpec("rrdbnet", 4, 3, 64, 6, 32, 1, 94, 11.412864, 4467779)
_SRVGG_16_X4 = NetworkSpec("srvggnet", 4, 3, 64, 16, 0, 1, 18, 1.2384, 621424)
_SRVGG_32_X4 = NetworkSpec("srvggnet", 4, 3, 64, 32, 0, 1, 34, 2.418048, 1213296)


def _entry(
    name: str,
    release: str,
    size_bytes: int,
    sha256: str,
    *,
    network: NetworkSpec,
    mirrors: tuple[str, ...],
    description: str,
    denoise_partner: str = "",
    use: Use = Use.PHOTO,
) -> CatalogEntry:
    """Make an entry of the catalogue.

    :param mirrors: ``repository:path`` on Hugging Face; ``datasets/`` stands before a repository of that kind.
    """
    huggingface = tuple(f"{repository}/resolve/main/{path}" for repository, path in (m.split(":") for m in mirrors))
    return CatalogEntry(
        name=name,
        network=network,
        description=description,
        size_bytes=size_bytes,
        sha256=sha256,
        paths=MappingProxyType(
            {Provider.GITHUB: (f"{release}/{name}.pth",)} | ({Provider.HUGGINGFACE: huggingface} if huggingface else {})
        ),
        denoise_partner=denoise_partner,
        use=use,
    )


_ENTRIES = (
    _entry(
        "RealESRGAN_x4plus",
        "v0.1.0",
        67040989,
        "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        network=_RRDB_23_X4,
        description="4x upscaling (general purpose)",
        mirrors=(
            "lllyasviel/Annotators:RealESRGAN_x4plus.pth",
            "fofr/comfyui:upscale_models/RealESRGAN_x4plus.pth",
            "LykosAI/Upscalers:RealESRGAN/RealESRGAN_x4plus.pth",
            "datasets/Kizi-Art/Upscale:RealESRGAN_x4plus.pth",
        ),
    ),
    _entry(
        "RealESRNet_x4plus",
        "v0.1.1",
        67040989,
        "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df",
        network=_RRDB_23_X4,
        description="4x upscaling without adversarial training: smoother, invents less",
        mirrors=("xingren23/comfyflow-models:upscale_models/RealESRNet_x4plus.pth",),
    ),
    _entry(
        "RealESRGAN_x2plus",
        "v0.2.1",
        67061725,
        "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        network=_RRDB_23_X2,
        description="2x upscaling",
        mirrors=(
            "dtarnow/UPscaler:RealESRGAN_x2plus.pth",
            "LykosAI/Upscalers:RealESRGAN/RealESRGAN_x2plus.pth",
        ),
    ),
    _entry(
        "RealESRGAN_x4plus_anime_6B",
        "v0.2.2.4",
        17938799,
        "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
        network=_RRDB_6_X4,
        description="4x upscaling of anime illustrations",
        use=Use.ILLUSTRATION,
        mirrors=("LykosAI/Upscalers:RealESRGAN/RealESRGAN_x4plus_anime_6B.pth",),
    ),
    _entry(
        "realesr-animevideov3",
        "v0.2.5.0",
        2504012,
        "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
        network=_SRVGG_16_X4,
        description="4x upscaling of anime video frames (small and fast)",
        use=Use.ILLUSTRATION,
        mirrors=(),
    ),
    _entry(
        "realesr-general-x4v3",
        "v0.2.5.0",
        4885111,
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        network=_SRVGG_32_X4,
        description="4x upscaling (general purpose, small and fast, with denoise strength)",
        denoise_partner="realesr-general-wdn-x4v3",
        mirrors=(
            "clavidk/realesr-general-x4v3:realesr-general-x4v3.pth",
            "xingren23/comfyflow-models:upscale_models/realesr-general-x4v3.pth",
            "datasets/Kizi-Art/Upscale:realesr-general-x4v3.pth",
        ),
    ),
    _entry(
        "realesr-general-wdn-x4v3",
        "v0.2.5.0",
        4885111,
        "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        network=_SRVGG_32_X4,
        description="4x upscaling (general purpose, keeps more of the noise); partner of realesr-general-x4v3",
        mirrors=("datasets/Kizi-Art/Upscale:realesr-general-wdn-x4v3.pth",),
    ),
)

#: The official models by name.
OFFICIAL: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def by_digest(sha256: str) -> CatalogEntry | None:
    """Return the official model whose file has this SHA-256, whatever the file is called; None when there is none."""
    return next((entry for entry in OFFICIAL.values() if entry.sha256 == sha256), None)


# --- The model that comes with the service ----------------------------------------------------------------------------
BUNDLED_NAME = "bundled-compact-x4"
BUNDLED_FILE = f"{BUNDLED_NAME}.safetensors"
BUNDLED_SCALE = 4
BUNDLED_DESCRIPTION = "4x upscaling (small and fast; comes with the service, needs no download)"
BUNDLED_LICENCE = "BSD-3-Clause"
BUNDLED_USE = Use.PHOTO
