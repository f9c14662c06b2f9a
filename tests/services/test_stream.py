"""The event stream as a process of its own: real uvicorn, real Redis, and no database."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from django.db import connection
from django.utils import timezone

from relcoord.lib import broadcast, tickets
from releases import ticking
from tests import provision
from tests.factories import Cast, ReleaseFactory, fresh, item
from tests.web import signed_in

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds, on a busy machine
NAME = "relcoord-live-under-test"
PROGRAM = [sys.executable, "-m", "uvicorn", "relcoord.stream:application"]


class Redis:
    """A Redis of our own, which may be killed and comes back at the same place."""

    def __init__(self) -> None:
        self.port = provision.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/3"
        self.client = redis_client.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        program = next(path for path in provision._redis_binaries() if path.exists())
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self.process = subprocess.Popen([program, "--port", str(self.port), *options], stdout=subprocess.DEVNULL)
        wait_until(lambda: provision._listens(self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=PATIENCE)


class Live:
    """`uvicorn relcoord.stream:application`, as docker-compose.yml starts it."""

    def __init__(self, redis_url: str, log: Path) -> None:
        self.port = provision.free_port()
        self.log = log
        database = os.environ["DATABASE_URL"]
        named = f"{database}{'&' if '?' in database else '?'}application_name={NAME}"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*PROGRAM, "--port", str(self.port), "--timeout-graceful-shutdown", "8"],
                cwd=ROOT,
                env=os.environ
                | {"DJANGO_SETTINGS_MODULE": "relcoord.settings", "REDIS_URL": redis_url, "DATABASE_URL": named},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: provision._listens(self.port))

    def threads(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("Threads:")).split()[1])


class Watcher:
    """One open page, as far as the server can tell."""

    def __init__(self, live: Live, address: str, method: str = "GET", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=PATIENCE)
        self._connection.request(method, address, headers=headers)
        self.answer = self._connection.getresponse()

    @property
    def status(self) -> int:
        return self.answer.status

    def line(self) -> str:
        """The next line; "" at the end of the stream."""
        return self.answer.readline().decode()

    def next(self) -> tuple[str, str]:
        """Name and data of the next event; the comment that comes after 20 s without one is too late."""
        while not (line := self.line()).startswith("event: "):
            assert line, "the stream has ended"
            assert not line.startswith(":"), "nothing came"
        return line.removeprefix("event: ").strip(), self.line().removeprefix("data: ").strip()

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def live(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    made = Live(redis.url, tmp_path_factory.mktemp("live") / "log")
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def watch(live: Live) -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def open_one(address: str, **options: Any) -> Watcher:
        watchers.append(Watcher(live, address, **options))
        return watchers[-1]

    yield open_one
    for watcher in watchers:
        watcher.close()


def ticket(user: int = 1, release: int | None = 1, revision: int = 0, **ago: float) -> str:
    return tickets.address(user, release, revision, timezone.now() - timedelta(**ago))


def heard(watcher: Watcher, *wanted: str) -> str:
    """Skip to an event of one of these names; its data."""
    while True:
        name, data = watcher.next()
        if name in wanted:
            return data


@pytest.fixture
def told(settings: Any, redis: Redis) -> Any:
    """Verbs of this test tell this Redis."""
    settings.REDIS_URL = redis.url
    return settings


@pytest.mark.django_db(transaction=True)
def test_a_tick_reaches_all_who_watch_and_costs_no_database_connection(
    live: Live, told: Any, watch: Callable[..., Watcher]
) -> None:
    cast, release, other = Cast(), ReleaseFactory(key="PAY-4.2"), ReleaseFactory(key="ID-2.8")
    ticking.write_note(other, "its revisions are others", by=cast.ada)
    page = signed_in(cast.ben).get(release.get_absolute_url())
    one = watch(page.context["live_stream"])
    assert one.status == 200
    assert one.answer.headers["Content-Type"].startswith("text/event-stream")
    assert one.answer.headers["Cache-Control"] == "no-store"
    assert one.answer.headers["X-Accel-Buffering"] == "no"
    assert one.line().startswith("retry: ")
    threads = live.threads()
    many = [watch(ticket(100 + number, release.pk, fresh(release).event_sequence)) for number in range(50)]
    beside = watch(ticket(1, other.pk, fresh(other).event_sequence))
    board = watch(signed_in(cast.cy).get("/releases/").context["live_stream"])
    for watcher in (one, *many, beside, board):
        assert watcher.next()[0] in ("live", "resync")

    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)

    revision = str(fresh(release).event_sequence)
    assert {heard(watcher, "change") for watcher in (one, *many)} == {revision}
    assert heard(board, "change") == "board", "which one it was stays with those who may see it"
    late = watch(ticket(1, release.pk, int(revision) - 1, seconds=-5))  # drawn since this process hears
    assert late.next()[0] == "live"
    assert late.next() == ("change", revision), "what came between the page and its stream is told at once"
    ticking.set_done(item(other, "All PRs merged"), True, by=cast.ada)
    assert heard(beside, "change") == str(fresh(other).event_sequence), "and only of one's own release"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME])
        assert cursor.fetchone() == (0,)
    assert live.threads() == threads


def test_only_a_ticket_of_now_from_this_site_opens_a_stream(live: Live, watch: Callable[..., Watcher]) -> None:
    good = ticket(user=2)
    for address in (
        "/live/stream",
        "/live/stream?ticket=",
        f"{good}x",
        good.replace("ticket=", "ticket=W"),
        ticket(minutes=11),
    ):
        assert watch(address).status == 403, address
    assert watch(good, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert watch(good, Origin="https://elsewhere.example").status == 403
    assert watch(good, method="POST").status == 405
    assert watch("/releases/").status == 404
    for header in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": f"http://127.0.0.1:{live.port}"}):
        assert watch(good, **header).status == 200
    assert good.partition("ticket=")[2] not in live.log.read_text(), "no log keeps a ticket"
    assert "GET /live/stream?ticket=*** HTTP/1.1" in live.log.read_text()


def test_a_stream_ends_with_its_ticket_and_says_so(watch: Callable[..., Watcher]) -> None:
    ending = watch(ticket(user=3, seconds=tickets.LIFE - 1))
    assert ending.next()[0] == "resync"
    assert ending.next()[0] == "over"
    assert ending.answer.read().strip() == b""


def test_one_person_cannot_use_up_the_streams_of_all(watch: Callable[..., Watcher]) -> None:
    mine = [watch(ticket(user=4)) for _ in range(21)]
    assert [watcher.status for watcher in mine] == [200] * 20 + [503]
    assert int(mine[-1].answer.headers["Retry-After"]) > 0
    assert watch(ticket(user=5)).status == 200
    mine[0].close()
    wait_until(lambda: watch(ticket(user=4)).status == 200)


def test_who_does_not_keep_up_is_told_to_resync(live: Live, redis: Redis, watch: Callable[..., Watcher]) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.settimeout(PATIENCE)
        slow.connect(("127.0.0.1", live.port))
        slow.sendall(f"GET {ticket(user=6, release=77, seconds=-5)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        quick = watch(ticket(user=7, release=77))
        assert quick.next()[0] in ("live", "resync")
        last = 5_000
        pipe = redis.client.pipeline(transaction=False)
        for revision in range(1, last + 1):
            pipe.publish(broadcast.channel(redis.url), f"77 {revision}")
        pipe.execute()
        while heard(quick, "change") != str(last):
            pass
        read, end = b"", time.monotonic() + PATIENCE
        while f"data: {last}\n".encode() not in read and time.monotonic() < end:
            read += slow.recv(65536)
        assert b"event: live" in read
        assert b"event: resync" in read, "it missed some, and knows"
        assert read.count(b"event:") < 1000, "and the server kept none of them for it"


@pytest.mark.django_db(transaction=True)
def test_without_redis_pages_are_told_to_poll_and_verbs_go_on_until_it_is_back(
    redis: Redis, told: Any, watch: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    cast, release = Cast(), ReleaseFactory(key="PAY-4.2")
    watcher = watch(ticket(user=8, release=release.pk))
    assert watcher.next()[0] in ("live", "resync")
    monkeypatch.setattr(broadcast, "counted", broadcast.Counter())

    redis.kill()
    assert heard(watcher, "paused") == ""
    newcomer = watch(ticket(user=9))
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    assert broadcast.counted == {"failed": 1, "skipped": 1}, "one waited for it, the next did not"

    redis.start()
    assert heard(watcher, "resync") == ""
    assert newcomer.next()[0] == "resync"
    monkeypatch.setattr(broadcast.to(redis.url), "_closed_until", 0.0)  # as five seconds later
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    assert heard(watcher, "change") == str(fresh(release).event_sequence)
    assert broadcast.counted["sent"] == 1


def test_it_stops_at_once_and_lets_go_of_everybody(live: Live, watch: Callable[..., Watcher]) -> None:
    """The last one here: it stops the process."""
    many = [watch(ticket(user=200 + number, release=999)) for number in range(20)]
    for watcher in many:
        watcher.next()
    begun = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    assert [watcher.answer.read().strip() for watcher in many] == [b""] * 20
    live.process.wait(timeout=PATIENCE)
    assert time.monotonic() - begun < 5, "it did not wait for its time-out of 8 s"
    assert "Cancel" not in live.log.read_text()
    assert "Traceback" not in live.log.read_text()
