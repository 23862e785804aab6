"""System checks: settings that contradict each other are told at the start."""

from pathlib import Path

import pytest
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from tests.eventually import eventually
from tests.redis_server import RedisServer
from upscaler_site.conf.broker import broker_from


def ids(*, deploy: bool = False) -> set[str]:
    return {message.id or "" for message in run_checks(tags=["monitoring"], include_deployment_checks=deploy)}


def test_the_defaults_are_without_findings(data_dir: Path) -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_OUTPUT_PIXELS", 10, "monitoring.W001"),
        ("MAX_STORAGE_GB", 0.1, "monitoring.W002"),
        ("SWEEP_SECONDS", 299, "monitoring.W003"),
    ],
)
def test_limits_that_contradict_each_other(
    settings: Settings, data_dir: Path, name: str, value: float, expected: str
) -> None:
    setattr(settings, name, value)
    assert ids() == {expected}


def test_a_file_where_a_directory_belongs(settings: Settings, data_dir: Path) -> None:
    (data_dir / "file").write_text("")
    settings.MODELS_DIR = data_dir / "file"
    assert ids() == {"monitoring.E001"}


def test_open_doors_are_told_before_going_to_production(settings: Settings, data_dir: Path) -> None:
    settings.METRICS_ACCESS = "open"
    settings.ALLOWED_HOSTS = ["*"]
    assert ids(deploy=True) == {"monitoring.W010", "monitoring.W011"}
    settings.METRICS_TOKEN = "x"
    settings.ALLOWED_HOSTS = ["up.example.org"]
    assert ids(deploy=True) == set()


@pytest.mark.processes
def test_a_broker_that_does_not_answer(settings: Settings, data_dir: Path, redis_server: RedisServer) -> None:
    settings.BROKER = broker_from(redis_server.url.replace("127", ":s3cret@127"), "upscaler")
    found = eventually(lambda: [str(warning) for warning in run_checks(tags=["monitoring"])])
    assert "BROKER_URL: Redis at redis://127.0.0.1:" in found[0]
    assert "does not answer: " in found[0]
    assert "s3cret" not in found[0]
    settings.BROKER = broker_from(redis_server.url, "upscaler")
    eventually(lambda: ids() == set(), say="the silence of the check")
