"""Tickets that name their task as an earlier release did are read as if they named it as this one does.

A queue holds tickets over an upgrade, and web processes of both releases write them while it goes on. What a ticket
names is part of its signed content. For one release after a task's move its old name stands here.
"""

from django_q.signing import BadSignature, SignedPackage

#: Old dotted path -> the path of today. To be emptied in the release after 1.1.
RENAMED = {
    "jobs.worker.run_next": "jobs.worker.tasks.run_next",
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
