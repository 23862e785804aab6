"""Errors, as a tree: ``except UpscalerError`` catches all of it."""


class UpscalerError(Exception):
    """An error of the service or on the way to it.

    ``detail`` is for people, ``code`` for programs, ``status`` the answer's HTTP status, or None.
    """

    def __init__(self, detail: str, *, code: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status


class Refused(UpscalerError):
    """The service said no: to a picture, an option, a model, a key. It was asked again where that could help."""


class Unreachable(UpscalerError):
    """No whole answer came, however often it was tried; ``code`` is "unreachable"."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="unreachable")


class BadAnswer(UpscalerError):
    """The answer is none that this service gives: another server answers, or a proxy; ``code`` is "bad_answer"."""

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail, code="bad_answer", status=status)


class TimedOut(UpscalerError):
    """The caller's own ``timeout`` is over; the job goes on. ``code`` is "timed_out"."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="timed_out")


class JobFailed(UpscalerError):
    """The job ended without a result; ``code`` says why: such as "job_cancelled"."""

    def __init__(self, job_id: str, detail: str, *, code: str) -> None:
        super().__init__(detail, code=code)
        self.job_id = job_id


class DownloadFailed(UpscalerError):
    """A model could not be brought; ``code`` is "download_failed"."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="download_failed")
