"""Deflate: strips of rows, compressed on all cores and handed over in order, for PNG and TIFF."""

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import TypeVar

Result = TypeVar("Result")

deflater: ModuleType = zlib
try:
    # The same format 1.7 times as fast; a bare machine with nothing but torch and OpenCV does without.
    from zlib_ng import zlib_ng

    deflater = zlib_ng
except ImportError:
    pass

#: Bytes per strip: enough for the threads to be worth their hand-over, little enough to stay in the cache.
STRIP_BYTES = 1 << 20
_MOST_THREADS = 16
_RAW, _WHOLE = -15, 15


def deflate(data: bytes | memoryview, *, raw: bool = False, last: bool = True, repeats: bool = False) -> bytes:
    """Compress bytes to a zlib stream (RFC 1950), or to bare deflate (RFC 1951) if ``raw``.

    The input is differences of neighbouring samples, so only runs of equal bytes are searched for (strategy RLE): among
    differences there is little else in a photograph, and no dictionary means that strips cost nothing in size.
    benchmarks/codecs.py has the figures.

    :param last: False ends the stream on a byte, so that another may be laid behind it.
    :param repeats: search for repeated pieces as well: animations, mostly drawn, become up to half as large by it.
    """
    level, strategy = (3, zlib.Z_DEFAULT_STRATEGY) if repeats else (1, zlib.Z_RLE)
    press = deflater.compressobj(level, zlib.DEFLATED, _RAW if raw else _WHOLE, 9, strategy)
    packed: bytes = press.compress(data) + press.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
    return packed


def in_order(work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield results in the order of the work, computed only a few strips ahead of the caller: memory stays bounded."""
    threads = min(_MOST_THREADS, len(work), _cores())
    if threads <= 1:
        for item in work:
            yield item()
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="strips") as pool:
        for item in work:
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(item))
        while waiting:
            yield waiting.popleft().result()


def _cores() -> int:
    """Return the number of cores that this process may use; not every system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
