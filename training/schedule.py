"""The learning rate by progress, where progress is counted in steps or in wall-clock time, whichever ends first.

A laptop's owner knows until when it may work, not how many steps it will manage: with a deadline the rate reaches
zero when the time is up, whatever else the machine had to do meanwhile.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

WARM_UP_STEPS = 50


@dataclass(frozen=True, slots=True)
class Budget:
    """The end of a run. `started` and `deadline` are seconds since the epoch; a resumed run keeps both."""

    steps: int | None
    started: float
    deadline: float | None

    def progress(self, step: int, now: float) -> float:
        """Return 0 at the start, 1 or more when the budget is used up."""
        parts = [0.0]
        if self.steps is not None:
            parts.append(step / self.steps)
        if self.deadline is not None:
            span = self.deadline - self.started
            parts.append((now - self.started) / span if span > 0 else 1.0)
        return max(parts)


def rate(step: int, progress: float) -> float:
    """Return the factor on the peak rate: linear warm-up, then half a cosine down to zero."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def next_time(clock: str, now: datetime) -> float:
    """Return the next moment at that time of day after `now` (which must know its zone), as a timestamp in seconds.

    :param clock: "HH:MM".
    """
    hour, minute = (int(part) for part in clock.split(":"))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if moment <= now:
        moment += timedelta(days=1)
    return moment.timestamp()
