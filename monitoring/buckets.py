"""The bounds of every histogram, in seconds: from a cached answer to a gigapixel."""

from bisect import bisect_left
from collections.abc import Sequence

#: Upper bounds, each included; one more bucket follows for everything beyond. Stored histograms depend on this order
#: and number: a change needs a migration that clears or converts them.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


def empty() -> list[int]:
    """Return a histogram without entries."""
    return [0] * (len(BUCKETS) + 1)


def bucket_of(seconds: float) -> int:
    """Return the index of the bucket that ``seconds`` falls into."""
    return bisect_left(BUCKETS, seconds)


def quantile(histogram: Sequence[int], share: float) -> float | None:
    """Estimate a quantile (0 < ``share`` < 1) by linear interpolation inside its bucket, as Prometheus does.

    None where nothing was counted; the greatest bound where the quantile lies beyond it.
    """
    total = sum(histogram)
    if not total:
        return None
    rank = share * total
    seen = 0
    for index, count in enumerate(histogram):
        if count and seen + count >= rank:
            if index == len(BUCKETS):
                return BUCKETS[-1]
            low = BUCKETS[index - 1] if index else 0.0
            return low + (BUCKETS[index] - low) * (rank - seen) / count
        seen += count
    return BUCKETS[-1]
