"""Every call of the service, written once as steps: `client.py` performs them, at once or with ``await``."""

import errno
import re
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Literal, Unpack

import httpx

from upscaler_client import retries
from upscaler_client.errors import BadAnswer, DownloadFailed, JobFailed, Refused, TimedOut, Unreachable, UpscalerError
from upscaler_client.shapes import Accepted, Job, Model, Options, Plan, Result
from upscaler_client.steps import Answer, Ask, Call, Events, Pause, Sink

#: A picture as a caller has it: the path of its file, its bytes, or a file that is open for reading bytes.
Picture = str | Path | bytes | IO[bytes]
OnProgress = Callable[[Job], object]

HOUR = 3600.0
#: Event streams that broke without news, after which a job is only looked at.
_BROKEN_STREAMS = 3
_POLL_SECONDS, _MOST_POLL_SECONDS = 0.25, 5.0
#: Seconds for the word that a job is not wanted any more: whoever says it is about to leave.
_GOODBYE_SECONDS = 5.0
_GOODBYE_TRIES = 3
#: Formats by the suffixes of files.
_FORMATS: dict[str, Literal["png", "jpeg", "webp", "avif", "tiff", "jxl"]] = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif", ".tif": "tiff",
    ".tiff": "tiff", ".jxl": "jxl",
}  # fmt: skip
#: The system's numbers of errors; their words follow.
_NUMBERS = re.compile(r"\[Errno -?\d+\] | \(_ssl\.c:\d+\)")
#: What ids and names consist of. Anything else could lead to another address, with the caller's key.
_WORD = re.compile(r"(?!\.+$)[A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class Calls:
    """The calls, with the patience of the client that makes them."""

    retries: int
    longest_pause: float  # seconds
    stall: float  # seconds of silence after which an event stream is dead

    def upscale(
        self,
        picture: Picture,
        to: str | Path | None = None,
        *,
        name: str | None = None,
        on_progress: OnProgress | None = None,
        timeout: float = HOUR,
        **options: Unpack[Options],
    ) -> Call[Result]:
        """Upscale a picture; return its result, which is whole or an error.

        An interrupt, a cancelled task or any error while it waits cancels the job on the service.

        :param to: the file to be written, replaced in one step; None: the result holds the bytes. Its suffix is the
            format, where no other is asked for.
        :param on_progress: told the job whenever there is news of it.
        :param timeout: seconds for the computing, waiting in the queue included.
        :raises JobFailed, TimedOut, Refused, Unreachable, BadAnswer: all UpscalerError.
        :raises OSError: the picture cannot be read, or the file cannot be written.
        """
        if to is not None:
            options = _written_as(Path(to), options)
        key = str(uuid.uuid4())
        try:
            accepted = yield from self.submit(picture, name=name, idempotency_key=key, **options)
        except (UpscalerError, OSError, GeneratorExit):
            raise
        except BaseException:
            with suppress(UpscalerError, httpx.TransportError, OSError):  # the interrupt tells more
                yield from self._taken_back(picture, key, options)
            raise
        try:
            yield from self.wait(accepted.job_id, on_progress=on_progress, timeout=timeout)
            return (yield from self.result(accepted.job_id, to))
        except (JobFailed, GeneratorExit):  # nothing is left to cancel; nobody is left to send it
            raise
        except BaseException:
            with suppress(UpscalerError, httpx.TransportError):  # the error that led here tells more
                address = _address("jobs", accepted.job_id, "cancel")
                yield Ask("POST", address, silence=_GOODBYE_SECONDS, seconds=_GOODBYE_SECONDS)
            raise

    def _taken_back(self, picture: Picture, key: str, options: Options) -> Call[None]:
        """Cancel the job that an interrupted submission may have made: the same key tells which one it is."""
        if not isinstance(picture, str | Path | bytes | bytearray | memoryview) and not picture.seekable():
            return
        patient = replace(self, retries=_GOODBYE_TRIES, longest_pause=1.0)
        sent = patient._sent(picture, None, {**options}, {"Idempotency-Key": key}, _GOODBYE_SECONDS)  # noqa: SLF001 - itself, less patient
        answer = yield from sent
        accepted = Accepted.read(answer.json())
        address = _address("jobs", accepted.job_id, "cancel")
        yield Ask("POST", address, silence=_GOODBYE_SECONDS, seconds=_GOODBYE_SECONDS)

    def submit(
        self,
        picture: Picture,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Call[Accepted]:
        """Hand a picture in; return the job's id and status. However often it has to be sent, it becomes one job.

        :param name: the file's name, for lists and downloads; that of the path or file, where there is one.
        :param idempotency_key: yours, where the call must also survive the end of this program.
        """
        key = idempotency_key or str(uuid.uuid4())
        answer = yield from self._sent(picture, name, {**options}, {"Idempotency-Key": key})
        return Accepted.read(answer.json())

    def plan(self, picture: Picture, *, name: str | None = None, **options: Unpack[Options]) -> Call[Plan]:
        """Send a picture for a dry run: what it would become, how long it takes, how many wait before it."""
        answer = yield from self._sent(picture, name, {**options, "dry_run": True}, {})
        return Plan.read(answer.json())

    def estimate(self, input_width: int, input_height: int, **options: Unpack[Options]) -> Call[Plan]:
        """Return what a picture of that many pixels would become and cost; nothing is sent."""
        params = _form({"input_width": input_width, "input_height": input_height, **options})
        return Plan.read((yield from self._asked(Ask("GET", "api/v1/estimate", params=params))).json())

    def job(self, job_id: str) -> Call[Job]:
        """Return a job as it is now."""
        return Job.read((yield from self._asked(Ask("GET", _address("jobs", job_id)))).json())

    def wait(self, job_id: str, *, on_progress: OnProgress | None = None, timeout: float = HOUR) -> Call[Job]:
        """Wait for the job's end and return it, completed. Told by its event stream, else by looking again and again.

        :raises JobFailed: it failed or was cancelled. :raises TimedOut: after ``timeout`` seconds; the job goes on.
        """
        until = time.monotonic() + timeout
        news = _News(on_progress, until)
        events = Events(news.hear)
        broken, pause = 0, _POLL_SECONDS
        while not news.ended:
            if broken < _BROKEN_STREAMS:
                broken = yield from self._listen(job_id, events, news, broken)
            if not news.ended:
                news.tell((yield from self.job(job_id)))
            if time.monotonic() > until and not news.ended:
                raise TimedOut(f"Job {job_id} has not ended within {timeout:g} s")
            if not news.ended:
                yield Pause(pause)
                pause = min(2 * pause, _MOST_POLL_SECONDS)
        return _completed(news.job)

    def _listen(self, job_id: str, events: Events, news: "_News", broken: int) -> Call[int]:
        """Follow the event stream as long as it goes; return how many have broken without news."""
        before, seen = news.count, {"Last-Event-ID": events.last_id} if events.last_id else {}
        left = max(news.until - time.monotonic(), 0.1)
        ask = Ask(
            "GET", _address("jobs", job_id, "events"), headers=seen, taker=events, silence=self.stall, seconds=left
        )
        try:
            answer = yield ask
        except httpx.TimeoutException:
            return _BROKEN_STREAMS  # something between here and there holds streams back: they cost too much time
        except httpx.TransportError:
            return 0 if news.count > before else broken + 1
        if answer.status == 404:
            raise retries.refusal(answer)
        return 0 if news.count > before else broken + 1

    def result(self, job_id: str, to: str | Path | None = None, *, timeout: float = HOUR) -> Call[Result]:
        """Fetch a completed job's result. A transfer that breaks off goes on where it was; the bytes are checked.

        :param to: as `upscale`.
        """
        job = _completed((yield from self.job(job_id)))
        if to is None:
            memory = BytesIO()
            yield from self._fetched(job, memory, timeout)
            return Result(job, memory.getvalue())
        target = Path(to)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with part.open("wb") as file:
                yield from self._fetched(job, file, timeout)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return Result(job, b"", target)

    def _fetched(self, job: Job, file: IO[bytes], timeout: float) -> Call[None]:
        sink = Sink(file, job.result_sha256 or "")
        answer = yield from self._asked(
            Ask("GET", _address("jobs", job.job_id, "result"), taker=sink, seconds=timeout), again=sink.headers
        )
        if answer.status not in (200, 206):
            raise BadAnswer(f"Job {job.job_id} is completed, and its result is not there", status=answer.status)
        if sink.digest.hexdigest() != job.result_sha256:
            raise BadAnswer(f"The result of job {job.job_id} came with other bytes than the service announced")

    def cancel(self, job_id: str) -> Call[Job]:
        """Cancel a job: a waiting one at once, a running one after its present tile."""
        return Job.read((yield from self._asked(Ask("POST", _address("jobs", job_id, "cancel")))).json())

    def delete(self, job_id: str) -> Call[None]:
        """Delete an ended job with its pictures; a live one is cancelled instead."""
        yield from self._asked(Ask("DELETE", _address("jobs", job_id)))

    def models(self) -> Call[list[Model]]:
        """Return all models that the service knows, those that it could download included."""
        told = (yield from self._asked(Ask("GET", "api/v1/models"))).json()
        found = told.get("available_models") if isinstance(told, dict) else None
        if not isinstance(found, list):
            raise BadAnswer("The answer holds no list of models; is this the service?")
        return [Model.read(one) for one in found]

    def model(self, name: str) -> Call[Model]:
        """Return one model."""
        return Model.read((yield from self._asked(Ask("GET", _address("models", name)))).json())

    def download_models(
        self,
        *names: str,
        on_progress: Callable[[Sequence[Model]], object] | None = None,
        timeout: float = HOUR,
    ) -> Call[list[Model]]:
        """Have the service download models, and wait until they are there. The key needs the scope "manage".

        :raises DownloadFailed: one could not be brought. :raises TimedOut: after ``timeout`` seconds; it goes on.
        """
        until = time.monotonic() + timeout
        wish = {"Prefer": "respond-async"}
        yield from self._asked(Ask("POST", "api/v1/models/download", headers=wish, json={"models": names}))
        while True:
            found: list[Model] = []
            for name in names:
                found += [(yield from self.model(name))]
            if on_progress is not None:
                on_progress(found)
            coming = [one for one in found if not one.available]
            if not coming:
                return found
            for one in coming:
                if one.download is None and one.error:
                    raise DownloadFailed(f"{one.name}: {one.error}")
            if time.monotonic() > until:
                raise TimedOut(f"{coming[0].name} has not come within {timeout:g} s; its download goes on")
            yield Pause(1.0)

    def _sent(
        self,
        picture: Picture,
        name: str | None,
        options: dict[str, object],
        headers: dict[str, str],
        silence: float | None = None,
    ) -> Call[Answer]:
        """Send a picture with its options, from its first byte with each try."""
        ask = Ask("POST", "api/v1/jobs", headers=headers, data=_form(options), silence=silence)
        if isinstance(picture, str | Path):
            with Path(picture).open("rb") as file:
                return (yield from self._asked(replace(ask, file=(_text(name or Path(picture).name), file))))
        named = _text(name or Path(str(getattr(picture, "name", "") or "picture")).name)
        if isinstance(picture, bytes | bytearray | memoryview):
            return (yield from self._asked(replace(ask, file=(named, bytes(picture)))))
        content = picture if picture.seekable() else picture.read()  # a pipe gives its bytes once only
        return (yield from self._asked(replace(ask, file=(named, content))))

    def _asked(self, ask: Ask, *, again: Callable[[], dict[str, str]] = dict) -> Call[Answer]:
        """Return the answer, asked for again where that can help.

        :param again: headers that depend on what the tries before brought.
        :raises Refused: the answer is an error. :raises Unreachable: there was none.
        """
        attempt = 0
        while True:
            problem: Refused | Unreachable
            pause: float | None
            try:
                answer = yield replace(ask, headers={**ask.headers, **again()})
            except httpx.TransportError as error:
                reason = _NUMBERS.sub("", str(error)) or type(error).__name__
                problem = Unreachable(f"{ask.method} {ask.path}: {reason}")
                pause = retries.backoff(attempt)
            else:
                if answer.status < 300:
                    return answer
                problem, pause = retries.refusal(answer), retries.pause_after(answer, attempt)
            if pause is None or pause > self.longest_pause or attempt >= self.retries:
                raise problem
            yield Pause(pause)
            attempt += 1


class _News:
    """What is known of a job, as it comes in."""

    def __init__(self, on_progress: OnProgress | None, until: float) -> None:
        self.until = until
        self.count = 0
        self.job: Job | None = None
        self._on_progress = on_progress

    @property
    def ended(self) -> bool:
        return self.job is not None and self.job.ended

    def hear(self, name: str, data: str) -> bool:
        """Take an event; return whether there is more to come."""
        if name == "deleted":
            raise Refused("The job was deleted", code="job_not_found", status=404)
        self.tell(Job.read(Answer(body=data.encode()).json()))
        return not self.ended

    def tell(self, job: Job) -> None:
        """Take the job as it is now."""
        self.job = job
        self.count += 1
        if self._on_progress is not None:
            self._on_progress(job)


def _completed(job: Job | None) -> Job:
    assert job is not None
    if not job.ended:
        raise Refused(f"Job {job.job_id} has not ended yet: it is {job.status}", code="job_not_ended")
    if job.status == "failed":
        raise JobFailed(job.job_id, job.error or "Job failed", code=job.error_code or "job_failed")
    if job.status == "cancelled":
        raise JobFailed(job.job_id, f"Job {job.job_id} was cancelled", code="job_cancelled")
    return job


def _address(kind: str, word: str, *rest: str) -> str:
    """Return the address of a job or a model. Raises Refused: it has no such id or name."""
    if not _WORD.fullmatch(word):
        code = {"jobs": "job_not_found", "models": "model_not_found"}[kind]
        raise Refused(f"No {kind.removesuffix('s')} can be called {word!r}", code=code, status=404)
    return "/".join(("api/v1", kind, word, *rest))


def _written_as(target: Path, options: Options) -> Options:
    """Return the options with the format that the file's suffix says, where they name none. Raises OSError."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such directory", str(target.parent))
    format_ = _FORMATS.get(target.suffix.lower())
    return {**options, "format": format_} if format_ and not options.get("format") else options


def _text(name: str) -> str:
    """Return a file's name as text that can be sent, whatever bytes the file system holds for it."""
    return name.encode("utf-8", "replace").decode()


def _form(options: dict[str, object]) -> dict[str, str]:
    """Return options as the fields of a form: those that are None are left to the service."""
    words = {True: "true", False: "false"}
    return {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value is not None
    }
