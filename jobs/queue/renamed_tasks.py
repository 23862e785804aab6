"""Tickets name their task as release 1.0 did, and are read as if they named it as this one does.

A queue holds tickets over an upgrade, and processes of both releases write and read them while it goes on. So a task
that moves keeps its old name in tickets for one release, which reads both names; the next one writes the new name, and
the one after that forgets the old. The name is part of a ticket's signed content.
"""

from django_q.signing import BadSignature, SignedPackage

#: Dotted path of 1.0 -> the path of today. The release after this one writes the right side, the next drops the table.
RENAMED = {
    "jobs.worker.deliver_webhooks": "jobs.worker.tasks.deliver_webhooks",
    "jobs.worker.cleanup": "jobs.worker.tasks.cleanup",
    "jobs.worker.keep_up": "jobs.worker.tasks.keep_up",
    "modelstore.worker.download_waiting": "modelstore.tasks.download_waiting",
}


def with_todays_name(payload: str) -> str:
    """Return the signed ticket with the task's present name.

    A ticket that is signed with another key is returned as it is: the cluster refuses it, and says so.
    """
    try:
        task = SignedPackage.loads(payload)
    except BadSignature:
        return payload
    if task.get("func") not in RENAMED:
        return payload
    return str(SignedPackage.dumps({**task, "func": RENAMED[task["func"]]}))
