"""Pausing the queues: what runs is finished, what comes is accepted, nothing is taken up until they go on."""

from jobs.models.pause import Pause
from jobs.queue import dispatch

#: What workers of each kind do, in words.
KINDS = {dispatch.GPU: "pictures", dispatch.IO: "downloads, webhooks, clean-up"}

#: Characters of a reason.
LONGEST_REASON = 200


def pause(cluster: str, *, reason: str = "", by: str = "") -> Pause:
    """Pause the workers of a kind, on every host. :param reason: shown to callers, 200 characters at most."""
    return Pause.objects.begin(cluster, reason=reason.strip()[:LONGEST_REASON], by=by[:150])


def resume(cluster: str) -> bool:
    """Let them go on; False when they were not paused."""
    ended = Pause.objects.end(cluster)
    if ended:
        dispatch.ring() if cluster == dispatch.GPU else dispatch.ring_webhooks()
    return ended


def on() -> dict[str, Pause]:
    """Return the pauses that are on, by kind."""
    return {pause.cluster: pause for pause in Pause.objects.all()}
