"""A submission that is refused or breaks off leaves nothing behind."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, DataError, InterfaceError, OperationalError, connection, transaction

from jobs import deadlines
from jobs.errors import StorageFull, one_line
from jobs.storage import files, retention

logger = logging.getLogger(__name__)

#: Seconds between two queries for a transaction's outcome, and the time limit of one.
_AGAIN_SECONDS = 1.0
_ASK_SECONDS = 10.0


@contextmanager
def disk_that_may_be_full() -> Iterator[None]:
    """Turn a full disk into an error of ours.

    :raises StorageFull: when the disk filled up while the picture was written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in files.FULL:
            raise StorageFull("the disk is full: the picture could not be stored") from error
        raise


@contextmanager
def transaction_with_files(drafts: Mapping[str, Path]) -> Iterator[list[str]]:
    """Store files, then open the transaction whose rows name them; where it does not commit, they are deleted.

    Nothing is locked while they are stored, which may take a while.

    :param drafts: written files by the storage names that they get.

    Yields a list of their names, which receives the name of each further file before that is written. What raises
    before the COMMIT was sent is certain to be rolled back, even where the database fell silent. When it is the COMMIT
    that gets no answer, nobody knows: then a thread asks until the database tells how the transaction ended
    (`pg_xact_status`). A process that is killed meanwhile leaves files that no row names: the clean-up finds them
    (retention.py).
    """
    made = list(drafts)
    sent = ""
    try:
        files.keep_all(drafts)
        with transaction.atomic():
            yield made
            sent = _transaction_id()
    except BaseException as error:
        if sent and (isinstance(error, OperationalError | InterfaceError) or not isinstance(error, Exception)):
            _doubts.add(_Doubt(sent, tuple(made)))
        else:
            files.remove(made)
        raise


@dataclass(frozen=True)
class _Doubt:
    """Files of a transaction of which nobody knows how it ended."""

    transaction: str
    names: tuple[str, ...]

    def settle(self) -> bool:
        """Delete the files unless rows name them. False while the transaction is still under way."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_xact_status(%s::xid8)", [self.transaction])
                if cursor.fetchone() == ("in progress",):
                    return False
        except DataError:
            pass  # the server crashed before it had noted that there is such a transaction
        kept = retention.named(self.names)
        files.remove(name for name in self.names if name not in kept)
        logger.info("submission of unknown outcome settled committed=%s files=%d", bool(kept), len(self.names))
        return True


class _Doubts:
    """All of this process. A thread looks after them while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[_Doubt] = []
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def add(self, doubt: _Doubt) -> None:
        with self._lock:
            if self._pid != os.getpid():  # the parent settles its own
                self._open, self._thread, self._pid = [], None, os.getpid()
            self._open.append(doubt)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doubtful-files", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._open:
                    self._thread = None
                    return
                open_ = list(self._open)
            for doubt in open_:
                if _is_settled(doubt):
                    with self._lock:
                        self._open.remove(doubt)
            connection.close()
            time.sleep(_AGAIN_SECONDS)


def _is_settled(doubt: _Doubt) -> bool:
    try:
        with deadlines.within(_ASK_SECONDS):
            return doubt.settle()
    except (DatabaseError, InterfaceError, OSError) as error:
        logger.warning("outcome of a submission still unknown error=%s", one_line(error))
        connection.close()
        return False


def _transaction_id() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text")
        row: tuple[str] = cursor.fetchone()
        return row[0]


_doubts = _Doubts()
