"""A cluster's main process shows its launcher that it runs: a byte per tick through a pipe that it inherits.

Standard library only: the launcher (upscaler_site/process/launcher.py) is to stay small.
"""

import os
from contextlib import suppress

#: Environment variable with the number of the file descriptor to write to.
VARIABLE = "UPSCALER_HEARTBEAT_FD"


class Keepalive:
    """The main process's end. Silent where no launcher listens."""

    def __init__(self) -> None:
        self._descriptor = int(os.environ.get(VARIABLE, "-1"))

    def beat(self) -> None:
        """Say that this process runs; called once per tick."""
        if self._descriptor >= 0:
            with suppress(OSError):  # the launcher is busy, or gone
                os.write(self._descriptor, b".")


class Listener:
    """The launcher's end."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        # Neither side waits for the other.
        os.set_blocking(self._read, False)
        os.set_blocking(self.write, False)

    def heard(self) -> bool:
        """Return whether a beat came since the last call."""
        try:
            return bool(os.read(self._read, 65_536))
        except BlockingIOError:
            return False
