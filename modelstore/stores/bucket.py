"""Files in an S3-compatible object storage, and a scratch directory of this host for what is being written or read.

A put shows a whole object or none. Two services on one place would delete each other's files as orphans: a marker
object names the one whose it is, and each process looks at it before it does anything else.
"""

import io
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from django.core.files.base import File

from modelstore.errors import StorageUnavailable
from modelstore.stores import s3_client
from modelstore.stores.address import Address
from modelstore.stores.base import Stat
from modelstore.stores.remote_file import BUFFER, RemoteFile
from modelstore.stores.s3_client import told
from modelstore.stores.scratch import Scratch

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

MARKER = ".upscaler-service"
_PROBE = ".upscaler-probe"
#: Files above it go up in parts of that size, so many at a time.
PART_BYTES = 16 << 20
_SIDE_BY_SIDE = 4
_THREADS = 8
#: Seconds for which a probe's good answer holds, and between two that write.
_FRESH_SECONDS = 5.0
_WRITE_SECONDS = 60.0
#: Seconds in which nothing is deleted after the storage did not answer a deletion: the clean-up makes it good.
_PASS_SECONDS = 30.0
_TOO_MANY_PARTS = 5 << 30  # bytes of the largest object that one request copies


class Bucket:
    """A store in a bucket."""

    def __init__(self, address: Address, scratch: Path, owner: Callable[[], str]) -> None:
        """:param owner: tells whose the place is: what all hosts of one service answer alike."""
        self.address = address
        self._scratch = Scratch(scratch)
        self._owner = owner
        self._ours_in = 0  # the process that has seen our marker
        self._checked_at = self._written_at = self._away_until = 0.0
        self._words = ""

    # --- Writing
    def draft(self, name: str) -> Path:
        """Return a place in the scratch directory."""
        return self._scratch.draft(name)

    def put(self, draft: Path, name: str) -> None:
        """Upload, in parts where it is large, and compare the size of what is there then."""
        from boto3.s3.transfer import TransferConfig, create_transfer_manager  # noqa: PLC0415 - an optional extra

        config = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=_SIDE_BY_SIDE
        )
        size = draft.stat().st_size
        client = self._client()
        # By its path, parts are read while they are sent; an open file would be held in memory, ten parts at a time.
        with told(name), create_transfer_manager(client, config) as transfers:
            transfers.upload(str(draft), self.address.bucket, self._key(name), dict(self.address.encryption)).result()
        self._require_size(name, size)
        draft.unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Upload in one request."""
        client = self._client()
        with told(name):
            client.put_object(**self._at(name), Body=data, **self.address.encryption)

    def copy(self, source: str, name: str) -> None:
        """Have the storage copy: no byte comes here."""
        client, encryption = self._client(), self.address.encryption
        origin = {"Bucket": self.address.bucket, "Key": self._key(source)}
        with told(source):
            size = client.head_object(**origin)["ContentLength"]
            if size < _TOO_MANY_PARTS:
                client.copy_object(**self._at(name), CopySource=origin, **encryption)
            else:
                client.copy(origin, self.address.bucket, self._key(name), ExtraArgs=dict(encryption))

    def _require_size(self, name: str, size: int) -> None:
        stat = self.stat(name)
        if stat is None or stat.bytes != size:
            found = "nothing" if stat is None else f"{stat.bytes} bytes"
            raise StorageUnavailable(
                "The object storage said that it stored a file, and did not store it whole", f"{name}: {found}"
            )

    # --- Reading
    def open(self, name: str) -> "File[bytes]":
        """Open the object; its bytes come as they are read."""
        stat = self.stat(name)
        if stat is None:
            raise FileNotFoundError(name)
        client = self._client()

        def request(span: str) -> Any:
            return client.get_object(**self._at(name), Range=span)["Body"]

        file = File(io.BufferedReader(RemoteFile(request, name, stat.bytes), BUFFER), name=name)
        file.size = stat.bytes
        return file

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Fetch the object to the scratch directory, for the time of the block."""
        with self.open(name) as file, self._scratch.fetched(file, name, file.size) as path:
            yield path

    def stat(self, name: str) -> Stat | None:
        """Ask for the head."""
        client = self._client()
        try:
            with told(name):
                found = client.head_object(**self._at(name))
        except FileNotFoundError:
            return None
        return Stat(found["ContentLength"], found["LastModified"].timestamp())

    def present(self, names: Iterable[str]) -> set[str]:
        """Ask for the heads, several at a time."""
        wanted = tuple(names)
        self._require_ours()
        return {name for name, stat in zip(wanted, _side_by_side(self.stat, wanted), strict=True) if stat is not None}

    def list(self, prefix: str, into: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        """List, a thousand at a time. The few files of one job, for who deletes them, are asked for once."""
        briefly, pages = bool(prefix) and not prefix.endswith("/"), None
        where = {"Bucket": self.address.bucket, "Prefix": self._key(prefix)}
        while True:
            with self._tried_once() if briefly else nullcontext(self._client()) as client, told(prefix):
                pages = pages or iter(client.get_paginator("list_objects_v2").paginate(**where))
                page = next(pages, None)
            if page is None:
                return
            for entry in page.get("Contents", ()):
                name = entry["Key"][len(self.address.prefix) :]
                if all(into(part) for part in name[prefix.rfind("/") + 1 :].split("/")[:-1]):
                    yield name, Stat(entry["Size"], entry["LastModified"].timestamp())

    def link(self, name: str, *, seconds: int, headers: Mapping[str, str]) -> str:
        """Return an address at which the storage itself serves the object for so long."""
        shown = {f"Response{field.replace('-', '')}": value for field, value in headers.items()}
        client = self._client()
        with told(name):
            address: str = client.generate_presigned_url(
                "get_object", Params={**self._at(name), **shown}, ExpiresIn=seconds
            )
        return address

    # --- Deleting
    def delete(self, names: Iterable[str]) -> dict[str, int | None]:
        """Delete one by one, several at a time: not every storage knows the request that deletes many."""
        wanted = tuple(names)
        try:
            with self._tried_once():
                pass
        except StorageUnavailable as error:
            logger.warning("files cannot be deleted names=%s reason=%s", ",".join(wanted), error.cause)
            return dict.fromkeys(wanted)
        return dict(zip(wanted, _side_by_side(self._delete, wanted), strict=True))

    def _delete(self, name: str) -> int | None:
        try:
            with self._tried_once() as client, told(name):
                size: int = client.head_object(**self._at(name))["ContentLength"]
                client.delete_object(**self._at(name))
        except FileNotFoundError:
            return 0
        except StorageUnavailable as error:
            logger.warning("file cannot be deleted name=%s reason=%s", name, error.cause)
            return None
        return size

    @contextmanager
    def _tried_once(self) -> Iterator[Any]:
        """Lend a client that asks once. A storage that did not answer is not asked so again for some seconds."""
        if time.monotonic() < self._away_until:
            raise StorageUnavailable(s3_client.AWAY, "it did not answer a moment ago")
        try:
            yield self._client(s3_client.DELETE_SECONDS)
        except StorageUnavailable as error:
            if error.advice == s3_client.AWAY:
                self._away_until = time.monotonic() + _PASS_SECONDS
            raise

    # --- The place itself
    def free(self) -> None:
        """Return None: a bucket has no end."""
        return

    def check(self) -> str:
        """Look at the marker, and now and then write and delete an object."""
        now = time.monotonic()
        if self._words and now - self._checked_at < _FRESH_SECONDS:
            return self._words
        self._require_ours(s3_client.PROBE_SECONDS, again=True)
        if not self._words or now - self._written_at > _WRITE_SECONDS:
            self._words, self._written_at = self._probe(), now
        self._checked_at = now
        return self._words

    def _probe(self) -> str:
        client, place = self._client(s3_client.PROBE_SECONDS), self._at(f"{_PROBE}-{uuid.uuid4().hex[:8]}")
        with told(_PROBE):
            client.put_object(**place, Body=b"ready", **self.address.encryption)
        try:
            with told(_PROBE):
                client.delete_object(**place)
        except StorageUnavailable as error:
            logger.warning("the object storage refuses deletions: old pictures will stay; reason=%s", error.cause)
            return "writable, but deletions are refused: old pictures stay"
        return "writable"

    def _require_ours(self, once: float = 0.0, *, again: bool = False) -> None:
        """Raise StorageUnavailable where the marker names another service; set it where there is none."""
        if self._ours_in == os.getpid() and not again:
            return
        client = s3_client.client_of(self.address, once)
        mine = self._owner()
        found = self._marked(client)
        if not found:
            self._mark(client, mine)
            found = self._marked(client)
        if found != mine:
            self._ours_in = 0
            raise StorageUnavailable(
                "This place of the bucket belongs to another service: give this one a prefix of its own in STORAGE or, "
                f"if that service is gone for good, delete the object {MARKER}"
            )
        self._ours_in = os.getpid()

    def _mark(self, client: Any, mine: str) -> None:
        """Write the marker where there is none yet; a storage that knows no such condition writes it anyway."""
        request = {**self._at(MARKER), "Body": json.dumps({"service": mine}).encode(), **self.address.encryption}
        try:
            with told(MARKER):
                client.put_object(**request, IfNoneMatch="*")
        except StorageUnavailable as error:
            if error.cause[:3] in ("400", "501"):
                with told(MARKER):
                    client.put_object(**request)
            elif error.cause[:3] not in ("409", "412"):  # another one was faster: whose it is, the next look tells
                raise
        except FileNotFoundError as error:
            raise StorageUnavailable("What answers there is no object storage: correct endpoint in STORAGE") from error

    def _marked(self, client: Any) -> str:
        try:
            with told(MARKER):
                return str(json.loads(client.get_object(**self._at(MARKER))["Body"].read()).get("service", "?"))
        except FileNotFoundError:
            return ""
        except ValueError:
            return "?"

    def _client(self, once: float = 0.0) -> Any:
        self._require_ours(once)
        return s3_client.client_of(self.address, once)

    def _key(self, name: str) -> str:
        return self.address.prefix + name

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self._key(name)}


def _side_by_side(call: Callable[[str], _Answer], names: Sequence[str]) -> list[_Answer]:
    """Return what the call answers for each, in their order."""
    if len(names) < 2:
        return [call(name) for name in names]
    with ThreadPoolExecutor(min(_THREADS, len(names)), thread_name_prefix="bucket") as pool:
        return list(pool.map(call, names))
