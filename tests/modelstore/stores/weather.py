"""A proxy in front of an object storage that does to connections what networks and storages do."""

import socket
import threading
from collections.abc import Callable

#: Bytes that a request begins with, and what is done to its connection.
Verdict = str


class Weather:
    """Forwards connections; ``rule`` sees the first bytes of each request's connection and names what happens.

    "": nothing. "refuse": an answer 503 SlowDown. "deny": 403. "skew": 403 RequestTimeTooSkewed. "cut": the answer
    breaks off after ``cut_at`` bytes. "stall": nothing is ever answered. "lie": a PUT is answered 200 and not done.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.target = port
        self.rule: Callable[[bytes], Verdict] = lambda _: ""
        self.cut_at = 100_000
        self.seen: list[bytes] = []
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One request for each connection: "Connection: close" is put into it."""
        with client:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    head += piece
                line = head.split(b"\r\n", 1)[0]
                self.seen.append(line)
                self._act(client, head, line, self.rule(head))
            except OSError:
                return

    def _act(self, client: socket.socket, head: bytes, line: bytes, verdict: Verdict) -> None:
        if verdict == "stall":
            self._ended.wait(60)
        elif verdict in ANSWERS:
            drain(client, head)
            client.sendall(answer(*ANSWERS[verdict], is_head=line.startswith(b"HEAD")))
        else:
            self._forward(client, head, self.cut_at if verdict == "cut" else None)

    def _forward(self, client: socket.socket, head: bytes, most: int | None) -> None:
        with socket.create_connection(("127.0.0.1", self.target), 5) as server:
            start, _, rest = head.partition(b"\r\n")
            server.sendall(start + b"\r\nConnection: close\r\n" + rest.replace(b"Connection: keep-alive\r\n", b""))
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            sent = 0
            while piece := server.recv(65536):
                if most is not None and sent + len(piece) > most:
                    client.sendall(piece[: most - sent])
                    client.shutdown(socket.SHUT_RDWR)  # closing alone says nothing while another thread reads
                    return
                client.sendall(piece)
                sent += len(piece)


ANSWERS = {
    "refuse": ("503 Slow Down", "SlowDown"),
    "deny": ("403 Forbidden", "AccessDenied"),
    "skew": ("403 Forbidden", "RequestTimeTooSkewed"),
    "full": ("507 Insufficient Storage", "XMinioStorageFull"),
    "lie": ("200 OK", ""),
}


def answer(status: str, code: str, *, is_head: bool) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>as the test wishes</Message></Error>".encode() if code else b""
    shown = b"" if is_head else body
    head = f'HTTP/1.1 {status}\r\nContent-Length: {len(shown)}\r\nETag: "0"\r\nConnection: close\r\n\r\n'
    return head.encode() + shown


def drain(client: socket.socket, head: bytes) -> None:
    """Read the request's body: a peer that is answered while it sends sees a broken pipe instead."""
    headers, _, begun = head.partition(b"\r\n\r\n")
    length = 0
    for field in headers.lower().split(b"\r\n"):
        if field.startswith(b"content-length:"):
            length = int(field.split(b":")[1])
        if field.startswith(b"expect: 100"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    left = length - len(begun)
    while left > 0:
        piece = client.recv(min(left, 65536))
        if not piece:
            return
        left -= len(piece)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:
        return
