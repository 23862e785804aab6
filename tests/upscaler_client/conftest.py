"""A client of the shared service, sync and async, and a server that lies in the service's place."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.modelstore.liar import Liar
from tests.service import Service
from upscaler_client import AsyncClient, Client, retries

#: Calls a method of a client by its name, whichever kind of client it is.
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxy must not come between a test and its server."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests need not wait as long as a service that is overrun deserves."""
    monkeypatch.setattr(retries, "FIRST_SECONDS", 0.02)


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.base_url) as made:
        yield made


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """``ask(server, "job", id, retries=2)``: one call by a client of either kind, with the client's options."""

    def at_once(server: str, call: str, *words: Any, client: dict[str, Any] | None = None, **more: Any) -> Any:
        with Client(server, **(client or {})) as made:
            return getattr(made, call)(*words, **more)

    def awaited(server: str, call: str, *words: Any, client: dict[str, Any] | None = None, **more: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(server, **(client or {})) as made:
                return await getattr(made, call)(*words, **more)

        return asyncio.run(run())

    return at_once if request.param == "sync" else awaited
