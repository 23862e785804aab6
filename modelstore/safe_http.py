"""Requests to addresses that others name: webhooks, image_url, and the sources of a catalogue.

A caller must not reach through us what it cannot reach itself. The address is checked where the connection is made: the
name is resolved once, every address found is checked, and the socket is opened to a checked address, while Host, SNI
and the certificate's name stay those of the URL. So a name that answers differently the second time (DNS rebinding)
gains nothing. Redirects are never followed here, proxies from the environment are not used (they would resolve the name
again, out of our sight), and one deadline holds for the whole exchange: a peer that sends a byte now and then cannot
hold us.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore
import httpx

from modelstore.errors import TargetRefused, TargetUnresolved

MAX_URL_CHARACTERS = 2000
# Networks that some versions of Python's ipaddress take for global, but that callers must not reach through us.
_SPECIAL = tuple(
    ipaddress.ip_network(block)
    for block in (
        # IANA's special-purpose registries, as of 2026-11
        "192.0.0.0/24",  # protocol assignments; some clouds keep their metadata here
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "2001::/23",  # protocol assignments, with Teredo
        "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215)
        "100:0:0:1::/64",  # dummy prefix (RFC 9780)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        # In no registry: the address by which Azure talks to every virtual machine from inside.
        "168.63.129.16/32",
    )
)
_EMBEDS_IPV4 = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64 (RFC 6052): the last 32 bits are an IPv4 address


@dataclass(frozen=True)
class Target:
    """A checked http or https URL, taken apart once: what is checked is what is connected to."""

    url: str
    scheme: str
    host: str  # ASCII, IDNA-encoded, without brackets
    port: int
    path: str  # with the query

    @property
    def netloc(self) -> str:
        """host:port, who is talked to."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target_of(url: str) -> Target:
    """Take ``url`` apart. Raises TargetRefused for anything but a plain absolute http(s) URL."""
    if len(url) > MAX_URL_CHARACTERS:
        raise TargetRefused(f"the URL has {len(url)} characters, the limit is {MAX_URL_CHARACTERS}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise TargetRefused("the URL contains spaces or control characters")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
    except (httpx.InvalidURL, ValueError) as error:
        raise TargetRefused(f"the URL is malformed: {error}") from None
    if parsed.scheme not in ("http", "https"):
        raise TargetRefused("the URL must begin with http:// or https://")
    if not host:
        raise TargetRefused("the URL names no host")
    if not 1 <= port <= 65_535:
        raise TargetRefused("the URL is malformed: its port is not from 1 to 65535")
    if parsed.userinfo:
        raise TargetRefused("the URL must not contain a user name or password")  # they would end in logs and the admin
    # httpx percent-encodes the rest, which may lengthen it: what is stored must fit its column and index.
    path = parsed.raw_path.decode("ascii")
    canonical = str(parsed.copy_with(fragment=None))
    if len(canonical) > MAX_URL_CHARACTERS:
        raise TargetRefused(f"the URL has {len(canonical)} characters when encoded, the limit is {MAX_URL_CHARACTERS}")
    return Target(canonical, parsed.scheme, host.strip("[]").lower(), port, path)


def host_of(url: str) -> str:
    """Return host:port of a URL that was accepted before."""
    return target_of(url).netloc


def is_public(address: str) -> bool:
    """Return whether an IP address may be reached on behalf of any caller: global unicast, and so what it embeds."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in _EMBEDS_IPV4:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
        if ip.is_site_local:
            return False
    if any(ip in block for block in _SPECIAL if block.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def addresses_of(host: str, port: int, *, seconds: float, allow_private: bool) -> list[str]:
    """Resolve ``host`` and return its addresses. TargetRefused when it has none, or one that is not public.

    One private address among public ones refuses the host: which of them is connected to must not be up to chance.
    getaddrinfo knows no time limit, so it runs in a thread that is left behind when time is up.
    """
    found: list[list[str] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.append(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(max(seconds, 0))
    answer = found[0] if found else TimeoutError("no answer in time")
    if not isinstance(answer, list) or not answer:
        raise TargetUnresolved(f"the host {host} cannot be resolved")
    if not allow_private and not all(is_public(address) for address in answer):
        # The address itself is not named: it would reveal our network to the caller.
        raise TargetRefused(f"the host {host} leads to a private or reserved address")
    return answer


def check(url: str, *, allow_private: bool, seconds: float = 5) -> Target:
    """Say at submission what would be refused at delivery. It protects nobody: see _CheckedBackend, which does."""
    target = target_of(url)
    addresses_of(target.host, target.port, seconds=seconds, allow_private=allow_private)
    return target


@contextmanager
def request(
    method: str,
    target: Target,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    seconds: float,
    allow_private: bool,
) -> Iterator[httpcore.Response]:
    """Send one request; the answer's body is read by the caller from ``iter_stream()``, within the same ``seconds``.

    Raises TargetRefused, or httpcore's errors: TimeoutException, NetworkError, ProtocolError.
    """
    backend = _CheckedBackend(time.monotonic() + seconds, allow_private)
    url = httpcore.URL(scheme=target.scheme, host=_bracketed(target.host), port=target.port, target=target.path)
    limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    with (
        httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend, max_connections=1) as pool,
        pool.stream(method, url, headers=list(headers.items()), content=body, extensions={"timeout": limits}) as answer,
    ):
        yield answer


def transport(seconds: float) -> httpx.HTTPTransport:
    """Return a transport for httpx that reaches public addresses only, redirects included, for ``seconds`` from now.

    What the addresses lead to is raised as TargetRefused; everything else as httpx does.
    """
    return _CheckedTransport(seconds)


class _CheckedTransport(httpx.HTTPTransport):
    """httpx's own, whose pool opens its sockets by `_CheckedBackend`. httpx has no argument for that."""

    def __init__(self, seconds: float) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(), network_backend=_CheckedBackend(time.monotonic() + seconds, allow_private=False)
        )


@cache
def _tls() -> ssl.SSLContext:
    """Return a context that trusts SSL_CERT_FILE where set, else certifi's. Loading takes 20 ms, so only once."""
    return httpx.create_ssl_context()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _CheckedBackend(httpcore.NetworkBackend):
    """Opens sockets to checked addresses only, before one deadline."""

    def __init__(self, deadline: float, allow_private: bool) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of ``host`` that answers."""
        addresses = addresses_of(
            host.strip("[]"), port, seconds=_left(self._deadline), allow_private=self._allow_private
        )
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, _left(self._deadline, timeout), local_address, socket_options
                )
                return _BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _BoundedStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline, however little the peer sends in between."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 4096):  # in pieces: within one write the limit holds per send only
            self._stream.write(buffer[start : start + 4096], _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline, timeout))
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None = None) -> float:
    """Return the seconds that one wait may take. Raises httpcore.ReadTimeout when the deadline is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for the whole exchange is over")
    return left if timeout is None else min(left, timeout)
