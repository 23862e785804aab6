"""A worker's runtime: one pool of networks, made after the fork, kept for the process's life.

Importing this imports torch: only workers and commands that compute do so.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn, cast

import numpy as np
import psutil
from django.conf import settings
from django.db import Error as DatabaseError

from jobs import chains
from jobs.engine.backends.device import lacks_kernels, precisions
from jobs.engine.backends.memory import trim_host_memory
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import DeviceLost, EngineError, WeightsDamaged
from jobs.engine.types import (
    Backend,
    Frame,
    OnTile,
    Picture,
    Precision,
    Report,
    Runtime,
    UpscaleOptions,
    Weights,
)
from jobs.engine.upscaler import Upscaler
from jobs.queue import shared_state
from jobs.worker import registration
from jobs.worker.db_retry import retried
from modelstore.errors import ModelStoreError
from modelstore.storage.weights import LocalWeights, reread, weights_for

logger = logging.getLogger(__name__)

#: Seconds after which a worker without its device ends: its successor tries in a process that has not touched CUDA.
_LOOK_AGAIN_SECONDS = 10.0

#: Plans of convolutions that cuDNN keeps, some 200 kB each, for every shape that it has met: torch's 10,000 are 2 GB.
_CUDNN_PLANS = 500

#: Bytes of freed memory that are worth giving back, although the next run must allocate them again.
_WORTH_BYTES = 100_000_000

_upscaler: Upscaler | None = None
_owner = 0
_floor = 0  # resident memory after it was last given back


def upscaler() -> Upscaler:
    """Return this process's upscaler, with the operator's device, precision and backend."""
    global _upscaler, _owner  # noqa: PLW0603 - networks are kept per process
    if _upscaler is None or _owner != os.getpid():  # CUDA does not survive a fork
        os.environ.setdefault("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", str(_CUDNN_PLANS))  # read once, by torch's C++
        precision, backend = cast("Precision", settings.PRECISION), cast("Backend", settings.ENGINE_BACKEND)
        runtime = Runtime(settings.DEVICE, precision, backend, settings.MEASUREMENTS_DIR)
        _upscaler = Upscaler(NetworkPool(runtime, settings.MODEL_MEMORY_MB * 1_000_000))
        _owner = os.getpid()
    return _upscaler


def engine_weights(local: LocalWeights) -> Weights:
    """Return the store's files and their digests as the engine's type."""
    return Weights(local.name, local.path, local.second, local.blend, local.sha256, local.second_sha256, local.spec)


def upscale(
    picture: Picture,
    members: Sequence[LocalWeights],
    options: UpscaleOptions | None = None,
    on_tile: OnTile | None = None,
) -> tuple[Picture, Report]:
    """Upscale as `Upscaler.upscale` does. Weights files that turn out to be damaged are handled before it raises.

    :param members: of the chain, in its order; one where there is no chain.
    """
    try:
        return upscaler().upscale(picture, [engine_weights(local) for local in members], options, on_tile)
    except WeightsDamaged:
        for local in members:
            retried(reread)(local)
        raise


def give_memory_back() -> None:
    """Return to the system what the last pictures took, where it is much: call it when no job waits.

    A worker held 1.2 to 2.5 GB for ever after one large picture.
    """
    global _floor  # noqa: PLW0603 - of this process
    if _resident() < _floor + _WORTH_BYTES:
        return
    upscaler().pool.release()
    trim_host_memory()
    _floor = _resident()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def settle_in() -> None:
    """Find out the device, load and warm WARM_MODELS: the first job must not wait for it.

    A model that cannot be warmed is no reason not to work: jobs that name it will say why. A worker without its device
    ends instead, before it is given a job: it would fail the whole queue faster than any other worker works.
    """
    me = registration.mine()
    machine = upscaler()
    try:
        place = machine.pool.place()
        said = "; ".join(filter(None, (place.note, lacks_kernels(machine.pool.runtime, place))))
        me.place, me.precisions = replace(place, note=said), precisions(machine.pool.runtime)
        if said:
            logger.warning("worker %s worker=%s", said, me.id)
        logger.info("worker computes worker=%s device=%s name=%s backend=%s precision=%s", me.id, place.device,
                    place.name, place.backend, place.precision)  # fmt: skip
    except (EngineError, RuntimeError):  # torch's own, where the driver answers with an error
        logger.exception("worker cannot compute worker=%s again_in=%.0fs", me.id, _LOOK_AGAIN_SECONDS)
        _end_without_device()
    tiny = Picture("png", (Frame(np.zeros((64, 64, 3), np.uint8)),))
    for name in dict.fromkeys(name for text in settings.WARM_MODELS for name in chains.split(text)):
        try:
            _, report = upscale(tiny, [weights_for(name)])
            me.used(name, len(machine.pool), report.choice)
            logger.info("model warm model=%s worker=%s", name, me.id)
        except DeviceLost:
            logger.exception("worker's device is lost worker=%s again_in=%.0fs", me.id, _LOOK_AGAIN_SECONDS)
            me.place = None
            _end_without_device(lost=True)
        except (EngineError, ModelStoreError, DatabaseError) as error:
            logger.warning("model not warmed model=%s error=%s", name, error)


def _end_without_device(*, lost: bool = False) -> NoReturn:
    """End this process after a pause in which health checks see a worker without a device. The sentinel forks another.

    Not a loop in here: CUDA keeps what its first look found for the life of a process.
    """
    me = registration.mine()
    me.say()
    until = time.monotonic() + _LOOK_AGAIN_SECONDS
    while time.monotonic() < until and not shared_state.must_stop()[0]:
        time.sleep(0.2)
    me.leave()
    if lost:
        os._exit(1)  # a normal exit would ask the dead device to free its memory
    sys.exit(1)
