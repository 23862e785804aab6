"""/metrics: readable by Prometheus, true, guarded; and the dashboard and the alert rules ask for what really exists."""

import json
import re
import uuid
from pathlib import Path

import pytest
import yaml
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pytest_django.fixtures import Settings

from monitoring.buckets import BUCKETS
from tests.jobs import made
from upscaler_site.conf.broker import broker_from

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

pytestmark = pytest.mark.django_db(transaction=True)


def scrape(client: Client, status: int = 200, **headers: str) -> Samples:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == status, answer.content
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(answer.content.decode())
        for sample in family.samples
    }


def value(samples: Samples, metric: str, /, **labels: str) -> float:
    return samples[metric, frozenset(labels.items())]


def live_a_little(client: Client) -> None:
    """Let every metric have a sample."""
    made.completed()
    made.failed("out_of_memory")
    made.cancelled()
    made.queued(priority=20)
    made.queued(priority=0)
    made.worker(device="cuda:0", device_name="L4", memory_total=8_000, memory_used=2_000, current_job=uuid.uuid4())
    made.worker("io")
    client.get("/api/v1/jobs")


def test_both_formats_can_be_parsed(client: Client) -> None:
    live_a_little(client)
    assert scrape(client)
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    families = parse_openmetrics(answer.content.decode())  # type: ignore[no-untyped-call]
    assert len(list(families)) > 15


def test_the_numbers_are_true(client: Client) -> None:
    live_a_little(client)
    seen = scrape(client)
    assert value(seen, "upscaler_database_up") == 1
    assert value(seen, "upscaler_queue_jobs", priority="sync") == 1
    assert value(seen, "upscaler_queue_jobs", priority="async") == 0
    assert value(seen, "upscaler_queue_jobs", priority="batch") == 1
    assert value(seen, "upscaler_jobs_processing") == 0
    assert value(seen, "upscaler_jobs_total", model="tiny-x2", status="completed") == 1
    assert value(seen, "upscaler_job_failures_total", reason="out_of_memory") == 1
    assert value(seen, "upscaler_tiles_total", model="tiny-x2") == made.REPORT["tiles"]
    assert value(seen, "upscaler_workers", cluster="gpu", host="test") == 1
    assert value(seen, "upscaler_workers_busy", cluster="gpu", host="test") == 1
    assert value(seen, "upscaler_workers", cluster="io", host="test") == 1
    assert value(seen, "upscaler_device_memory_used_bytes", host="test", device="cuda:0", name="L4", uuid="") == 2_000
    assert value(seen, "upscaler_http_requests_total", method="GET", route="api/v1/jobs", status="200") == 1


def test_histograms_are_cumulative_and_complete(client: Client) -> None:
    made.completed()
    seen = scrape(client)
    rows = {
        dict(labels)["le"]: v
        for (name, labels), v in seen.items()
        if name == "upscaler_job_span_seconds_bucket" and dict(labels)["span"] == "infer"
    }
    assert set(rows) == {*map(str, BUCKETS), "+Inf"}
    assert rows["1.0"] == 0
    assert rows["2.5"] == rows["+Inf"] == 1
    assert value(seen, "upscaler_job_span_seconds_sum", model="tiny-x2", span="infer") == pytest.approx(1.5)


