"""The client of an object storage, and its errors in words of ours.

A client belongs to one process: a fork makes its own. boto3 is imported when the first one is made.
"""

import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from modelstore.errors import StorageUnavailable
from modelstore.stores.address import Address

logger = logging.getLogger(__name__)

#: Seconds for a connection, and tries of one request: the pauses between them are short and random.
CONNECT_SECONDS = 5.0
_TRIES = 3
#: Seconds of requests that are tried once: for health probes, and for deletions, which the clean-up makes good.
PROBE_SECONDS = 2.0
DELETE_SECONDS = 5.0
_CONNECTIONS = 32

AWAY = "The object storage does not answer: look whether it runs and can be reached from here"
_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507"})
_ADVICE = {
    "NoSuchBucket": "The bucket does not exist: create it, or correct STORAGE",
    "PermanentRedirect": "The bucket is in another region: give region in STORAGE",
    "AuthorizationHeaderMalformed": "The bucket is in another region: give region in STORAGE",
    "RequestTimeTooSkewed": "The clock of this host differs from the object storage's: set it by NTP",
    "InvalidAccessKeyId": "The object storage does not know the access key: correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "The object storage refuses the signature: correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "The credentials have expired: give new ones",
    "AccessDenied": "The object storage refuses access: look at the policy of the key and of the bucket",
    "403": "The object storage refuses access: look at credentials, policy and clock",
    "MethodNotAllowed": "The object storage refuses what was asked for: look at the policy of the bucket",
}


def client_of(address: Address, once: float = 0.0) -> Any:
    """Return this process's client, which threads may share.

    :param once: seconds of a request that is tried once; 0: STORAGE_TIMEOUT_SECONDS, and several tries.
    :raises StorageUnavailable: where the credentials are none, such as half a pair.
    """
    global _clients, _pid
    with _lock:
        if _pid != os.getpid():
            _clients, _pid = {}, os.getpid()
        key = (address.endpoint, address.region, address.addressing, once)
        if key not in _clients:
            with told(""):
                _clients[key] = _made(address, once)
        return _clients[key]


_lock = threading.Lock()
_clients: dict[tuple[object, ...], Any] = {}
_pid = 0
os.register_at_fork(after_in_child=lambda: globals().__setitem__("_lock", threading.Lock()))


def _made(address: Address, once: float) -> Any:
    import boto3  # noqa: PLC0415 - an optional extra, and half a second
    from botocore.config import Config  # noqa: PLC0415 - as above

    seconds = min(once or settings.STORAGE_TIMEOUT_SECONDS, settings.STORAGE_TIMEOUT_SECONDS)
    config = Config(
        signature_version="s3v4",
        connect_timeout=min(CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": 1 if once else _TRIES},
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        s3={"addressing_style": address.addressing or ("path" if address.endpoint else "auto")},
        # Only where S3 requires them: other makers' storages refuse checksums that they do not know. Sizes are
        # compared, and digests by whoever reads.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        region_name=address.region or (None if not address.endpoint else os.environ.get("AWS_REGION", "us-east-1")),
        endpoint_url=address.endpoint or None,
        aws_access_key_id=settings.AWS_ACCESS_KEY_ID or None,
        aws_secret_access_key=settings.AWS_SECRET_ACCESS_KEY or None,
        config=config,
    )


@contextmanager
def told(name: str) -> Iterator[None]:
    """Raise what goes wrong in the block as an error of ours.

    :raises FileNotFoundError: there is no object of that name; :raises OSError: ENOSPC, where the storage is full.
    :raises StorageUnavailable: anything else that is the storage's.
    """
    import boto3.exceptions  # noqa: PLC0415 - as above
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - as above

    try:
        yield
    except ClientError as error:
        raise _of_answer(error, name) from error
    except (BotoCoreError, HTTPClientError, boto3.exceptions.Boto3Error) as error:
        advice = AWAY
        if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
            advice = "There are no credentials of the object storage: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise StorageUnavailable(advice, f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def _of_answer(error: Any, name: str) -> Exception:
    """Return the error that an answer of the storage means."""
    found = error.response.get("Error", {})
    code = str(found.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchKey" or (status == 404 and code in ("404", "NotFound", "")):
        return FileNotFoundError(errno.ENOENT, "no such object", name)
    if code in _FULL or status == 507:
        return OSError(errno.ENOSPC, "the object storage is full", name)
    advice = _ADVICE.get(code) or _ADVICE.get(str(status)) or AWAY
    return StorageUnavailable(advice, f"{status} {code} {' '.join(str(found.get('Message', '')).split())}".strip())
