"""The engine's errors. Each says whether trying the same job again can help."""


class EngineError(Exception):
    """The root of the engine's errors; the message is fit to be shown to the user.

    ``code`` is a stable machine-readable word; ``retryable`` says whether another attempt may end differently.
    """

    code = "engine_error"
    retryable = False


class ImageRejected(EngineError):
    """The input is no image, a broken image, or one beyond a limit; the message names the limit."""

    code = "image_rejected"


class ImageTooLarge(ImageRejected):
    """The input or the output would be beyond a limit on pixels or frames."""

    code = "image_too_large"


class FormatUnsupported(ImageRejected):
    """The input is not of a format that we read, or the output format cannot hold the result."""

    code = "format_unsupported"


class WeightsRejected(EngineError):
    """The weights file is no network that we know, is damaged, or holds numbers that are not finite."""

    code = "weights_rejected"


class WeightsDamaged(WeightsRejected):
    """The bytes of a weights file are not those that were accepted. Another attempt may find them replaced."""

    code = "weights_damaged"
    retryable = True


class DeviceUnavailable(EngineError):
    """The device or precision asked for does not exist on this machine."""

    code = "device_unavailable"
    retryable = True


class PrecisionUnavailable(DeviceUnavailable):
    """The device computes in other precisions only."""

    code = "precision_unavailable"


class DeviceLost(EngineError):
    """The device failed while it computed. This process cannot use it any more; a new process perhaps can."""

    code = "device_lost"
    retryable = True


class OutOfMemory(EngineError):
    """The device ran out of memory even at the smallest tile."""

    code = "out_of_memory"
    retryable = True


class Cancelled(EngineError):
    """The caller asked, through its progress callback, to stop between two tiles."""

    code = "cancelled"
