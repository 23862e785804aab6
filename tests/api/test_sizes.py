"""A size in pixels instead of a factor, and the estimate of a picture that was not sent."""

import io
from collections.abc import Callable

import httpx
import pytest
from PIL import Image

from tests.api.conftest import is_error, picture
from tests.tiny_models import TINY_MODEL


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"longest_side": "100"}, (100, 62)),
        ({"width": "41"}, (41, 25)),
        ({"height": "26"}, (41, 26)),
        ({"width": "1000", "height": "50"}, (80, 50)),
    ],
)
def test_a_result_has_the_size_that_was_asked_for(
    api: httpx.Client, asked: dict[str, str], size: tuple[int, int]
) -> None:
    response = api.post("/upscale", files={"image": ("a.png", picture(40, 25))}, data={"model": TINY_MODEL, **asked})
    assert response.status_code == 200, response.text
    with Image.open(io.BytesIO(response.content)) as result:
        assert result.size == size
    options = api.get(f"/jobs/{response.headers['X-Job-ID']}").json()["options"]
    assert list(options) == ["outscale"]


def test_a_size_out_of_reach_says_what_is_possible_and_leaves_nothing(
    api: httpx.Client, nothing_left: Callable[[], None]
) -> None:
    form = {"model": TINY_MODEL, "longest_side": "39"}
    response = api.post("/jobs", files={"image": ("a.png", picture(40, 25))}, data=form)
    assert is_error(response, 400, "size_unreachable")
    assert "can become 40 to 640 px, not 39" in response.json()["detail"]


def test_a_batch_names_the_pictures_that_cannot_have_the_size(api: httpx.Client) -> None:
    files = [("images", ("small.png", picture(20, 10))), ("images", ("large.png", picture(60, 40)))]
    answer = api.post("/upscale-batch", files=files, data={"model": TINY_MODEL, "longest_side": "50"}).json()
    assert [(entry["filename"], entry["code"]) for entry in answer["rejected"]] == [("large.png", "size_unreachable")]
    assert answer["total"] == 1


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({"outscale": "2", "longest_side": "100"}, {"outscale", "longest_side"}),
        ({"longest_side": "100", "height": "50"}, {"longest_side", "height"}),
        ({"outscale": "2", "width": "100", "height": "50"}, {"outscale", "width", "height"}),
        ({"width": "0"}, {"width"}),
        ({"longest_side": "4k"}, {"longest_side"}),
    ],
)
def test_sizes_that_are_none_or_two_are_refused(
    api: httpx.Client, nothing_left: Callable[[], None], asked: dict[str, str], fields: set[str]
) -> None:
    response = api.post("/jobs", files={"image": ("a.png", picture())}, data={"model": TINY_MODEL, **asked})
    assert is_error(response, 422, "validation_error")
    assert {problem["field"] for problem in response.json()["errors"]} == fields


def test_a_repeated_call_with_another_size_is_another_call(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "sizes"}

    def send(side: str) -> httpx.Response:
        form = {"model": TINY_MODEL, "longest_side": side}
        return api.post("/jobs", files={"image": ("a.png", picture(16, 9))}, data=form, headers=headers)

    first = send("64")
    assert first.status_code == 202
    assert send("64").json()["job_id"] == first.json()["job_id"]
    assert is_error(send("65"), 422, "idempotency_key_reused")


def test_an_estimate_is_the_dry_run_of_a_picture_of_this_size(
    api: httpx.Client, nothing_left: Callable[[], None]
) -> None:
    form = {"model": TINY_MODEL, "longest_side": "90"}
    sent = api.post("/jobs", params={"dry_run": "true"}, files={"image": ("a.png", picture(40, 25))}, data=form).json()
    told = api.get("/estimate", params={**form, "input_width": 40, "input_height": 25}).json()
    assert told == {**sent, "input_format": None}
    assert (told["output_width"], told["output_height"]) == (90, 56)


def test_an_estimate_reads_chains_with_a_plus_or_a_blank(api: httpx.Client) -> None:
    for model in (f"{TINY_MODEL}%2B{TINY_MODEL}", f"{TINY_MODEL}+{TINY_MODEL}"):
        told = api.get(f"/estimate?model={model}&input_width=10&input_height=10").json()
        assert told["output_width"] == 40


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"input_width": 100}, 422, "validation_error"),
        ({"input_width": 100, "input_height": 0}, 422, "validation_error"),
        ({"input_width": 100, "input_height": 10, "quality": 3}, 422, "validation_error"),
        ({"input_width": 100, "input_height": 10, "longest_side": 99}, 400, "size_unreachable"),
        ({"input_width": 30_000, "input_height": 30_000}, 400, "image_too_large"),
        ({"input_width": 6_000, "input_height": 5_000, "outscale": 16}, 400, "image_too_large"),
        ({"input_width": 10, "input_height": 10, "model": "RealESRGAN_x5"}, 404, "model_not_found"),
        ({"input_width": 10, "input_height": 10, "model": "RealESRGAN_x4plus"}, 503, "model_not_available"),
    ],
)
def test_an_estimate_refuses_what_a_submission_would_refuse(
    api: httpx.Client, asked: dict[str, str | int], status: int, code: str
) -> None:
    assert is_error(api.get("/estimate", params={"model": TINY_MODEL, **asked}), status, code)
