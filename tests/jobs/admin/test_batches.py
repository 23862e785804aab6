"""The list of batches counts what it shows, however many jobs there are."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Batch
from tests.jobs import made
from tests.staff import Staff

pytestmark = pytest.mark.django_db


def test_a_page_counts_the_jobs_of_its_own_batches_in_one_query(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.admin.batches import BatchAdmin

    monkeypatch.setattr(BatchAdmin, "list_per_page", 2)
    oldest, older, newest = (Batch.objects.create() for _ in range(3))
    for batch in (oldest, older, newest):
        made.failed(batch=batch)
    made.failed(batch=newest)
    client = staff("Viewers")
    with CaptureQueriesContext(connection) as found:
        page = client.get("/admin/jobs/batch/").content.decode()
    assert page.split(f"?q={newest.pk}")[1].split("</a>")[0].rstrip().endswith(" 2")
    counting = [query["sql"] for query in found.captured_queries if 'FROM "jobs_job"' in query["sql"]]
    assert len(counting) == 1, counting
    named = counting[0].replace("-", "")
    assert all(batch.pk.hex in named for batch in (older, newest)), named
    assert oldest.pk.hex not in named


def test_one_batch_shows_its_jobs(staff: Staff) -> None:
    batch = Batch.objects.create()
    made.failed(batch=batch)
    made.queued(batch=batch)
    page = staff("Viewers").get(f"/admin/jobs/batch/{batch.pk}/change/").content.decode()
    cell = page.split(f"?q={batch.pk}")[1].split("</a>")[0]
    assert cell.count(" 1") == 2
