"""Presets of the page: what people want to enlarge, and the models and options for it."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


@dataclass(frozen=True)
class Preset:
    """One choice for people who do not know the models. ``key`` names its sample, templates/static/page/presets/."""

    key: str
    title: str | Promise
    models: tuple[str, ...]  # the first that is on the server; where none is, the first is offered for download
    outscale: str = ""  # "" is the model's own

    @property
    def sample(self) -> str:
        """The sample's place among the static files."""
        return f"page/presets/{self.key}.webp"


PRESETS = (
    Preset("photo-best", gettext_lazy("Photo, best"), ("RealESRGAN_x4plus",)),
    Preset("photo-fast", gettext_lazy("Photo, fast"), ("realesr-general-x4v3", "bundled-compact-x4")),
    Preset("illustration", gettext_lazy("Illustration"), ("RealESRGAN_x4plus_anime_6B", "realesr-animevideov3")),
    # A scan has many pixels already, most of them paper and grain: twice is enough, and a quarter of the file.
    Preset("old-scan", gettext_lazy("Old scan"), ("RealESRGAN_x4plus",), outscale="2"),
)
