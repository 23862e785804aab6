"""The errors of models, with messages for people. No HTTP in here; importing this never imports torch."""

import re
from collections.abc import Iterable, Sequence

from modelstore.formatting import closest

#: Advice for hosts that cannot reach any source of weights.
OFFLINE_ADVICE = (
    "Without internet, bring the file and run `python manage.py import_model FILE`, "
    "or set MODEL_GITHUB_URL or MODEL_HUGGINGFACE_URL to a mirror"
)

#: What is for operators, who read it in the admin and the log: commands, settings, a provider's repository, and the
#: numbers of the system's errors, whose words follow.
_FOR_OPERATORS = re.compile(
    rf"(?<=huggingface) [\w.-]+/[\w./-]+(?=:|$)| or `python manage\.py [^`]+`|\. {re.escape(OFFLINE_ADVICE)}"
    r"|\[Errno -?\d+\] | \(_ssl\.c:\d+\)"
)


def for_callers(text: str) -> str:
    """Return an error's text without what only an operator can use."""
    return _FOR_OPERATORS.sub("", text)


class ModelStoreError(Exception):
    """The root of this room's errors. The message is fit to be shown; ``code`` is stable and machine-readable."""

    code = "model_error"


class NameRefused(ModelStoreError):
    """The text cannot be the name of a model."""

    code = "model_not_found"

    def __init__(self, name: str) -> None:
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        super().__init__(
            f"{shown!r} cannot be the name of a model: 1 to 100 letters, digits, dots, hyphens and underscores, "
            "beginning with a letter or a digit"
        )


class ModelUnknown(ModelStoreError):
    """No model has this name."""

    code = "model_not_found"

    def __init__(self, *names: str, known: Iterable[str] = ()) -> None:
        """Name those that nobody knows; ``known`` are the names among which the one that was meant may be."""
        self.names = names
        shown = ", ".join(name if len(name) <= 60 else f"{name[:60]}…" for name in names)
        near = closest(names[0], known) if len(names) == 1 else None
        if near:
            super().__init__(f'Model not found: {shown}. Did you mean "{near}"?')
        else:
            super().__init__(f"Model not found: {shown}")


class ModelNotReady(ModelStoreError):
    """The model is known, but its weights are not here.

    ``coming`` is True while they are being fetched: trying again later can help without anybody doing anything.
    """

    code = "model_not_available"

    def __init__(self, name: str, advice: str, *, coming: bool = False) -> None:
        self.name = name
        self.coming = coming
        super().__init__(f"Model not available: {name}. {advice}")


class DenoiseUnsupported(ModelStoreError):
    """A denoise strength was asked of a model that has no denoising partner."""

    code = "denoise_unsupported"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has no denoise strength; only models that are published as a pair of weights have one"
        )


class ModelInUse(ModelStoreError):
    """The model cannot be removed because work needs it."""

    code = "model_in_use"

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{name} cannot be deleted: {', '.join(reasons)}")


class ModelFixed(ModelStoreError):
    """The model belongs to the service itself and cannot be changed this way."""

    code = "model_fixed"


class ImportRefused(ModelStoreError):
    """The file does not become a model; nothing of it was kept."""

    code = "import_refused"


class TargetRefused(ModelStoreError):
    """An address that others name is malformed, or leads where they must not reach; the message says which."""

    code = "target_refused"


class TargetUnresolved(TargetRefused):
    """No address belongs to the name of the host, or the resolver does not answer."""


class WeightsDamaged(ModelStoreError):
    """A file on the disk is not what it was when it was accepted."""


class DownloadFailed(ModelStoreError):
    """Every source failed. ``failures`` holds one sentence per source, in the order in which they were tried.

    ``unreachable`` is True when not even one of them could be connected to.
    """

    def __init__(self, failures: Sequence[str], *, unreachable: bool = False) -> None:
        self.failures = tuple(failures)
        self.unreachable = unreachable
        super().__init__("; ".join(failures))


class DownloadStopped(ModelStoreError):
    """The download was cancelled, or its lease went to somebody else. What was received is kept for resuming."""


class StorageUnavailable(Exception):
    """The keeper of files does not answer, or refuses: nothing is wrong with the work, which may be tried again.

    The message is for callers. ``advice`` tells operators what to do, without names and addresses; ``cause`` is for
    the log.
    """

    code = "storage_unavailable"

    def __init__(self, advice: str, cause: str = "") -> None:
        super().__init__("The storage does not answer; try again soon")
        self.advice = advice
        self.cause = cause or advice

    def for_operators(self) -> str:
        """Return what to do, and what was seen."""
        return self.advice if self.cause == self.advice else f"{self.advice} ({self.cause})"
