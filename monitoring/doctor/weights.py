"""Examines the models: whether each file that the table calls usable is there, and is what was accepted."""

from collections.abc import Iterator

from django.conf import settings

from jobs import chains
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import shared, weights
from monitoring.doctor.finding import Finding, fault, fine, note, warning
from monitoring.health import NO_MODEL

AREA = "models"


def examine() -> Iterator[Finding]:
    """Read every ready model's file from its first byte to its last; change nothing."""
    ready = list(Model.objects.filter(state=State.READY).order_by("name"))
    not_whole = [model for model in ready if not weights.is_intact(model)]
    elsewhere = [model for model in not_whole if shared.has(model)]
    damaged = [model for model in not_whole if model not in elsewhere]
    if elsewhere:
        names = ", ".join(model.name for model in elsewhere)
        yield note(AREA, f"In the object storage, and fetched by this host when it is first used: {names}")
    for model in damaged:
        yield fault(AREA, f"{model.name}: its file is missing or damaged", f"Run: manage.py verify_models {model.name}")
    if intact := [model.name for model in ready if model not in not_whole]:
        yield fine(AREA, f"{len(intact)} genuine: {', '.join(intact)}")
    elif not not_whole:
        yield fault(AREA, f"{NO_MODEL[0].upper()}{NO_MODEL[1:]}", "Run: manage.py download_models RealESRGAN_x4plus")
    yield from _settings({model.name for model in ready})
    for model in Model.objects.filter(state=State.FAILED).order_by("name"):
        yield warning(AREA, f"{model.name}: {model.error}", "Try again in the admin, or import the file by hand")


def _settings(ready: set[str]) -> Iterator[Finding]:
    """Look for the models that settings name. A new installation has not downloaded its default model yet."""
    for name in chains.split(settings.DEFAULT_MODEL):
        if name not in ready:
            advice = f"Run: manage.py download_models {name}, or set DEFAULT_MODEL to a model that is here"
            yield note(AREA, f"The default model {name} is not here: calls that name no model get 503", advice)
    for name in settings.WARM_MODELS:
        if name not in ready:
            advice = f"Run: manage.py download_models {name}, or correct WARM_MODELS"
            yield warning(AREA, f"WARM_MODELS names {name}, which is not ready: no worker loads it", advice)
