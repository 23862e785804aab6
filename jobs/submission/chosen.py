"""The models that a submission names: looked up, found usable, and fit for each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobs import chains
from jobs.engine.tiling.passes import LARGEST_SCALE, native_scale
from jobs.errors import ChainRefused
from jobs.options import JobOptions
from modelstore.errors import ModelUnknown
from modelstore.models import Model
from modelstore.networks.spec import NetworkSpec
from modelstore.storage.weights import require_usable

#: Whatever a caller may write between two names: blanks (a + of an address that was not escaped), commas, other pluses.
_BETWEEN = re.compile(r"[^A-Za-z0-9._-]+")


class _WrongSeparator(ModelUnknown):
    """No model has this name, but its parts are names of models."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        super().__init__(text)
        chain, escaped = "+".join(names), "%2B".join(names)
        told = (
            f"Model not found: {text}. A chain of models is written {chain}; in an address or a URL-encoded form, "
            f"where + means a blank, {escaped}"
        )
        self.args = (told,)


@dataclass(frozen=True)
class Chosen:
    """The models of one submission, in the order in which the picture goes through them; mostly one."""

    models: tuple[Model, ...]
    #: The digests of the denoising partners that are mixed in, by their names.
    partners: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The text that names them all, as ``Job.model`` holds it."""
        return chains.SEPARATOR.join(model.name for model in self.models)

    @property
    def scales(self) -> tuple[int, ...]:
        """Their own scales."""
        return tuple(model.scale for model in self.models)

    @property
    def specs(self) -> tuple[NetworkSpec, ...] | None:
        """Their networks; None where one of them was never examined."""
        found = [model.spec for model in self.models]
        known = [spec for spec in found if spec is not None]
        return tuple(known) if len(known) == len(found) else None

    @property
    def content(self) -> str:
        """A text that differs where a file of theirs does: an import may reuse a name."""
        return chains.SEPARATOR.join(
            [f"{model.name}@{model.sha256}" for model in self.models]
            + [f"{name}@{sha256}" for name, sha256 in self.partners]
        )


def choose(text: str, options: JobOptions, *, sized: bool = False) -> Chosen:
    """Return the models that a text names, when a job with these options can run on them now.

    :param sized: a size in pixels is asked for, so the models' own scale does not matter.

    :raises ChainRefused: too many, one missing, or an enlargement beyond the limit where no ``outscale`` was given.
    :raises ModelUnknown, ModelNotReady, DenoiseUnsupported: as `require_usable`, for the first member that is at fault.
    """
    names = chains.parse(text)
    try:
        models = chains.resolved(names, options.denoise_strength, require_usable)
    except ModelUnknown as error:
        parts = [part for part in _BETWEEN.split(text) if part]
        if len(parts) > 1 and _are_known(parts):
            raise _WrongSeparator(text, parts) from error
        raise
    chosen = Chosen(models, _partners(models, options.denoise_strength))
    scale = native_scale(chosen.scales)
    if options.outscale is None and not sized and scale > LARGEST_SCALE:
        raise ChainRefused(
            f"{chosen.name} enlarges {scale} times; at most {LARGEST_SCALE:g} are possible: give an outscale"
        )
    return chosen


def _are_known(names: Sequence[str]) -> bool:
    if len(names) > chains.MOST:
        return False
    return Model.objects.listed().filter(name__in=names).count() == len(set(names))


def _partners(models: Sequence[Model], strength: float | None) -> tuple[tuple[str, str], ...]:
    if strength is None or strength >= 1:
        return ()
    names = [model.denoise_partner for model in models if model.denoise_partner]
    return tuple(Model.objects.filter(name__in=names).order_by("name").values_list("name", "sha256"))
