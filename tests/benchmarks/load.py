"""A small load generator: threads with one kept-open connection each, standard library alone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Ask = Callable[[int], bytes]  # the n-th request of a connection, as it goes over the wire


@dataclass
class Measured:
    """What a load saw: seconds of each answer, in all and how long it took."""

    seconds: list[float] = field(default_factory=list)
    took: float = 0.0
    cpu: float = 0.0  # seconds of server and database

    def add(self, other: Measured) -> None:
        self.seconds += other.seconds
        self.took += other.took
        self.cpu += other.cpu

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took if self.took else 0.0

    def quantile(self, share: float) -> float:
        """In milliseconds, by rank."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / len(self.seconds) if self.seconds else 0.0


class Connection:
    """One kept-open HTTP/1.1 connection, opened again when the server closed it between two requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        try:
            return self._ask(request)
        except (ConnectionError, EOFError):
            self.close()
            return self._ask(request)

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower()
        status = int(head.split(b" ", 2)[1])
        length = 0 if status == 204 else int(_value(lines, b"content-length") or 0)
        parts, got = [body], len(body)
        while got < length:
            parts.append(self._more())
            got += len(parts[-1])
        if _value(lines, b"connection") == b"close":
            self.close()
        return status, b"".join(parts)

    def _more(self) -> bytes:
        more = self.socket.recv(262_144) if self.socket else b""
        if not more:
            raise EOFError
        return more

    def close(self) -> None:
        if self.socket:
            self.socket.close()
            self.socket = None


def _value(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""


def request(method: str, url: str, headers: dict[str, str], body: str = "") -> bytes:
    lines = [f"{method} {url} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def load(port: int, asks: Sequence[Ask], *, count: int, seconds: float, wanted: int) -> Measured:
    """Let each of `asks` ask over a connection of its own, until `count` in all or `seconds` are over.

    RuntimeError for any answer that is not `wanted`.
    """
    result, wrong, lock = Measured(), [], threading.Lock()
    each = -(-count // len(asks))
    began = time.perf_counter()

    def run(ask: Ask) -> None:
        own: list[float] = []
        connection = Connection(port)
        try:
            for number in range(each):
                start = time.perf_counter()
                if start - began > seconds:
                    break
                status, body = connection.ask(ask(number))
                own.append(time.perf_counter() - start)
                if status != wanted:
                    raise RuntimeError(f"answered {status}: {body[:1500]!r}")
        except Exception as failure:
            wrong.append(failure)
        finally:
            connection.close()
            with lock:
                result.seconds += own

    threads = [threading.Thread(target=run, args=[ask]) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.took = time.perf_counter() - began
    if wrong:
        raise wrong[0]
    return result
