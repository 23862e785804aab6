"""The API's description: valid OpenAPI 3.1, complete, true, and shown from local files."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema_rs
import pytest
from django.core.management import call_command
from rest_framework.exceptions import ValidationError

from tests.service import Service
from upscaler_site.api.error_examples import EXAMPLES
from upscaler_site.api.errors import ANSWERS, code_of, flatten


@pytest.fixture(scope="module")
def schema(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.base_url}/api/schema", timeout=120).json()
    return found


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", found)
        for path, item in schema["paths"].items()
        for method, found in item.items()
        if method in ("get", "post", "delete", "put", "patch")
    ]


def test_it_is_valid_and_made_without_a_warning(tmp_path: Path) -> None:
    out = StringIO()
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "s.yml"), stdout=out, stderr=out
    )
    assert "openapi: 3.1" in (tmp_path / "s.yml").read_text()


def test_every_address_of_the_guide_is_described(schema: dict[str, Any]) -> None:
    paths = """
        POST /upscale, POST /upscale-batch, POST /jobs, GET /jobs, GET /jobs/{job_id}, GET /jobs/{job_id}/result,
        GET /models, POST /models/download, GET /models/{name}, GET /models-info, GET /health, GET /health/ready,
        GET /health/live, GET /system, GET /stats, POST /cleanup, GET /jobs/{job_id}/events, POST /jobs/{job_id}/cancel,
        POST /jobs/{job_id}/retry, DELETE /jobs/{job_id}, GET /batches/{batch_id}, GET /batches/{batch_id}/results
    """
    described = {name.replace("/api/v1", "") for name, _ in operations(schema)}
    assert {path.strip() for path in paths.split(",")} <= described


def test_every_operation_has_an_example_and_documents_its_errors(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert operation.get("summary") or operation.get("description"), name
        answers = operation["responses"]
        assert {"429", "500", "503", "400"} <= set(answers) or "/health" in name, name
        for status, answer in answers.items():
            assert answer["description"], f"{name} {status} has no description"
            if int(status) >= 400:
                examples = answer["content"]["application/json"]["examples"]
                assert examples, f"{name} {status} has no example"
        good = [
            content
            for status, answer in answers.items()
            if status < "300"
            for content in answer.get("content", {}).items()
        ]
        shapes = [content for kind, content in good if kind == "application/json"]
        assert all(content.get("examples") or content.get("example") for content in shapes), f"{name} has no example"


def test_the_examples_fit_their_schemas(schema: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(schema):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json", {})
            for example in content.get("examples", {}).values():
                resolver = {**content["schema"], "components": schema["components"]}
                try:
                    jsonschema_rs.validate(resolver, example["value"])
                except jsonschema_rs.ValidationError as error:
                    pytest.fail(f"{name} {status}: {error.message}")
                checked += 1
    assert checked > 100


def test_the_documented_statuses_of_errors_are_those_that_are_answered() -> None:
    answered = {code_of(kind, answer): answer.status for kind, answer in ANSWERS.items()}
    shown = answered.keys() & EXAMPLES.keys()
    assert len(shown) > 30
    assert {code: EXAMPLES[code][0] for code in shown} == {code: answered[code] for code in shown}


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_pages_load_nothing_from_elsewhere(service: Service, page: str) -> None:
    response = httpx.get(f"{service.base_url}/api/{page}", timeout=240)
    assert response.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert sources
    for source in sources:
        assert not source.startswith(("http:", "https:", "//")), source
        assert httpx.get(httpx.URL(str(response.url)).join(source), timeout=240).status_code == 200, source
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", response.text), "the content policy forbids inline scripts"


def test_nested_messages_become_a_flat_list() -> None:
    error = ValidationError({"a": ["x"], "b": {"c": ["y", "z"]}, "d": [{"e": ["w"]}], "non_field_errors": ["v"]})
    assert isinstance(error.detail, dict)
    assert flatten(error.detail) == [
        {"field": "a", "message": "x"},
        {"field": "b.c", "message": "y"},
        {"field": "b.c", "message": "z"},
        {"field": "d[0].e", "message": "w"},
        {"field": "", "message": "v"},
    ]


#: What callers send by mistake. An empty value is what `?limit=` or an empty list of a form becomes.
MISTAKES = ("", " ", "-1", "1.5x", "yes please", "a,", ",", "0", "9999999")


def is_described(value: str, kind: dict[str, Any]) -> bool:
    """Say whether the description allows a query parameter's text, read as the type that it names."""
    if kind["type"] == "string":
        return bool(jsonschema_rs.validator_for(kind, validate_formats=True).is_valid(value))
    try:
        read = json.loads(value)
    except ValueError:
        return False
    return bool(jsonschema_rs.is_valid(kind, read)) or (kind["type"] == "boolean" and read == 0)  # a form's false


def test_what_the_description_forbids_in_a_query_is_refused(schema: dict[str, Any], service: Service) -> None:
    nothing, sent, accepted = str(uuid4()), 0, []
    for name, operation in operations(schema):
        method, path = name.split()
        parameters = operation.get("parameters", [])
        asked = [parameter for parameter in parameters if parameter["in"] == "query"]
        needed = {parameter["name"]: "1" for parameter in asked if parameter.get("required")}
        for parameter in asked:
            for value in MISTAKES:
                if is_described(value, parameter["schema"]):
                    continue
                url = service.base_url + re.sub(r"\{\w+\}", nothing, path)
                answer = httpx.request(method, url, params=needed | {parameter["name"]: value}, timeout=120)
                sent += 1
                if not 400 <= answer.status_code < 500:
                    accepted.append(f"{name} {parameter['name']}={value!r}: {answer.status_code}")
    assert sent > 200
    assert accepted == []
