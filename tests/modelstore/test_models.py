"""Each change of state is one conditional UPDATE: who does not hold the claim changes nothing."""

from dataclasses import asdict
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from modelstore.models import MAX_ATTEMPTS, Model
from modelstore.states import State
from tests.together import together

pytestmark = pytest.mark.django_db
NAME = "RealESRGAN_x4plus"


def row() -> Model:
    return Model.objects.get(name=NAME)


def claimed() -> Model:
    Model.objects.request(NAME)
    claim = Model.objects.claim("worker-1")
    assert claim is not None
    return claim


def expire(model: Model) -> None:
    Model.objects.filter(pk=model.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_missing_model_can_be_requested_once() -> None:
    assert Model.objects.request(NAME, "huggingface")
    assert not Model.objects.request(NAME)
    assert (row().state, row().provider) == (State.REQUESTED, "huggingface")


def test_a_failed_model_can_be_requested_again_and_forgets_its_error() -> None:
    claim = claimed()
    assert Model.objects.mark_failed(claim, "no network")
    assert (row().state, row().error) == (State.FAILED, "no network")
    assert Model.objects.request(NAME)
    assert (row().state, row().error, row().attempts) == (State.REQUESTED, "", 0)


def test_only_official_models_can_be_requested() -> None:
    Model.objects.create(name="mine", origin="imported", state=State.FAILED, sha256="a" * 64)
    assert not Model.objects.request("mine")


def test_nothing_is_claimed_when_nothing_waits() -> None:
    assert Model.objects.claim("worker-1") is None


def test_the_longest_waiting_model_is_claimed_first() -> None:
    Model.objects.request("RealESRGAN_x2plus")
    Model.objects.request(NAME)
    Model.objects.filter(name=NAME).update(requested_at=timezone.now() - timedelta(hours=1))
    claim = Model.objects.claim("worker-1")
    assert claim is not None
    assert claim.name == NAME


def test_no_more_are_claimed_than_may_run_side_by_side() -> None:
    claimed()
    Model.objects.request("RealESRGAN_x2plus")
    assert Model.objects.claim("worker-2", at_most=1) is None
    assert Model.objects.claim("worker-2", at_most=2) is not None


def test_a_claimed_model_cannot_be_claimed_again() -> None:
    claimed()
    assert Model.objects.claim("worker-2") is None
    assert Model.objects.claim("worker-2", name=NAME) is None


def test_a_command_claims_a_model_that_nobody_asked_for() -> None:
    claim = Model.objects.claim("command", name=NAME, provider="huggingface")
    assert claim is not None
    assert (claim.state, claim.provider) == (State.DOWNLOADING, "huggingface")


def test_a_ready_model_cannot_be_claimed() -> None:
    Model.objects.mark_ready(claimed())
    assert Model.objects.claim("command", name=NAME) is None


def test_the_heartbeat_extends_the_lease_and_shows_progress() -> None:
    claim = claimed()
    before = row().lease_until
    assert Model.objects.heartbeat(claim, row().size_bytes // 2)
    after = row()
    assert after.lease_until is not None
    assert before is not None
    assert after.lease_until > before
    assert after.percent == 49 or after.percent == 50


@pytest.mark.parametrize("verb", ["heartbeat", "mark_ready", "mark_failed", "release"])
def test_a_lost_claim_changes_nothing(verb: str) -> None:
    old = claimed()
    expire(old)
    Model.objects.reclaim_lost()
    new = Model.objects.claim("worker-2")
    assert new is not None
    before = row()
    calls = {
        "heartbeat": lambda: Model.objects.heartbeat(old, 1),
        "mark_ready": lambda: Model.objects.mark_ready(old),
        "mark_failed": lambda: Model.objects.mark_failed(old, "x"),
        "release": lambda: Model.objects.release(old),
    }
    assert calls[verb]() is False
    after = row()
    assert (after.state, after.token, after.received_bytes) == (before.state, new.token, before.received_bytes)


def test_a_released_model_waits_again_and_the_attempt_does_not_count() -> None:
    claim = claimed()
    assert Model.objects.release(claim)
    assert (row().state, row().attempts, row().token) == (State.REQUESTED, 0, None)


def test_a_cancelled_download_loses_its_claim() -> None:
    claim = claimed()
    assert Model.objects.cancel(NAME)
    assert row().state == State.MISSING
    assert not Model.objects.heartbeat(claim, 1)
    assert not Model.objects.cancel(NAME)


def test_a_lost_download_waits_again() -> None:
    claim = claimed()
    assert Model.objects.reclaim_lost() == 0  # the lease holds
    expire(claim)
    assert Model.objects.reclaim_lost() == 1
    assert (row().state, row().attempts) == (State.REQUESTED, 1)


def test_a_download_whose_worker_dies_again_and_again_fails() -> None:
    Model.objects.request(NAME)
    for _ in range(MAX_ATTEMPTS):
        claim = Model.objects.claim("worker")
        assert claim is not None
        expire(claim)
        assert Model.objects.reclaim_lost() == 1
    assert row().state == State.FAILED
    assert "died 3 times" in row().error


def test_a_ring_that_nobody_heard_is_repeated_once() -> None:
    Model.objects.request(NAME)
    assert Model.objects.take_unheard() == 0
    Model.objects.filter(name=NAME).update(rung_at=timezone.now() - timedelta(minutes=2))
    assert Model.objects.take_unheard() == 1
    assert Model.objects.take_unheard() == 0


def test_the_database_refuses_a_download_without_a_claim() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Model.objects.filter(name=NAME).update(state=State.DOWNLOADING)


def test_the_database_refuses_a_ready_model_without_digest() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Model.objects.filter(name=NAME).update(state=State.READY, sha256="")


def test_the_database_refuses_an_unknown_state() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Model.objects.filter(name=NAME).update(state="perhaps")


@pytest.mark.django_db(transaction=True)
def test_of_many_claimants_one_gets_the_model() -> None:
    Model.objects.request(NAME)
    got = together(8, lambda number: Model.objects.claim(f"worker-{number}"))
    assert len([model for model in got if model is not None]) == 1
    assert row().attempts == 1


def test_a_network_that_an_older_version_examined_for_less_is_unknown_not_an_error() -> None:
    full = row().spec
    assert full is not None
    table = asdict(full)
    traits = {"multiple": 1, "tiling": "exact", "padding": 8}  # the others were not asked for then
    for older in ({}, {"upload_sha256": "0" * 64}, {**table, "traits": traits}, {"scale": 4}):
        Model.objects.filter(name=NAME).update(network=older)
        assert row().spec is None
    Model.objects.filter(name=NAME).update(network=table)
    assert row().spec == full
