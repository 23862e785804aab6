"""Tickets during an upgrade: clusters of this release and of the one before read what either writes."""

from collections.abc import Callable

import pytest
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from jobs.queue import dispatch
from jobs.queue.broker import PostgresBroker
from jobs.queue.renamed_tasks import RENAMED, with_todays_name
from modelstore import dispatch as model_dispatch


@pytest.mark.parametrize("old", sorted(RENAMED))
def test_an_old_name_leads_to_a_function_that_exists(old: str) -> None:
    ticket = SignedPackage.dumps({"id": "1", "func": old, "args": (), "kwargs": {}})
    task = SignedPackage.loads(with_todays_name(ticket))
    assert callable(import_string(task["func"]))
    assert (task["id"], task["args"], task["kwargs"]) == ("1", (), {})


@pytest.mark.parametrize("name", ["jobs.worker.tasks.run_next", "somebody.elses.task"])
def test_other_tickets_pass_as_they_are(name: str) -> None:
    ticket = SignedPackage.dumps({"id": "1", "func": name})
    assert with_todays_name(ticket) == ticket


def test_a_ticket_of_another_key_passes_as_it_is() -> None:
    assert with_todays_name("no.ticket:of-ours") == "no.ticket:of-ours"


RINGS = [dispatch.ring_webhooks, dispatch.ring_cleanup, dispatch.ring_upkeep, model_dispatch.ring]


@pytest.mark.django_db
@pytest.mark.parametrize("ring", RINGS)
def test_a_ticket_is_written_with_the_old_name_and_taken_with_the_new(ring: Callable[[], None]) -> None:
    """A cluster of 1.0 beside ours finds the task, and so does ours."""
    ring()
    written = OrmQ.objects.get()
    assert SignedPackage.loads(written.payload)["func"] in RENAMED
    ((_, ticket),) = PostgresBroker(dispatch.IO)._tickets(4)
    assert SignedPackage.loads(ticket)["func"] in RENAMED.values()
    assert not OrmQ.objects.exists()
