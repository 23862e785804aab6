"""The Operations page: the service at a glance, and clean-up with a count first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.models import Job
from modelstore.models import Model
from monitoring import charts, failures, ledger
from monitoring.buckets import empty
from monitoring.models import JobFigure, SpanFigure
from tests.eventually import eventually
from tests.jobs import made
from tests.redis_server import RedisServer
from tests.staff import Staff
from upscaler_site.conf.broker import broker_from

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

PAGE = "/admin/operations/"
NOW = datetime(2026, 3, 10, 15, 40, tzinfo=UTC)


def test_it_shows_workers_queue_and_readiness(staff: Staff) -> None:
    Model.objects.all().delete()
    job = made.queued()
    made.worker(host="gpu-host", current_job=job.pk, device_name="L4", loaded_models=["tiny-x2"], memory_total=100,
                choices={"tiny-x2": "winograd fp32; openvino fp32 takes 3.0 times as long"})  # fmt: skip
    made.worker("io", host="io-host")
    made.worker(host="dead-host", silent_seconds=3600)
    page = staff("Viewers").get(PAGE).content.decode()
    facts = ("gpu-host", "io-host", "dead-host", "L4", "tiny-x2", "3.0 times as long", "at work", "idle", "silent")
    for fact in (*facts, str(job.pk)[:8]):
        assert fact in page
    assert "1 inference worker alive" in page
    assert "no usable model" in page


def test_the_cards_name_their_periods_and_tell_the_kinds_of_workers_apart(staff: Staff) -> None:
    made.completed()
    made.failed()
    made.worker(device="cuda:0")
    made.worker(host="gone", silent_seconds=3600)
    made.worker("io")
    client = staff("Viewers")
    for address in (PAGE, "/admin/", f"{PAGE}part/cards"):
        page = client.get(address).content.decode()
        for fact in ("Completed, last 24 hours", "50.0 % of those that ran", "API requests, last 24 hours"):
            assert fact in page, (address, fact)
        assert "pictures: 0 at work, 1 idle, cuda:0, 1 silent" in page
        assert "downloads, webhooks, clean-up: 0 at work, 1 idle" in page


@pytest.mark.processes
def test_it_says_what_carries_messages_and_whether_that_answers(
    staff: Staff, settings: Settings, redis_server: RedisServer
) -> None:
    client = staff("Viewers")
    assert "Messages between processes: PostgreSQL LISTEN/NOTIFY" in client.get(PAGE).content.decode()
    settings.BROKER = broker_from(redis_server.url, "upscaler")
    shown = f"Messages between processes: Redis at redis://127.0.0.1:{redis_server.port}/0"
    page = eventually(lambda: (page := client.get(PAGE).content.decode()) * ("Redis answers" in page))
    assert shown in page
    assert "badge-warned" not in page
    redis_server.kill()
    page = client.get(PAGE).content.decode()
    assert shown in page
    assert "Redis does not answer" in page
    assert "badge-warned" in page


def test_parts_are_for_those_who_may_see_the_page(staff: Staff, client: Client) -> None:
    assert client.get(f"{PAGE}part/cards").status_code == 302
    stranger = staff()
    assert stranger.get(f"{PAGE}part/cards").status_code == 403
    assert "data-live" not in stranger.get("/admin/").content.decode()
    viewer = staff("Viewers")
    assert viewer.get(f"{PAGE}part/other").status_code == 404
    assert "No worker has reported yet" in viewer.get(f"{PAGE}part/workers").content.decode()


def test_failures_are_told_by_reason_and_by_model(staff: Staff) -> None:
    for model, code, number in (("photo-x4", "out_of_memory", 3), ("photo-x4", "time_limit", 1), ("art-x2", "x", 1)):
        for _ in range(number):
            made.failed(code, model=model)
    made.completed(model="photo-x4")
    made.completed(model="other-x4")
    ledger.fold()
    period = charts.PERIODS["day"]
    assert [(reason.code, reason.jobs) for reason in failures.by_reason(period)] == [
        ("out_of_memory", 3), ("time_limit", 1), ("x", 1),
    ]  # fmt: skip
    assert [(m.model, m.failed, m.ran, m.reason) for m in failures.by_model(period)] == [
        ("photo-x4", 4, 5, "out_of_memory"), ("art-x2", 1, 1, "x"),
    ]  # fmt: skip
    client = staff("Viewers")
    page = client.get(PAGE).content.decode()
    assert "80.0 %" in page
    for reason in failures.by_reason(period):
        assert reason.link.replace("&", "&amp;") in page
        assert client.get(reason.link).context["cl"].result_count == reason.jobs


def test_failures_of_long_ago_are_in_the_longer_periods_only() -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    JobFigure.objects.create(hour=hour, model="chain of 2", status="failed", error_code="x", jobs=2)
    assert not failures.by_reason(charts.PERIODS["day"])
    assert not failures.by_model(charts.PERIODS["day"])
    (model,) = failures.by_model(charts.PERIODS["week"])
    assert "model=%2B" in model.link, "chains are one choice of the list's filter"
    (reason,) = failures.by_reason(charts.PERIODS["month"])
    assert (reason.jobs, reason.newest_job) == (2, "")


def test_it_works_before_anything_happened(staff: Staff) -> None:
    page = staff("Viewers").get(PAGE).content.decode()
    assert "No worker has reported yet" in page
    assert page.count("nothing in this period") >= 2


@pytest.mark.parametrize("period", ["day", "week", "month", "century"])
def test_every_period_is_drawn(staff: Staff, period: str) -> None:
    made.completed()
    made.failed()
    page = staff("Viewers").get(f"{PAGE}?period={period}").content.decode()
    assert 'class="bar-completed"' in page
    assert 'class="bar-failed"' in page
    assert "0,00" not in page


def test_the_number_of_questions_does_not_grow(staff: Staff, django_assert_max_num_queries: Any) -> None:
    client = staff("Managers")
    for number in range(12):
        made.completed(model=f"model-{number}")
        made.worker(host=f"host-{number}")
    client.get(PAGE)
    with django_assert_max_num_queries(50):
        client.get(PAGE)


def test_clean_up_counts_first_and_removes_only_when_told(staff: Staff, data_dir: Path) -> None:
    client = staff("Managers")
    old, new = made.completed(files=True), made.completed(files=True)
    Job.objects.filter(pk=old.pk).update(finished_at=datetime.now(UTC) - timedelta(hours=30))
    page = client.post(PAGE, {"hours": "24"}).content.decode()
    assert "Would remove 1 jobs with 2 files" in page
    assert Job.objects.count() == 2
    answer = client.post(PAGE, {"hours": "24", "run": "1"})
    assert answer.status_code == 302
    assert "Cleaned up 1 jobs and 2 files" in str([str(message) for message in get_messages(answer.wsgi_request)])
    assert [job.pk for job in Job.objects.all()] == [new.pk]


@pytest.mark.parametrize("hours", ["-1", "abc", "", "1e9", "99999999999"])
def test_odd_hours_are_a_message_and_remove_nothing(staff: Staff, hours: str) -> None:
    made.completed()
    answer = staff("Managers").post(PAGE, {"hours": hours, "run": "1"})
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert Job.objects.count() == 1


def test_who_may_not_clean_up_sees_no_form_and_is_refused(staff: Staff) -> None:
    made.completed()
    for group in ("Viewers", "Operators"):
        client = staff(group)
        assert b"Remove them" not in client.get(PAGE).content
        assert b'id="cleanup"' not in client.get(PAGE).content
        assert client.post(PAGE, {"hours": "0", "run": "1"}).status_code == 403
    assert Job.objects.count() == 1


def test_it_is_for_staff_with_the_permission(staff: Staff, client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    assert staff().get(PAGE).status_code == 403
    assert staff("Viewers").delete(PAGE).status_code == 405


def test_a_bar_stands_where_its_hour_is() -> None:
    hour = NOW.replace(minute=0)
    for back, number in ((0, 4), (23, 8), (30, 100)):
        JobFigure.objects.create(hour=hour - timedelta(hours=back), model="m", status="completed", jobs=number)
    chart = charts.throughput(charts.PERIODS["day"], NOW)
    assert [rect.title for rect in chart.rects] == ["16:00: 8 completed", "15:00: 4 completed"]
    first, last = chart.rects
    assert first.x == pytest.approx(charts.LEFT + 1)
    assert last.x + last.width == pytest.approx(charts.LEFT + charts.PLOT_WIDTH - 1, abs=0.3)
    assert first.height == pytest.approx(2 * last.height, abs=0.2)
    assert first.y >= charts.TOP
    assert chart.summary == "12 completed, 0 failed, 0 cancelled"


def test_outcomes_are_stacked_without_gap() -> None:
    hour = NOW.replace(minute=0)
    for status, number in (("completed", 5), ("failed", 3), ("cancelled", 2)):
        JobFigure.objects.create(hour=hour, model="m", status=status, jobs=number)
    low, middle, high = charts.throughput(charts.PERIODS["week"], NOW).rects
    assert low.y + low.height == pytest.approx(charts.TOP + charts.PLOT_HEIGHT, abs=0.2)
    assert middle.y + middle.height == pytest.approx(low.y, abs=0.2)
    assert high.y + high.height == pytest.approx(middle.y, abs=0.2)


def test_durations_of_all_models_are_one_distribution() -> None:
    hour = NOW.replace(minute=0)
    fast, slow = empty(), empty()
    fast[5], slow[10] = 90, 10  # 0.1 to 0.25 s, and 5 to 10 s
    SpanFigure.objects.create(hour=hour, model="a", span="total", count=90, seconds=15, buckets=fast)
    SpanFigure.objects.create(hour=hour, model="b", span="total", count=10, seconds=80, buckets=slow)
    SpanFigure.objects.create(hour=hour, model="a", span="queue", count=9, seconds=80, buckets=slow)
    median, high = charts.durations(charts.PERIODS["day"], NOW).lines
    assert median.dots[0][2] == "15:00: 0.18 s"
    assert high.dots[0][2] == "15:00: 7.50 s"
    assert median.pieces == []  # one hour alone is a dot


def test_figures_of_a_real_job_reach_the_charts() -> None:
    made.completed()
    ledger.fold()
    now = datetime.now(UTC)
    assert not charts.throughput(charts.PERIODS["day"], now).is_empty
    assert not charts.durations(charts.PERIODS["month"], now).is_empty


def test_operators_pause_and_resume_a_queue_and_viewers_only_see_it(staff: Staff) -> None:
    operator, viewer = staff("Operators"), staff("Viewers")
    assert viewer.post(f"{PAGE}queue/gpu", {"do": "pause"}).status_code == 403
    operator.post(f"{PAGE}queue/gpu", {"do": "pause", "reason": "a new <driver>"})
    page = viewer.get(PAGE).content.decode()
    assert "a new &lt;driver&gt;" in page
    assert (f"{PAGE}queue/gpu" in page, f"{PAGE}queue/gpu" in operator.get(PAGE).content.decode()) == (False, True)
    assert "paused" in viewer.get(f"{PAGE}part/cards").content.decode()
    assert 'upscaler_queue_paused{cluster="gpu"} 1.0' in operator.get("/metrics").content.decode()
    operator.post(f"{PAGE}queue/gpu", {"do": "resume"})
    assert "a new" not in viewer.get(PAGE).content.decode()
    assert operator.post(f"{PAGE}queue/cpu", {"do": "pause"}).status_code == 404
    assert operator.get(f"{PAGE}queue/gpu").status_code == 405
