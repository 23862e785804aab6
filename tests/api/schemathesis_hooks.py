"""Loaded by schemathesis: calls get a real picture and a model that is there; else every call would be refused."""

import io
import os
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image

#: Models that may be deleted, one after the other: all other calls need the service's own.
SPARE = iter(os.environ.get("SPARE_MODELS", "").split())
#: What may be answered with a 5xx: an example's model is not here, a job could not be done on this machine.
MEANT = {
    "model_not_available", "device_unavailable", "queue_full", "too_many_waiting", "no_worker", "pyramids_busy",
}  # fmt: skip


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 4), (10, 200, 90)).save(out, "PNG")
    return out.getvalue()


# Random bytes are no picture. Not by a hook: schemathesis takes a body with bytes that were put in later for a bad one.
schemathesis.openapi.format("binary", strategies.just(_png()))


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Leave the model to the service, which has only one, unless what was generated is no model's name at all."""
    if isinstance(body, dict) and isinstance(body.get("model"), str) and 0 < len(body["model"]) <= 100:
        return {name: value for name, value in body.items() if name != "model"}
    return body


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Delete only what may be deleted."""
    if case.operation.definition.raw.get("operationId") == "models_delete" and case.meta.generation.mode.is_positive:
        case.path_parameters["name"] = next(SPARE, "no-such-model")


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Drop what is no bad call at all: forms hold texts, and there the numbers 0 and 1 are good switches."""
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    return not any(type(value) is int and value in (0, 1) for value in case.body.values())


@schemathesis.check
def no_surprise(ctx: Any, response: Any, case: Any) -> None:
    """No 5xx but those that the service means."""
    if response.status_code >= 500:
        assert response.json().get("code") in MEANT, response.text
