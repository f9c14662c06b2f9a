"""Load at a pace: what is asked leaves when it is time, whether or not the answers before have come (an open loop).

An answer's time counts from the moment it was to leave, so a server that falls behind shows it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

PATIENCE = 60.0  # seconds for one answer
IDLE = 20.0  # seconds after which a kept connection is not used again; the server closes it after 30
CONNECTIONS = 200  # at once, as a proxy in front keeps them


@dataclass
class Answer:
    kind: str
    planned: float  # monotonic, as the others
    began: float
    ended: float
    status: int  # 0: nobody answered
    head: bytes = b""
    body: bytes = b""

    @property
    def seconds(self) -> float:
        return self.ended - self.planned


@dataclass
class Shot:
    """What leaves `at` so many seconds: it is given the client and the moment, and asks."""

    at: float
    act: Callable[[Client, float], Awaitable[object]]


class Client:
    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[Answer] = []
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._gate = asyncio.Semaphore(CONNECTIONS)

    async def ask(self, kind: str, planned: float, request: bytes) -> Answer:
        async with self._gate:
            answer = Answer(kind, planned, time.monotonic(), 0.0, 0)
            try:
                async with asyncio.timeout(PATIENCE):
                    answer.status, answer.head, answer.body = await self._talk(request)
            except (OSError, EOFError, TimeoutError) as failure:
                answer.body = repr(failure).encode()
            answer.ended = time.monotonic()
        self.answers.append(answer)
        return answer

    async def _talk(self, request: bytes) -> tuple[int, bytes, bytes]:
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status, length = int(head.split(b" ", 2)[1]), _length(head)
            body = await reader.readexactly(length) if length else b""
        except BaseException:
            writer.close()
            raise
        if b"\r\nconnection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((time.monotonic(), reader, writer))
        return status, head, body

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < IDLE and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)

    def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()


def _length(head: bytes) -> int:
    if head.split(b" ", 2)[1] in (b"204", b"304"):
        return 0
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def fire(port: int, shots: Sequence[Shot]) -> list[Answer]:
    """Let all of them leave in their time; returns the answers, in the order in which they came.

    In a thread, because the caller's may have an event loop, as that of a test after one with a browser has.
    """
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(_fire(port, shots))).result()


async def _fire(port: int, shots: Sequence[Shot]) -> list[Answer]:
    client, began = Client(port), time.monotonic() + 0.1
    async with asyncio.TaskGroup() as flying:
        for shot in sorted(shots, key=lambda shot: shot.at):
            planned = began + shot.at
            await asyncio.sleep(max(0.0, planned - time.monotonic()))
            flying.create_task(_act(shot, client, planned))
    client.close()
    return client.answers


async def _act(shot: Shot, client: Client, planned: float) -> None:
    await shot.act(client, planned)


def quantile(seconds: Sequence[float], share: float) -> float:
    """In milliseconds, by rank."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