def test_a_storage_that_cannot_be_written_and_a_broker_that_is_away_are_zeros(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    seen = scrape(client)
    assert value(seen, "upscaler_storage_up") == 1
    assert not any(name == "upscaler_broker_up" for name, _ in seen)  # there is none
    (tmp_path / "file").write_text("")
    settings.MEDIA_ROOT = tmp_path / "file" / "files"
    settings.BROKER = broker_from("redis://127.0.0.1:9/0", "upscaler")
    seen = scrape(client)
    assert (value(seen, "upscaler_storage_up"), value(seen, "upscaler_broker_up")) == (0, 0)


def test_counters_never_fall_when_jobs_are_cleaned_up(client: Client) -> None:
    from jobs.storage.retention import cleanup

    made.completed()
    before = scrape(client)
    assert cleanup(hours=0).jobs == 1
    after = scrape(client)
    fallen = [key for key, number in before.items() if key[0].endswith(("_total", "_count")) and after[key] < number]
    assert fallen == []


def test_a_cluster_without_workers_is_a_zero_and_not_a_gap(client: Client) -> None:
    made.worker("io")
    assert value(scrape(client), "upscaler_workers", cluster="gpu", host="") == 0


def test_without_its_database_it_says_so_and_still_tells_of_its_host(client: Client) -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    with connection.execute_wrapper(away):
        seen = scrape(client, 503)
        assert client.get("/metrics").content.startswith(b"# database: it does not answer")
    assert value(seen, "upscaler_disk_free_bytes") > 0
    assert value(seen, "upscaler_database_up") == 0
    assert not any(name.startswith("upscaler_jobs") for name, _ in seen)


@pytest.mark.parametrize(
    ("access", "peer", "headers", "status"),
    [
        ("private", "127.0.0.1", {}, 200),
        ("private", "::1", {}, 200),
        ("private", "10.1.2.3", {}, 200),
        ("private", "::ffff:192.168.1.9", {}, 200),
        ("private", "8.8.8.8", {}, 403),
        ("private", "2a00:1450:4001::1", {}, 403),
        ("private", "", {}, 403),
        ("private", "127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, 403),  # an unknown proxy: anybody may be behind it
        ("private", "127.0.0.1", {"Forwarded": "for=10.0.0.1"}, 403),
        ("open", "8.8.8.8", {}, 200),
        ("closed", "127.0.0.1", {}, 403),
    ],
)
def test_who_may_read(
    client: Client, settings: Settings, access: str, peer: str, headers: dict[str, str], status: int
) -> None:
    settings.METRICS_ACCESS = access
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=peer).status_code == status


def test_behind_a_known_proxy_the_callers_own_address_decides(client: Client, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 200
    assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1, 8.8.8.8"}).status_code == 403


def test_a_token_decides_alone(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer s3cretö"}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}, REMOTE_ADDR="8.8.8.8").status_code == 200


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bupscaler_[a-z_]+\b", expression))


def labels_in(expression: str) -> set[tuple[str, str]]:
    """(metric, label) of every selector."""
    found = set()
    for name, selector in re.findall(r"\b(upscaler_[a-z_]+)\{([^}]*)\}", expression):
        found |= {(name, label) for label in re.findall(r"([a-z_]+)\s*[=!]", selector)}
    return found


def expressions() -> dict[str, str]:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text())
    found = {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    return found | {f"alert {rule['alert']}": rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist(
    client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    from monitoring import metrics
    from monitoring.gpus import Gpu

    # This host may have no GPU; what the driver would tell is the only thing made up here.
    monkeypatch.setattr(metrics, "gpus", lambda: [Gpu(0, "L4", "uuid", 8, 4, 50)])
    settings.BROKER = broker_from("redis://127.0.0.1:9/0", "upscaler")  # nobody is there: a 0
    live_a_little(client)
    seen: dict[str, set[str]] = {}
    for name, labels in scrape(client):
        seen.setdefault(name, set()).update(dict(labels))
    asked = expressions()
    assert len(asked) > 25
    unknown = {where: missing for where, text in asked.items() if (missing := names_in(text) - set(seen))}
    assert unknown == {}
    wrong = {
        where: bad
        for where, text in asked.items()
        if (bad := {(name, label) for name, label in labels_in(text) if label not in seen[name]})
    }
    assert wrong == {}


def test_every_metric_is_on_the_dashboard_or_in_an_alert(client: Client) -> None:
    live_a_little(client)
    answer = client.get("/metrics").content.decode()
    families = {family.name for family in parse_text(answer)} - {"upscaler_info"}
    used = " ".join(expressions().values())
    assert {name for name in families if name not in used} == set()


def test_usage_is_told_by_model_and_kind_of_device_and_never_falls(client: Client) -> None:
    """Keys and chains are named by callers: a label of each would grow without end."""
    from jobs.models import UsageEntry

    for model in ("m", "a+b", "b+a"):
        made.completed(model=model)
    made.failed(model="m")
    samples = scrape(client)
    assert value(samples, "upscaler_usage_device_seconds_total", model="m", device="cpu") == 1.5
    assert value(samples, "upscaler_usage_output_pixels_total", model="chain of 2", device="cpu") == 2 * 96 * 64
    assert value(samples, "upscaler_usage_result_bytes_total", model="m", device="cpu") == 4321
    assert value(samples, "upscaler_usage_jobs_total", model="m", device="", status="failed") == 1
    UsageEntry.objects.all().delete()
    again = scrape(client)
    assert {name: told for name, told in again.items() if name[0].startswith("upscaler_usage")} == {
        name: told for name, told in samples.items() if name[0].startswith("upscaler_usage")
    }
