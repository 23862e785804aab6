"""The only sender of this room's bells. A bell says that rows wait, not which; no row means that none is needed.

A bell is a notification and nothing else: it is stored nowhere. One that is lost costs some seconds, since whoever
hears it looks at the rows now and then anyway (broker.py).
"""

from modelstore import notify

GPU = "gpu"
IO = "io"


def ring() -> None:
    """Wake the idle workers of the `gpu` clusters when the transaction has committed: jobs wait."""
    notify.ring(GPU)


def ring_webhooks() -> None:
    """Wake the `io` clusters likewise: webhooks are due."""
    notify.ring(IO)
