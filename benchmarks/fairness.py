"""Fair shares: thousands of jobs of callers of unequal sizes, rates and shares, through the service's own statements.

    python -m benchmarks.fairness [--jobs 10000] [--callers 50] [--newcomers 100] [--devices 4] [--seed 1]

Time and devices are simulated (a megapixel takes a second of a device); acceptance (`Turn.take` and the row), claim and
end are the real ones, in a Postgres of its own. Prints Jain's index of what each caller was given, in parts of what a
fluid that is shared by weight would have given it by then (generalized processor sharing), at the quarters of the work;
and how long single jobs of newcomers waited. Beside it the same for first come, first served: all jobs of one caller.
"""

import argparse
import heapq
import itertools
import random
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

#: Claims between two looks at the clocks, as the sweeper has them every few seconds.
_SWEEP_CLAIMS = 50


@dataclass(frozen=True)
class Caller:
    """One caller: what it submits, and when."""

    name: str
    share: float
    megapixels: float  # of each picture
    arrivals: tuple[tuple[float, int], ...]  # (second, pictures of that call)

    @property
    def jobs(self) -> int:
        return sum(count for _at, count in self.arrivals)


@dataclass
class Outcome:
    """The result of a run."""

    capacity: float  # megapixels a second
    starts: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # by caller: (end, megapixels)
    waits: list[float] = field(default_factory=list)  # seconds of the newcomers
    passed: list[int] = field(default_factory=list)  # jobs of others that began between a newcomer's call and its start

    def served(self, name: str, until: float) -> float:
        return sum(size for end, size in self.starts.get(name, ()) if end <= until)

    def quarters(self) -> list[float]:
        """Return the moments at which a quarter, a half and three quarters of the work were done."""
        ends = sorted(end for done in self.starts.values() for end, _size in done)
        return [ends[len(ends) * quarter // 4] for quarter in (1, 2, 3)]


def made_up(count: int, jobs: int, seed: int) -> list[Caller]:
    """Return callers: some with thousands of jobs at once, some with calls over and over, sizes from 0.2 to 12 MP."""
    dice = random.Random(seed)
    weights = [1 / (rank + 1) ** 0.8 for rank in range(count)]
    callers = []
    for number, weight in enumerate(weights):
        mine = max(3, round(jobs * weight / sum(weights)))
        megapixels = round(min(12.0, max(0.2, dice.lognormvariate(0.3, 0.9))), 2)
        arrivals = [(0.0, mine)]
        if number % 3 == 1:  # calls of a batch each, over and over
            parts = min(mine, 8)
            arrivals = [(40.0 * part, mine // parts + (part < mine % parts)) for part in range(parts)]
        elif number % 3 == 2:  # single pictures, at a rate of its own
            rate = dice.uniform(0.05, 2.0)
            moments = itertools.accumulate(dice.expovariate(rate) for _ in range(mine))
            arrivals = [(moment, 1) for moment in moments]
        callers.append(Caller(f"key:{number}", dice.choice([0.5, 1, 1, 1, 2, 4]), megapixels, tuple(arrivals)))
    return callers


def newcomers(count: int, until: float, seed: int) -> list[Caller]:
    """Return callers of one small picture each, at moments in which the queue is long."""
    dice = random.Random(seed + 1)
    moments = sorted(dice.uniform(0.02 * until, 0.6 * until) for _ in range(count))
    return [Caller(f"new:{number}", 1.0, 1.0, ((moment, 1),)) for number, moment in enumerate(moments)]


def simulate(callers: Sequence[Caller], devices: int, *, fair: bool) -> Outcome:
    """Let the devices work off what the callers submit. The table of jobs is emptied first.

    :param fair: False: all are one caller to the queue, which is first come, first served.
    """
    from jobs.models import Job, Turn
    from jobs.models.results import Finished

    Job.objects.all().delete()
    Turn.objects.all().delete()
    outcome = Outcome(float(devices))
    calls = sorted(
        ((at, number, count) for number, caller in enumerate(callers) for at, count in caller.arrivals), reverse=True
    )
    asked: dict[str, float] = {}
    began, begun_before = 0, {}
    working: list[tuple[float, int, Job]] = []
    tie = itertools.count()
    now = 0.0
    while calls or working:
        while calls and calls[-1][0] <= now:
            _at, number, count = calls.pop()
            _accept(callers[number], count, fair=fair)
            asked[callers[number].name] = now
            begun_before[callers[number].name] = began
        while len(working) < devices and (job := Job.objects.claim("simulated")) is not None:
            began += 1
            if began % _SWEEP_CLAIMS == 0:
                Turn.objects.keep_time()
            size = job.input_width * job.input_height / 1e6
            name = job.request_id
            if name.startswith("new:"):
                outcome.waits.append(now - asked[name])
                outcome.passed.append(began - 1 - begun_before[name])
            outcome.starts.setdefault(name, []).append((now + size, size))
            heapq.heappush(working, (now + size, next(tie), job))
        next_ = [entry[0] for entry in (*working[:1], *calls[-1:])]  # the first end, the first call
        now = max(now, min(next_, default=now))
        while working and working[0][0] <= now:
            _end, _tie, job = heapq.heappop(working)
            done = Finished(f"results/{job.pk.hex}.png", 1, "png", 1, 1, "0" * 64)
            if not Job.objects.succeed(job, done):
                raise SystemExit("a claim was lost")
    return outcome


def _accept(caller: Caller, count: int, *, fair: bool) -> None:
    """Write rows as a submission does, without the file."""
    from django.utils import timezone

    from jobs.models import Job, Turn
    from jobs.models.turn import cost
    from jobs.states import Priority

    side = round(caller.megapixels**0.5 * 1000)
    name, share = (caller.name, caller.share) if fair else ("all:", 1.0)
    turns = Turn.objects.take(name, Priority.ASYNC, [cost(side, side, 1, "m")] * count, share=share)
    Job.objects.bulk_create(
        Job(caller=name, turn=turn, request_id=caller.name, model="m", input_file="inputs/x.png", input_sha256="",
            input_bytes=1, input_format="png", input_width=side, input_height=side, created_at=timezone.now(),
            queued_at=timezone.now())
        for turn in turns
    )  # fmt: skip


def fluid(callers: Sequence[Caller], capacity: float, moments: Sequence[float]) -> list[dict[str, float]]:
    """Return how many megapixels of each caller a fluid shared by weight has done at these moments.

    A caller with one picture left cannot fill two devices, and a fluid can: with fifty callers that does not show.
    """
    arrivals = sorted(
        (at, caller.name, count * caller.megapixels) for caller in callers for at, count in caller.arrivals
    )
    share = {caller.name: caller.share for caller in callers}
    left = dict.fromkeys(share, 0.0)
    done = dict.fromkeys(share, 0.0)
    found: list[dict[str, float]] = []
    now, position, stops = 0.0, 0, sorted(moments)
    while len(found) < len(stops):
        while position < len(arrivals) and arrivals[position][0] <= now:
            left[arrivals[position][1]] += arrivals[position][2]
            position += 1
        busy = [name for name, amount in left.items() if amount > 1e-9]
        total = sum(share[name] for name in busy)
        until = min(stops[len(found)], arrivals[position][0] if position < len(arrivals) else float("inf"))
        until = min([until, *(now + left[name] * total / (capacity * share[name]) for name in busy)])
        for name in busy:
            amount = min(left[name], capacity * share[name] / total * (until - now))
            left[name] -= amount
            done[name] += amount
        now = until
        if now >= stops[len(found)]:
            found.append(dict(done))
    return found


def jain(values: Sequence[float]) -> float:
    """Return Jain's index: 1 when all are equal, 1/n when one has everything; 0 when nobody has anything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 0.0


def indexes(callers: Sequence[Caller], outcome: Outcome) -> list[float]:
    """Return Jain's index at each quarter, over the callers for which the fluid has done ten pictures or all.

    Newcomers with a single picture do not count: they would make any queue look fair.
    """
    moments = outcome.quarters()
    found = []
    for moment, due in zip(moments, fluid(callers, outcome.capacity, moments), strict=True):
        crowd = [caller for caller in callers if caller.jobs > 1]
        judged = [caller for caller in crowd if due[caller.name] >= min(10, caller.jobs) * caller.megapixels - 1e-6]
        found.append(jain([outcome.served(caller.name, moment) / due[caller.name] for caller in judged]))
    return found


def report(title: str, callers: Sequence[Caller], outcome: Outcome) -> None:
    """Print one run's figures."""
    rows = zip(("a quarter", "half", "three quarters"), indexes(callers, outcome), strict=True)
    print(f"{title}: Jain's index " + ", ".join(f"{value:.4f} at {name}" for name, value in rows))
    waits = sorted(outcome.waits)
    beyond = len(waits) - bisect_right(sorted(outcome.passed), 0)
    print(
        f"    newcomers: waited {median(waits):.2f} s in the middle, {waits[-1]:.2f} s at most; before {beyond} of "
        f"{len(waits)} other jobs began meanwhile, {max(outcome.passed)} at most",
        flush=True,
    )


@contextmanager
def _database(directory: str) -> Iterator[None]:
    """Set Django up with a Postgres of its own."""
    import os

    from upscaler_site.postgres.embedded import EmbeddedPostgres

    root = Path(directory)
    root.chmod(0o755)
    with EmbeddedPostgres(root / "database", {"fsync": "off"}) as url:
        os.environ |= {
            "DATABASE_URL": url,
            "UPSCALER_DATA_DIR": str(root / "data"),
            "DJANGO_SETTINGS_MODULE": "upscaler_site.settings",
        }
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0, skip_checks=True)
        yield
        connection.close()


def main() -> None:
    """Simulate both, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--newcomers", type=int, default=100)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    crowd = made_up(arguments.callers, arguments.jobs, arguments.seed)
    work = sum(caller.jobs * caller.megapixels for caller in crowd)
    late = newcomers(arguments.newcomers, work / arguments.devices, arguments.seed)
    print(f"{sum(caller.jobs for caller in crowd)} jobs of {len(crowd)} callers, {work:.0f} megapixels; the largest "
          f"has {max(caller.jobs for caller in crowd)} jobs, the smallest {min(caller.jobs for caller in crowd)}; "
          f"pictures of {min(caller.megapixels for caller in crowd)} to "
          f"{max(caller.megapixels for caller in crowd)} megapixels; {len(late)} newcomers", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="upscaler-fair-") as directory:
        everybody = [*crowd, *late]
        with _database(directory):
            for title, fair in (("fair shares", True), ("first come, first served", False)):
                report(title, everybody, simulate(everybody, arguments.devices, fair=fair))


if __name__ == "__main__":
    main()
