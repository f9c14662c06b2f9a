"""The event stream of open pages: `uvicorn relcoord.stream:application`, or inside `relcoord.asgi` when embedded.

A pure ASGI app beside Django: no middleware, no ORM, no thread and no database connection for anybody who listens.
A process hears of changes once, from Redis, or on the embedded default by looking once a second while somebody
listens; it hands on ids and revisions, and the pages fetch what changed through their own, authorised views.

Events: `live` (all changes will be told), `change` (`<revision>` of the ticket's release, or `board`), `resync` (ask
yourself: something may have been missed; live from there on), `paused` (nothing is heard here, poll until `resync`),
`over` (the ticket has ended, take a fresh one).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import resource
import signal
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs

import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from relcoord.lib import tickets
from relcoord.lib.broadcast import channel
from relcoord.lib.masking import mask_tokens
from relcoord.lib.tickets import PATH, Ticket

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

BEAT = 20.0  # seconds of silence after which a comment keeps proxies from closing the stream
LOOK = 1.0  # seconds between two looks at the embedded database
STALLED = 60.0  # seconds a listener may leave what is sent to it unread
WAITING = 64  # events kept for one listener
PER_USER = 20
PER_PROCESS = 5000
SPARE = 100  # open files a process needs besides
SKEW = 1.0  # seconds the clocks of the page's server and of this one may differ
AGAIN = (1.0, 3.0)  # seconds after which a page that lost its stream tries again, each another time
BUSY_FOR = 30  # seconds a page that was turned away should stay away

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Source = Callable[["Hub"], Awaitable[None]]

log = logging.getLogger(__name__)


def event(name: str, data: object = "") -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


class Listener:
    """One open page: what waits to be sent to it. Who does not keep up loses the queue and is told to resync."""

    __slots__ = ("_waiting", "_wake", "ended", "ticket")

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.ended = False
        self._waiting: deque[tuple[str, object]] = deque()
        self._wake = asyncio.Event()

    def put(self, name: str, data: object = "") -> None:
        if self._waiting and self._waiting[-1] == (name, data):
            return
        if len(self._waiting) >= WAITING:
            self._waiting.clear()
            name, data = "resync", ""
        self._waiting.append((name, data))
        self._wake.set()

    def end(self) -> None:
        self.ended = True
        self._wake.set()

    async def take(self, patience: float) -> bytes:
        """What waits, several changes as their last; a comment when nothing came for `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._wake.wait()
        self._wake.clear()
        waiting, self._waiting = self._waiting, deque()
        changes = [entry for entry in waiting if entry[0] == "change"]
        told = [entry for entry in waiting if entry[0] != "change"] + changes[-1:]
        return b"".join(event(*entry) for entry in told) or b":\n\n"


class Hub:
    """What a process hears, handed to everybody who listens to it here."""

    def __init__(self, source: Source, *, idles: bool) -> None:
        self._source = source
        self.idles = idles  # stop hearing when nobody listens
        self._task: asyncio.Task[None] | None = None
        self._rooms: dict[int | None, set[Listener]] = {}
        self._known: dict[int, int] = {}  # revisions heard since `_since`
        self._since: float | None = None  # from when on everything was heard; None while nothing is
        self._last = 0.0  # when something changed last
        self.ended = False
        self.size = 0
        self.of_user: Counter[int] = Counter()

    # listeners

    def join(self, ticket: Ticket) -> Listener:
        listener = Listener(ticket)
        self._rooms.setdefault(ticket.release, set()).add(listener)
        self.of_user[ticket.user] += 1
        self.size += 1
        self.start()
        if self._since is not None:  # else the page polls until it hears the first `resync`
            self._welcome(listener, ticket, self._since)
        return listener

    def _welcome(self, listener: Listener, ticket: Ticket, since: float) -> None:
        if ticket.at < since + SKEW:
            listener.put("resync")
        else:
            listener.put("live")
            self._catch_up(listener)

    def _catch_up(self, listener: Listener) -> None:
        """Tell what changed between the drawing of the page and its stream."""
        ticket = listener.ticket
        if ticket.release is None:
            if self._last + SKEW > ticket.at:
                listener.put("change", "board")
        elif self._known.get(ticket.release, 0) > ticket.revision:
            listener.put("change", self._known[ticket.release])

    def leave(self, listener: Listener) -> None:
        room = self._rooms[listener.ticket.release]
        room.discard(listener)
        if not room:
            del self._rooms[listener.ticket.release]
        self.size -= 1
        self.of_user[listener.ticket.user] -= 1
        if not self.of_user[listener.ticket.user]:
            del self.of_user[listener.ticket.user]
        if self.idles and not self._rooms:
            self.stop()

    # what is heard

    def hears(self) -> None:
        """From now on everything is heard; who is here already may have missed something."""
        self._known.clear()
        self._since = time.time()
        self._to_all("resync")

    def deaf(self) -> None:
        self._since = None
        self._to_all("paused")

    def changed(self, release: int, revision: int) -> None:
        if self._known.get(release) == revision:
            return
        self._known[release] = revision
        self._last = time.time()
        for listener in self._rooms.get(release, ()):
            listener.put("change", revision)
        for listener in self._rooms.get(None, ()):
            listener.put("change", "board")

    def learn(self, revisions: dict[int, int]) -> None:
        """Take `revisions` as they stand: nobody is told."""
        self._known.update(revisions)

    def _to_all(self, name: str) -> None:
        for room in self._rooms.values():
            for listener in room:
                listener.put(name)

    # life

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._hear())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._since = None

    def end(self) -> None:
        """Close every stream, so that the server can stop; the pages come back to the next one."""
        self.ended = True
        for room in self._rooms.values():
            for listener in room:
                listener.end()

    async def _hear(self) -> None:
        while True:
            try:
                await self._source(self)
            except (redis.RedisError, sqlite3.Error, OSError) as failure:
                if self._since is not None:
                    log.warning("live pages hear nothing and poll: %s", failure)
                    self.deaf()
            await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311


async def from_redis(hub: Hub) -> None:
    """Hear of changes from Redis until it is lost, then raise."""
    url = settings.REDIS_URL
    client = redis.asyncio.Redis.from_url(
        url, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0), decode_responses=True
    )
    async with client, client.pubsub() as news:
        await news.subscribe(channel(url))
        asked = False
        while True:
            message = await news.get_message(timeout=BEAT / 2)
            if message is None:
                if asked:
                    raise redis.ConnectionError("Redis is silent")
                await news.ping()
            elif message["type"] == "subscribe":
                hub.hears()
            elif message["type"] == "message":
                release, _, revision = message["data"].partition(" ")
                hub.changed(int(release), int(revision))
            asked = message is None


async def from_sqlite(hub: Hub) -> None:
    """Look at the revisions once a second, in one statement unless something was written. Raises when it cannot."""
    path = Path(settings.DATABASES["default"]["NAME"]).resolve()
    with contextlib.closing(
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    ) as database:
        looked_at = await asyncio.to_thread(_version, database)
        hub.learn(await asyncio.to_thread(_revisions, database))
        hub.hears()
        while True:
            await asyncio.sleep(LOOK)
            version = await asyncio.to_thread(_version, database)
            if version != looked_at:
                looked_at = version
                for release, revision in (await asyncio.to_thread(_revisions, database)).items():
                    hub.changed(release, revision)


def _version(database: sqlite3.Connection) -> int:
    """A number that is another one after each commit of anybody else."""
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def _revisions(database: sqlite3.Connection) -> dict[int, int]:
    return dict(database.execute("SELECT id, event_sequence FROM releases_release"))


class Stream:
    """`GET /live/stream?ticket=…`"""

    def __init__(self) -> None:
        self._hub: Hub | None = None

    @property
    def hub(self) -> Hub:
        if self._hub is None:
            self._hub = Hub(from_redis, idles=False) if settings.REDIS_URL else Hub(from_sqlite, idles=True)
        return self._hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"A stream is no {scope['type']}")
        ticket = tickets.read(_ticket(scope), time.time())
        if scope["path"] != PATH:
            await _refuse(send, 404)
        elif scope["method"] != "GET":
            await _refuse(send, 405, (b"allow", b"GET"))
        elif ticket is None or not _same_origin(scope):
            await _refuse(send, 403)
        elif self.hub.ended or self.hub.size >= most() or self.hub.of_user[ticket.user] >= PER_USER:
            await _refuse(send, 503, (b"retry-after", str(BUSY_FOR).encode()))
        else:
            await self._serve(ticket, receive, send)

    async def _serve(self, ticket: Ticket, receive: Receive, send: Send) -> None:
        listener = self.hub.join(ticket)
        gone = asyncio.create_task(_until_gone(receive, listener))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            chunk = f"retry: {random.uniform(*AGAIN) * 1000:.0f}\n\n".encode()  # noqa: S311
            while not listener.ended and (left := ticket.ends - time.time()) > 0:
                async with asyncio.timeout(STALLED):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await listener.take(min(BEAT, left))
            last = b"" if listener.ended else event("over")
            async with asyncio.timeout(STALLED):
                await send({"type": "http.response.body", "body": last, "more_body": False})
        except TimeoutError:
            log.info("a listener did not read for %s s and was dropped", STALLED)
        finally:
            gone.cancel()
            self.hub.leave(listener)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Begin to hear with the server, and let go of everybody when it is told to stop."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                mask_tokens()
                if not self.hub.idles:
                    self.hub.start()
                _before_the_server_stops(self.hub.end)
                await send({"type": "lifespan.startup.complete"})
            else:
                self.hub.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # proxies in the manner of nginx pass it on at once
    (b"x-content-type-options", b"nosniff"),
]


def most() -> int:
    """How many may listen to one process: each is an open file."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return PER_PROCESS if files == resource.RLIM_INFINITY else min(PER_PROCESS, files - SPARE)


def _ticket(scope: Scope) -> str:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query.get("ticket", [""])[0]


def _same_origin(scope: Scope) -> bool:
    """Browsers say where a request comes from; a page of another site may not even open the stream."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    if origin and origin.partition("://")[2] != host:
        return False
    return headers.get(b"sec-fetch-site", b"same-origin") == b"same-origin"


async def _refuse(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    plain = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": plain})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()


def _before_the_server_stops(let_go: Callable[[], None]) -> None:
    """Run `let_go` when the order to stop comes: the server then waits for open answers, and a stream never ends."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        servers = signal.getsignal(number)

        def told(number: int, frame: FrameType | None, servers: Any = servers) -> None:
            loop.call_soon_threadsafe(let_go)
            if callable(servers):
                servers(number, frame)

        signal.signal(number, told)


application = Stream()
