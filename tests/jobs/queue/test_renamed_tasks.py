"""Tickets of the release before are answered, by a cluster that has never heard of the old names."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from jobs.queue.broker import PostgresBroker
from jobs.queue.renamed_tasks import RENAMED, with_todays_name


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


@pytest.fixture
def queued_before_the_upgrade(db: None) -> Iterator[str]:
    """A ticket in the queue's table, as the release before wrote it."""
    async_task("jobs.worker.run_next", cluster="gpu", task_name="jobs.run_next")
    yield "jobs.worker.tasks.run_next"
    OrmQ.objects.all().delete()


def test_the_broker_hands_it_out_under_the_new_name(queued_before_the_upgrade: str) -> None:
    ticket = PostgresBroker("gpu")._take()
    assert ticket is not None
    assert SignedPackage.loads(ticket[1])["func"] == queued_before_the_upgrade
    assert not OrmQ.objects.exists()
    assert connection.is_usable()
