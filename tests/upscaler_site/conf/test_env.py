"""A setting that makes no sense stops the start and is named."""

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import env


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here is no setting of the service: the configuration table must not learn of it."""
    monkeypatch.setattr(env, "VARIABLES", {})


def device() -> str:
    return env.text("TEST_DEVICE", "auto", pattern=r"auto|cpu|cuda(:\d+)?", help="auto, cpu, cuda or cuda:N")


@pytest.mark.parametrize("value", ["auto", "cpu", "cuda", "cuda:3"])
def test_a_text_of_the_pattern_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_DEVICE", value)
    assert device() == value


@pytest.mark.parametrize("value", ["foo", "cuda:", "cuda:x", "cpu ", "cuda:1\n"])
def test_another_text_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_DEVICE", value)
    with pytest.raises(ImproperlyConfigured, match=r"TEST_DEVICE is .*; it must be auto, cpu, cuda or cuda:N"):
        device()


@pytest.mark.processes
def test_the_service_asks_for_its_device_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "foo")
    done = subprocess.run([sys.executable, "manage.py", "check"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DEVICE is 'foo'" in done.stderr + done.stdout


@pytest.mark.processes
@pytest.mark.parametrize("text", ["a+", "+a", "a++b", "a+b+c+d"])
def test_a_default_model_that_is_no_chain_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEFAULT_MODEL", text)
    done = subprocess.run([sys.executable, "manage.py", "check"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"DEFAULT_MODEL is '{text}'; it must be a model, or up to three" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/minute", (60, 60)), ("5/s", (5, 1)), (" 10 / Hour", (10, 3600)), ("1/day", (1, 86_400)), ("", None)],
)
def test_a_rate_is_read(text: str, rate: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_RATE", text.strip())
    assert env.rate("SOME_RATE", help="") == rate


@pytest.mark.parametrize("text", ["60", "0/minute", "-1/s", "x/minute", "60/fortnight", "60/minute/s", "1.5/s"])
def test_a_bad_rate_stops_the_start_and_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_RATE", text)
    with pytest.raises(ImproperlyConfigured, match="SOME_RATE"):
        env.rate("SOME_RATE", help="")


@pytest.mark.parametrize("text", ["0.0004", "0", "12", "999999999.000000000001"])
def test_an_amount_of_money_is_read_exactly_as_it_is_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PRICE", text)
    assert str(env.money("TEST_PRICE", help="A price")) == text


def test_no_amount_is_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PRICE", "")
    assert env.money("TEST_PRICE", help="A price") is None


@pytest.mark.parametrize("text", ["-1", "1e-4", "0,5", "NaN", ".5", "5 EUR", "٣"])
def test_what_is_no_amount_stops_the_start_and_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PRICE", text)
    with pytest.raises(ImproperlyConfigured, match=r"TEST_PRICE is .*; it must be an amount such as 0\.0004"):
        env.money("TEST_PRICE", help="A price")
