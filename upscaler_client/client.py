"""The two clients: the same calls, performed at once (`Client`) or with ``await`` (`AsyncClient`)."""

import functools
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import httpx

from upscaler_client.calls import Calls
from upscaler_client.errors import Refused, Unreachable
from upscaler_client.steps import Answer, Ask, Call, Pause, Reading

P = ParamSpec("P")
T = TypeVar("T")

LOCAL = "http://127.0.0.1:8000"


class _Settings:
    """Settings of both clients: where the service is, who calls, and how patient they are.

    :param server: the service's address, with a path where it lives below one.
    :param api_key: where the service asks for one.
    :param timeout: seconds for a connection, and for each silence of the service or of a slow network.
    :param retries: tries after the first one.
    :param longest_pause: seconds; a service that asks for a longer pause is not waited for.
    :param stall: seconds of silence after which an event stream counts as dead; the service speaks every 15.
    :raises Refused, Unreachable: the key, or the address, cannot be one.
    """

    def __init__(
        self,
        server: str = LOCAL,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        longest_pause: float = 60.0,
        stall: float = 45.0,
    ) -> None:
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise Refused("The API key holds characters, or lines, that no key has", code="key_malformed")
        try:
            httpx.URL(server)
        except httpx.InvalidURL as error:
            raise Unreachable(f"{server} is no address: {error}") from None
        self._calls = Calls(retries, longest_pause, stall)
        self._http_options: dict[str, Any] = {
            "base_url": server.rstrip("/") + "/",
            "headers": {"User-Agent": "upscaler-client"} | ({"X-API-Key": api_key} if api_key else {}),
            "timeout": httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        }


def _now(call: Callable[Concatenate[Calls, P], Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """Make a method of `Client` from a call."""

    @functools.wraps(call)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._perform(call(self._calls, *args, **kwargs))

    return method


def _awaited(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """Make a method of `AsyncClient` from a call."""

    @functools.wraps(call)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._perform(call(self._calls, *args, **kwargs))

    return method


class Client(_Settings):
    """A running service, for programs that wait. One may be used by several threads. A context manager."""

    upscale = _now(Calls.upscale)
    submit = _now(Calls.submit)
    plan = _now(Calls.plan)
    estimate = _now(Calls.estimate)
    job = _now(Calls.job)
    wait = _now(Calls.wait)
    result = _now(Calls.result)
    cancel = _now(Calls.cancel)
    delete = _now(Calls.delete)
    models = _now(Calls.models)
    model = _now(Calls.model)
    download_models = _now(Calls.download_models)

    @functools.cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(**self._http_options)

    def _perform(self, call: Call[T]) -> T:
        try:
            step = next(call)
            while True:
                try:
                    answer = self._step(step)
                except BaseException as error:  # noqa: BLE001 - the call decides: it may have a job to cancel
                    step = call.throw(error)
                else:
                    step = call.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _step(self, step: Ask | Pause) -> Answer:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return Answer()
        response = self._http.send(step.request(self._http), stream=True)
        try:
            reading = Reading(step, response)
            for chunk in response.iter_bytes():
                if not reading.take(chunk):
                    break
            return reading.answer()
        finally:
            response.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Settings):
    """A running service, for programs with an event loop (asyncio or trio). A context manager."""

    upscale = _awaited(Calls.upscale)
    submit = _awaited(Calls.submit)
    plan = _awaited(Calls.plan)
    estimate = _awaited(Calls.estimate)
    job = _awaited(Calls.job)
    wait = _awaited(Calls.wait)
    result = _awaited(Calls.result)
    cancel = _awaited(Calls.cancel)
    delete = _awaited(Calls.delete)
    models = _awaited(Calls.models)
    model = _awaited(Calls.model)
    download_models = _awaited(Calls.download_models)

    @functools.cached_property
    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._http_options)

    async def _perform(self, call: Call[T]) -> T:
        try:
            step = next(call)
            while True:
                try:
                    answer = await self._step(step)
                except BaseException as error:  # noqa: BLE001 - the call decides: it may have a job to cancel
                    step = call.throw(error)
                else:
                    step = call.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _step(self, step: Ask | Pause) -> Answer:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return Answer()
        response = await self._http.send(step.request(self._http), stream=True)
        try:
            reading = Reading(step, response)
            async for chunk in response.aiter_bytes():
                if not reading.take(chunk):
                    break
            return reading.answer()
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
