"""A dry run tells what the engine will do: it plans with the numbers that the worker reports."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from django.db.models.functions import Now

from jobs.engine.tiling.cost import plan_plane
from jobs.engine.types import Header
from jobs.models import Job, Worker
from jobs.options import JobOptions
from jobs.states import Priority
from jobs.submission import submit
from jobs.submission.chosen import Chosen
from jobs.submission.dry_run import report_of
from jobs.submission.request import Submission
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, complete

GIBIBYTE = 1 << 30


@pytest.mark.django_db
def test_a_plan_for_a_card_counts_with_its_memory_and_its_precision(model: Any) -> None:
    with torch.device("meta"):
        model.network = asdict(deduce(RRDBNet().state_dict()))
    model.scale = 4
    header = Header(format="png", width=2000, height=1500, frames=1, bits=8, gray=False, alpha=False)
    Worker.objects.create(
        id="gpu@a", cluster="gpu", host="a", pid=1, device="cuda:0", memory_free=139 * GIBIBYTE, precision="fp16",
        started_at=Now(), seen_at=Now(),
    )  # fmt: skip
    spec = model.spec
    assert spec is not None

    def tiles(free: int, item: int) -> int:
        return plan_plane(
            spec, 2000, 1500, tile_size=None, tile_pad=None, kind="cuda", free_bytes=free, item_bytes=item
        ).tiles

    asked = Submission("m", JobOptions())
    assert report_of(header, Chosen((model,)), JobOptions(), asked).tiles == tiles(139 * GIBIBYTE, 2) == 12
    Worker.objects.update(memory_free=GIBIBYTE)
    assert report_of(header, Chosen((model,)), JobOptions(), asked).tiles == tiles(GIBIBYTE, 2)
    assert report_of(header, Chosen((model,)), JobOptions(precision="fp32"), asked).tiles == tiles(GIBIBYTE, 4)
    assert 12 < tiles(GIBIBYTE, 2) < tiles(GIBIBYTE, 4)


def test_a_plan_says_what_it_would_cost_and_creates_nothing(make_submission: Make, data_dir: Path) -> None:
    plan = submit.plan(picture(100, 50), make_submission(tile_size=50, tile_pad=4))
    assert (plan.width, plan.height, plan.output_width, plan.output_height, plan.scale) == (100, 50, 200, 100, 2.0)
    assert plan.tiles is not None
    assert plan.tiles >= 2
    assert plan.memory_bytes is not None
    assert plan.memory_bytes > 200 * 100 * 3
    assert plan.seconds is None  # nothing was measured yet
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []
    complete(submit.submit(picture(), make_submission()))
    Job.objects.update(processing_seconds=4.0)
    assert submit.plan(picture(), make_submission()).seconds == pytest.approx(4.0)


def test_what_lies_before_a_picture_is_what_its_caller_has_to_wait_for(make_submission: Make) -> None:
    """Another's backlog is not before a newcomer, and one's own is."""
    mine, other = make_submission(caller="key:mine"), make_submission(caller="key:other")
    for seed in range(5):
        submit.submit(picture(seed=seed), other)
    assert Job.objects.claim("w") is not None
    assert submit.plan(picture(), mine).jobs_ahead == 1, "the one that runs"
    assert submit.plan(picture(), other).jobs_ahead == 5
    assert submit.plan(picture(), make_submission(caller="key:other", priority=Priority.SYNC)).jobs_ahead == 1
