"""Breaks the computing process when it reads a picture of a certain width."""

import ctypes
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from jobs.engine.types import Limits, Picture

POISON, HANGS, HANGS_WITH_GIL, SLOW, LOSES_DEVICE, NO_PREVIEW, DEVICE_WAITS = 13, 14, 15, 17, 19, 21, 23
SLOW_SECONDS = 3.0


class RigConfig(AppConfig):
    name = "tests.jobs.rig"

    def ready(self) -> None:
        from jobs.engine import codec

        decode = codec.decode

        def rigged(path: Path, limits: "Limits", *, for_viewing: bool = False) -> "Picture":
            picture = decode(path, limits, for_viewing=for_viewing)
            if picture.width == POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            if picture.width == HANGS:
                ctypes.CDLL(None).sleep(10_000)
            if picture.width == HANGS_WITH_GIL:
                ctypes.PyDLL(None).sleep(10_000)
            if picture.width == LOSES_DEVICE:
                _lose_the_device_computing()
            if os.environ.get("RIG_EVENTS"):
                _record_the_device()
                _note("decoded", picture.width)
            if picture.width == SLOW:
                time.sleep(SLOW_SECONDS)
            return picture

        codec.decode = rigged
        _hold_previews(Path(os.environ.get("RIG_PREVIEWS_WAIT_FOR", "/")))
        if os.environ.get("RIG_DIE_WITH_LOCK"):
            _die_once_with_the_sentinels_lock(Path(os.environ["RIG_DIE_WITH_LOCK"]))
        if os.environ.get("RIG_LOSES_DEVICE_WARMING"):
            _lose_the_device_once_while_warming(Path(os.environ["RIG_LOSES_DEVICE_WARMING"]))
        if os.environ.get("RIG_RESOLVER_HANGS"):
            socket.getaddrinfo = _hang  # type: ignore[assignment]  # a resolver that hangs
        if os.environ.get("RIG_DIE_BEFORE_FILES"):
            from jobs.storage import files

            files.remove = lambda names: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,return-value]


def _lose_the_device_computing() -> None:
    """Only in a worker that is to lose it: this imports torch, which must not be there before the fork."""
    from jobs.engine.errors import DeviceLost
    from jobs.engine.upscaler import Upscaler

    upscale = Upscaler.upscale

    def rigged(self: Any, picture: Any, *rest: Any) -> Any:
        if picture.width == LOSES_DEVICE:
            raise DeviceLost("the device failed: CUDA error: unspecified launch failure")
        return upscale(self, picture, *rest)

    setattr(Upscaler, "upscale", rigged)  # noqa: B010 - a device of the rig


def _note(what: str, width: int) -> None:
    with Path(os.environ["RIG_EVENTS"]).open("a", encoding="utf-8") as events:
        events.write(f"{what} {width}\n")


def _record_the_device() -> None:
    """Note what the device does; with a picture of a certain width it waits until RIG_DEVICE_WAITS_FOR is there."""
    from jobs.worker import runtime

    if hasattr(runtime, "recorded"):
        return
    upscale = runtime.upscale

    def recorded(picture: Any, *rest: Any) -> Any:
        _note("begun", picture.width)
        while picture.width == DEVICE_WAITS and not Path(os.environ["RIG_DEVICE_WAITS_FOR"]).exists():
            time.sleep(0.02)
        found = upscale(picture, *rest)
        _note("computed", picture.width)
        return found

    vars(runtime).update(upscale=recorded, recorded=True)


def _lose_the_device_once_while_warming(done: Path) -> None:
    from jobs.engine.backends.network_cache import NetworkPool
    from jobs.engine.errors import DeviceLost

    get = NetworkPool.get

    def lost(*arguments: Any, **named: Any) -> Any:
        if not done.exists():
            done.touch()
            raise DeviceLost("the device failed: CUDA error: an illegal memory access was encountered")
        return get(*arguments, **named)

    setattr(NetworkPool, "get", lost)  # noqa: B010 - a device of the rig


def _hold_previews(gate: Path) -> None:
    """No preview is made before the file is there; none of a picture of a certain width can be made."""
    from jobs.worker import previews

    render = previews.render

    def held(picture: Any) -> Any:
        while not gate.exists():
            time.sleep(0.02)
        if picture.width == 2 * NO_PREVIEW:
            raise ValueError("no preview of this")
        return render(picture)

    previews.render = held


def _hang(*_args: Any, **_rest: Any) -> None:
    """A call of C that no signal ends, as a resolver without a network: a mutex that is locked twice."""
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def _die_once_with_the_sentinels_lock(done: Path) -> None:
    """Kill the first worker that finishes a task, while it holds the lock under which its sentinel looks at it."""
    from django_q import signals

    from jobs.queue import shared_state

    def die(**kwargs: Any) -> None:
        if not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        shared_state.task_done(**kwargs)

    signals.post_execute_in_worker.disconnect(dispatch_uid="jobs.task_done")
    signals.post_execute_in_worker.connect(die, weak=False)
