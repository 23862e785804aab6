"""The OpenAPI description: every operation documents its errors.

Views name error codes (``x-errors``); here they become responses with the error shape and an example each. What any
call may meet is added to all operations.
"""

from typing import Any

from django.urls import reverse
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from jobs.api.docs.examples import JOB_ID
from upscaler_site.api.description import HOST
from upscaler_site.api.error_examples import ALWAYS, BY_OPERATION, EXAMPLES, WITH_BODY

ERROR = {
    "type": "object",
    "description": "Every error has this shape.",
    "properties": {
        "detail": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs: stable."},
        "errors": {
            "type": "array",
            "description": "What is wrong where: fields (422), or pictures of a batch (400).",
            "items": {"type": "object", "additionalProperties": True},
        },
    },
    "required": ["detail", "code"],
}
#: Values of parameters, by operation.
_EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/estimate"): {"model": "bundled-compact-x4", "input_width": 1600, "input_height": 1200},
    ("get", "/jobs/archive"): {"ids": JOB_ID},
    ("post", "/jobs/archive/links"): {"ids": JOB_ID},
    ("get", "/jobs/{job_id}/pyramid/tile"): {"level": 0, "column": 0, "row": 0},
    ("get", "/models/{name}"): {"name": "bundled-compact-x4"},
    ("delete", "/models/{name}"): {"name": "realesr-animevideov3"},
    ("post", "/cleanup"): {"dry_run": True},
    ("post", "/erasure"): {"dry_run": True},
}
_METHODS = ("get", "post", "put", "patch", "delete")


def only_the_api(endpoints: list[Any], **_: Any) -> list[Any]:
    """Drop paths outside /api/v1/, as a pre-processing hook of drf-spectacular.

    drf-spectacular imports it before it looks at any view: so it also learns of the classes at the end of this file.
    """
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def document_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add error responses to every operation, as a post-processing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    for path, item in result["paths"].items():
        for method in _METHODS:
            if method in item:
                _document(path, method, item[method])
    return result


def give_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what makes a call succeed as it stands, on a fresh install, as a post-processing hook of drf-spectacular.

    Parameters that come from serializers have no place for an example there.
    """
    for path, item in result["paths"].items():
        for method in _METHODS:
            examples = _EXAMPLES.get((method, path.removeprefix("/api/v1")), {})
            for parameter in item.get(method, {}).get("parameters", ()):
                if parameter["name"] in examples:
                    parameter["example"] = examples[parameter["name"]]
    return result


def name_the_host(result: dict[str, Any], request: Any = None, **_: Any) -> dict[str, Any]:
    """Put the host and path that were asked into the examples of the introduction, as a post-processing hook."""
    if request is not None:
        asked = request.build_absolute_uri(reverse("page")).rstrip("/")
        result["info"]["description"] = result["info"]["description"].replace(HOST, asked)
    return result


def _document(path: str, method: str, operation: dict[str, Any]) -> None:
    operation.setdefault("security", [])  # "nothing is needed" is said, not left open
    if operation["security"]:
        operation["security"].append({})  # whether a key is needed is the operator's choice
    codes = list(operation.pop("x-errors", BY_OPERATION.get(operation["operationId"], ())))
    codes += [code for code in ALWAYS if not (path.startswith("/api/v1/health") and code in _NOT_FOR_PROBES)]
    if method != "get":
        codes += WITH_BODY
    by_status: dict[str, dict[str, Any]] = {}
    for code in dict.fromkeys(codes):
        status, detail = EXAMPLES[code]
        value: dict[str, Any] = {"detail": detail, "code": code}
        if code == "validation_error":
            value["errors"] = [{"field": "tile_size", "message": "A valid integer is required"}]
        if code == "batch_rejected":
            value["errors"] = [{"index": 0, "filename": "notes.txt", "detail": "not an image", "code": "image_invalid"}]
        by_status.setdefault(str(status), {})[code] = {"value": value, "summary": code}
    for number, examples in sorted(by_status.items()):
        response = operation["responses"].setdefault(number, {})
        shape = {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}
        if "content" not in response:  # else the view has documented an error body of its own
            response["content"] = {"application/json": shape}
        response.setdefault("description", "")
        response["description"] = response["description"] or ", ".join(examples)
        if number in ("429", "503"):
            response.setdefault("headers", {})["Retry-After"] = {
                "schema": {"type": "integer"},
                "description": "Seconds after which trying again makes sense, where that is known.",
            }
    for response in operation["responses"].values():
        response["description"] = response.get("description") or operation.get("summary") or "The answer"
    operation["responses"] = dict(sorted(operation["responses"].items()))


_NOT_FOR_PROBES = frozenset({"not_authenticated", "permission_denied", "throttled"})


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself by being a subclass
    """API keys, in either header."""

    target_class = "jobs.auth.authentication.KeyAuthentication"
    name = ["bearerKey", "headerKey"]

    def get_security_definition(self, _auto_schema: Any) -> list[dict[str, Any]]:
        """Return the two ways of sending a key."""
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (`ups_…`), where the operator requires one.",
            },
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in another header."},
        ]


class LinkScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """Signed links."""

    target_class = "jobs.auth.authentication.LinkAuthentication"
    name = "signedLink"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        """Return the parameter that carries the signature."""
        return {"type": "apiKey", "in": "query", "name": "signature", "description": "A link that the service signed."}


class StaffScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """The session of a staff member."""

    target_class = "jobs.auth.authentication.StaffAuthentication"
    name = "staffSession"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        """Return the cookie."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Staff who are logged into the admin.",
        }
