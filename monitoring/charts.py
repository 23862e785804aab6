"""Charts as SVG, computed here and drawn by a template: no script, no CDN, nothing that a strict policy forbids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Sum

from jobs.states import Status
from monitoring.buckets import empty, quantile
from monitoring.models import JobFigure, SpanFigure

WIDTH, HEIGHT = 440, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 24
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

#: How an outcome is stacked, from below.
OUTCOMES = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True)
class Period:
    """A span of time that a chart shows, in steps of whole hours."""

    name: str
    hours: int
    step: int


PERIODS = {"day": Period("day", 24, 1), "week": Period("week", 7 * 24, 6), "month": Period("month", 30 * 24, 24)}


@dataclass(frozen=True)
class Rect:
    """A bar's part in SVG units."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Line:
    """A line and its points in SVG units. Gaps in time end a line: it is drawn in several pieces."""

    kind: str
    pieces: list[str]
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Tick:
    """A mark at an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """All that the template draws."""

    rects: list[Rect]
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    summary: str  # the chart in words, for screen readers
    is_empty: bool


def beginning(period: Period) -> datetime:
    """Return the moment at which a period that ends now begins: that of its first step."""
    return _steps(period, datetime.now(UTC))[0]


def throughput(period: Period, now: datetime) -> Chart:
    """Chart the jobs that ended per step, stacked by outcome."""
    steps = _steps(period, now)
    rows = (
        JobFigure.objects.filter(hour__gte=steps[0], status__in=OUTCOMES)
        .values("hour", "status")
        .annotate(n=Sum("jobs"))
        .order_by("hour")
    )
    counts = [dict.fromkeys(OUTCOMES, 0) for _ in steps]
    for row in rows:
        counts[_index(row["hour"], steps, period)][Status(row["status"])] += row["n"]
    top = _nice(max((sum(c.values()) for c in counts), default=0), whole=True)
    width = PLOT_WIDTH / len(steps)
    rects = []
    for index, count in enumerate(counts):
        below = 0.0
        for outcome in OUTCOMES:
            if count[outcome]:
                height = PLOT_HEIGHT * count[outcome] / top
                y = TOP + PLOT_HEIGHT - below - height
                title = f"{_when(steps[index], period)}: {count[outcome]} {outcome.label.lower()}"
                rects.append(Rect(outcome.value, _r(LEFT + index * width + 1), _r(y), _r(width - 2), _r(height), title))
                below += height
    totals = {outcome: sum(count[outcome] for count in counts) for outcome in OUTCOMES}
    summary = ", ".join(f"{totals[outcome]} {outcome.label.lower()}" for outcome in OUTCOMES)
    return Chart(rects, [], _x_ticks(steps, period), _y_ticks(top, ""), summary, not rects)


def durations(period: Period, now: datetime) -> Chart:
    """Chart the median and 95th percentile of the time from claim to stored result, of all models together."""
    steps = _steps(period, now)
    histograms = [empty() for _ in steps]
    rows = SpanFigure.objects.filter(hour__gte=steps[0], span="total").values_list("hour", "buckets")
    for hour, buckets in rows:
        index = _index(hour, steps, period)
        histograms[index] = [a + b for a, b in zip(histograms[index], buckets, strict=True)]
    values = {
        kind: [quantile(histogram, share) for histogram in histograms] for kind, share in (("p50", 0.5), ("p95", 0.95))
    }
    top = _nice(max((v for row in values.values() for v in row if v is not None), default=0.0))
    lines = [_line(kind, row, top, steps, period) for kind, row in values.items()]
    whole = [sum(column) for column in zip(*histograms, strict=True)]
    middle, high = quantile(whole, 0.5), quantile(whole, 0.95)
    summary = f"median {_short(middle)}, 95 % within {_short(high)}" if middle is not None and high is not None else ""
    return Chart([], lines, _x_ticks(steps, period), _y_ticks(top, " s"), summary, middle is None)


def _line(kind: str, row: Sequence[float | None], top: float, steps: Sequence[datetime], period: Period) -> Line:
    width = PLOT_WIDTH / len(steps)
    pieces: list[list[str]] = [[]]
    dots = []
    for index, value in enumerate(row):
        if value is None:
            pieces.append([])
            continue
        x, y = _r(LEFT + (index + 0.5) * width), _r(TOP + PLOT_HEIGHT * (1 - value / top))
        pieces[-1].append(f"{x},{y}")
        dots.append((x, y, f"{_when(steps[index], period)}: {_short(value)}"))
    return Line(kind, [" ".join(piece) for piece in pieces if len(piece) > 1], dots)


def _steps(period: Period, now: datetime) -> list[datetime]:
    """Return the beginnings of the steps, the running one last. Steps of a day begin at midnight UTC."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    last = last.replace(hour=last.hour - last.hour % period.step)
    count = period.hours // period.step
    return [last - timedelta(hours=period.step * back) for back in range(count - 1, -1, -1)]


def _index(hour: datetime, steps: Sequence[datetime], period: Period) -> int:
    return min(len(steps) - 1, int((hour - steps[0]) / timedelta(hours=period.step)))


def _nice(value: float, *, whole: bool = False) -> float:
    """Return the next 1, 2 or 5 times a power of ten: an axis that people can read."""
    least = 4.0 if whole else 0.01
    if value <= least:
        return least
    power = 1.0
    while power * 10 < value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _x_ticks(steps: Sequence[datetime], period: Period) -> list[Tick]:
    width = PLOT_WIDTH / len(steps)
    every = max(1, len(steps) // 5)
    shape = "%H:%M" if period.name == "day" else "%d %b"
    return [
        Tick(_r(LEFT + (index + 0.5) * width), step.strftime(shape))
        for index, step in enumerate(steps)
        if index % every == every // 2
    ]


def _y_ticks(top: float, unit: str) -> list[Tick]:
    return [Tick(_r(TOP + PLOT_HEIGHT * (1 - part)), f"{top * part:g}{unit}") for part in (0, 0.5, 1)]


def _when(step: datetime, period: Period) -> str:
    return step.strftime("%H:%M" if period.name == "day" else "%d %b" if period.step == 24 else "%d %b %H:%M")


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _r(value: float) -> float:
    return round(value, 1)
