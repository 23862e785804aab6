"""What becomes of other processes, asked in a way that their end does not spoil."""

import psutil


def has_ended(process: psutil.Process) -> bool:
    """Say whether it is gone, or a zombie that nobody has waited for. It may go between two questions."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
