"""Event loops of commands that hear the signals of `main.py`."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Coroutine[Any, Any, None], *, first: Callable[[], object] = bool) -> None:
    """Run ``work`` to its end. A signal cancels it, and is raised again once everything is undone.

    A handler that raises, as the program's own does, would raise in whatever callback the loop just runs.

    :param first: called at the signal, to end what waits where nothing can be cancelled.
    """
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}

    async def whole() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            if not asked:  # once: what is under way is being undone already
                asked.append(number)
                first()
                task.cancel()

        for number in _ENDING:
            loop.add_signal_handler(number, end, number)
        await work

    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(whole())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        signal.raise_signal(asked[0])
