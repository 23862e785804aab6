"""Texts of a job's detail page."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from jobs.admin import formatting
from jobs.models import Job

#: The phases of a job, in order.
SPANS = ("queue", "decode", "load", "infer", "encode")


@dataclass(frozen=True)
class Section:
    """A titled table of facts."""

    title: str
    rows: list[tuple[str, Any]]


@dataclass(frozen=True)
class Span:
    """A part of a job's time; ``start`` and ``share`` are in thousandths of all."""

    name: str
    seconds: str
    start: int
    share: int


def only(jobs: QuerySet[Job], object_id: str) -> QuerySet[Job]:
    """Return the job of an address; none for what is no id."""
    try:
        return jobs.filter(pk=uuid.UUID(object_id))
    except ValueError:
        return jobs.none()


def sections(job: Job) -> list[Section]:
    """Return every fact worth reading. Facts that are not known are left out."""
    report: dict[str, Any] = job.report if isinstance(job.report, dict) else {}
    asked = [(name.replace("_", " "), value) for name, value in sorted(job.options.items())]
    return [
        Section(
            _("Picture"),
            _known(
                (_("file"), job.input_name),
                (_("input"), f"{job.input_width}×{job.input_height} px {job.input_format.upper()}"),
                (_("input size"), formatting.byte_size(job.input_bytes)),
                (_("frames"), job.input_frames if job.input_frames > 1 else None),
                (
                    _("result"),
                    f"{job.result_width}×{job.result_height} px {job.result_format.upper()}"
                    if job.result_width
                    else None,
                ),
                (_("result size"), formatting.byte_size(job.result_bytes) if job.result_bytes else None),
                (_("reused from"), job.reused_from),
            ),
        ),
        Section(_("Asked for"), _known((_("model"), job.model), (_("priority"), job.get_priority_display()), *asked)),
        Section(
            _("Life"),
            _known(
                (_("created"), _moment(job.created_at)),
                (_("started"), _moment(job.started_at)),
                (_("ended"), _moment(job.finished_at)),
                (_("goes"), _moment(job.expires_at)),
                (_("goes once it is downloaded"), _("yes") if job.delete_after_download else None),
                (_("took"), formatting.seconds(job.processing_seconds) if job.processing_seconds is not None else None),
                (_("attempts"), job.attempts),
                (_("worker"), job.worker),
                (_("API key"), job.api_key),
                (_("request id"), job.request_id),
            ),
        ),
        Section(
            _("How it ran"),
            _known(
                *(
                    (name.replace("_", " "), report.get(name))
                    for name in (
                        "device_name",
                        "device",
                        "backend",
                        "precision",
                        "tiles",
                        "tile_size",
                        "tile_pad",
                        "passes",
                    )
                ),
                *_members(report),
                (_("tiles redone in fp32"), report.get("fp32_redone_tiles") or None),
                (_("shrunk for memory"), report.get("out_of_memory_shrinks") or None),
                (_("notes"), "; ".join(map(str, report.get("notes") or [])) or None),
            ),
        ),
    ]


def _members(report: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return a line for each member of a chain; none where the report is older or newer than the code."""
    members = report.get("members")
    lines = []
    for member in members if isinstance(members, list) else []:
        if not isinstance(member, dict):
            continue
        seconds = member.get("seconds")
        infer = seconds.get("infer") if isinstance(seconds, dict) else None
        parts = [f"{member.get('scale')}×", str(member.get("backend")), str(member.get("precision"))]
        parts.append(_("%(count)s tiles") % {"count": member.get("tiles")})
        parts += [formatting.seconds(infer)] if isinstance(infer, int | float) else []
        lines.append((str(member.get("model")), ", ".join(parts)))
    return lines


def spans(job: Job) -> list[Span]:
    """Return where the time went, from entering the queue to the stored result."""
    report = job.report if isinstance(job.report, dict) else {}
    measured = report.get("seconds")
    values: dict[str, float] = {}
    if isinstance(measured, dict) and not job.reused_from:
        values = {n: float(v) for n, v in measured.items() if n in SPANS and isinstance(v, int | float)}
    if job.started_at is not None:
        values["queue"] = max(0.0, (job.started_at - job.queued_at).total_seconds())
    total = sum(values.values())
    found, start = [], 0.0
    for name in SPANS:
        if name in values:
            share = values[name] / total if total else 0.0
            found.append(Span(name, formatting.seconds(values[name]), round(1000 * start), max(1, round(1000 * share))))
            start += share
    return found


def _known(*rows: tuple[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in rows if value not in (None, "")]


def _moment(moment: Any) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else None
