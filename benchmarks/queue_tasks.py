"""The task whose start is measured, and the stock cluster. Named by dotted path."""

import os
import time


def note(sent_at: float) -> None:
    """Append the seconds since ``sent_at`` and the time of day, one short write per line."""
    now = time.time()
    descriptor = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{now - sent_at} {now}\n".encode())
    os.close(descriptor)


def stock_cluster() -> None:
    """Run django-q2's own command: ours has a main process that expects our broker."""
    import django

    django.setup()
    from django_q.management.commands.qcluster import Command

    Command().handle()


if __name__ == "__main__":
    stock_cluster()
