"""Open pages: how soon the last of them has heard of a change, and what very many of them cost the `live` process.

The pages are sockets in a light process of their own (`tests.benchmarks.watching`) on the same machine, so its work is
in the times as well.
"""

from __future__ import annotations

import json
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests import provision
from tests.benchmarks.load import Connection
from tests.benchmarks.pace import quantile
from tests.benchmarks.servers import LIVE, ROOT, Live, Server, memory, threads

PATIENCE = 60.0  # seconds until all pages are open
MISSED = 10.0  # seconds after which a page that has not heard counts as one that lost it
WARM_UP = 5  # ticks that are not counted


class Watching:
    """So many open pages, each a stream of the `live` process at `port`."""

    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self.size = len(addresses)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.watching", str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=provision.end_with_parent(9),
        )
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._process.stdin
        self._process.stdin.write(json.dumps(list(addresses)) + "\n")
        self._process.stdin.flush()
        if self.said("open", PATIENCE) is None:
            self.close()
            raise RuntimeError(f"not all of {self.size} pages could be opened")

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._said.put(json.loads(line))

    def said(self, name: str, patience: float) -> dict[str, Any] | None:
        """The next word of that name; None when it does not come."""
        end = time.monotonic() + patience
        while True:
            try:
                words = self._said.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if name in words:
                return words

    def close(self) -> dict[str, Any]:
        """Close all pages; how many were behind, and how many the server had let go."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        last = self.said("gone", MISSED) or {"behind": self.size, "gone": self.size}
        try:
            self._process.wait(timeout=MISSED)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        return last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._process.stdin or not self._process.stdin.closed:
            self.close()


def addresses(count: int, release: int, revision: int) -> list[str]:
    """Of so many people's pages: one person may have 20 at most."""
    from django.utils import timezone

    from relcoord.lib import tickets

    return [tickets.address(1_000_000 + number, release, revision, timezone.now()) for number in range(count)]


# From a tick to the last page


@dataclass
class Heard:
    """Seconds from the beginning of each POST until its answer, and until the last page had heard."""

    watchers: int
    seconds: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    lost: int = 0  # ticks that not every page heard of

    def rows(self) -> list[tuple[str, str, str]]:
        def of(seconds: list[float], share: float) -> str:
            return f"{quantile(seconds, share):.0f} ms"

        title = f"tick to the last of {self.watchers} watchers"
        return [
            (f"{title}, p50 of {len(self.seconds)}", "at most 60 ms", of(self.seconds, 0.5)),
            (f"{title}, p99", "at most 250 ms", of(self.seconds, 0.99)),
            ("of these, the tick's own answer, p50", "", of(self.answers, 0.5)),
            ("ticks not every watcher heard of", "0", str(self.lost)),
        ]


def ticks(web: Server, live: Live, *, watchers: int = 50, times: int = 200) -> Heard:
    """One person ticks, one tick after the other."""
    from tests.benchmarks.bench import Ticks
    from tests.benchmarks.fill import tickable
    from tests.factories import Cast, ReleaseFactory, standard

    Cast()
    release = ReleaseFactory(key="HEARD-1", version=standard())
    entry, found = tickable(release), Heard(watchers)
    ask = Ticks(entry, {"cookie": "sessionid"})
    connection = Connection(web.port)
    with Watching(live.port, addresses(watchers, release.pk, entry["sequence"])) as pages:
        for number in range(WARM_UP + times):
            request, began = ask(number), time.monotonic()
            status, body = connection.ask(request)
            answered = time.monotonic()
            if status != 200:
                raise RuntimeError(f"a tick was answered {status}: {body[:500]!r}")
            last = pages.said("revision", MISSED)
            found.lost += last is None
            if last and number >= WARM_UP:
                found.seconds.append(last["last"] - began)
                found.answers.append(answered - began)
    connection.close()
    return found


# Very many


@dataclass
class Crowded:
    watchers: int
    seconds: list[float] = field(default_factory=list)  # from each publication until the last page had it
    lost: int = 0
    gone: int = 0
    connections: int = 0
    threads: tuple[int, int] = (0, 0)  # before anybody came, and with all
    pss: float = 0.0  # kB a page
    rss: float = 0.0

    def rows(self) -> list[tuple[str, str, str]]:
        title, before, with_all = f"{self.watchers} watchers on one release", *self.threads
        return [
            (f"{title}: lost changes, lost streams", "0, 0", f"{self.lost}, {self.gone}"),
            (
                f"publication to the last of them, longest of {len(self.seconds)}",
                "at most 250 ms",
                f"{1000 * max(self.seconds, default=0):.0f} ms",
            ),
            ("the same, p50", "", f"{quantile(self.seconds, 0.5):.0f} ms"),
            ("database connections of the `live` process", "0", str(self.connections)),
            ("threads of it, before and with all", "the same", f"{before}, {with_all}"),
            ("memory each, PSS (RSS)", "at most 60 KB", f"{self.pss:.1f} KB ({self.rss:.1f})"),
        ]


def very_many(live: Live, *, watchers: int = 1000, times: int = 20) -> Crowded:
    """One `live` process; each change is published alone, when all have heard of the one before."""
    from relcoord.lib import broadcast

    found, release = Crowded(watchers), 1_000_000
    with Watching(live.port, addresses(min(20, watchers), release, 0)) as pages:  # what it loads once, it has now
        broadcast.publish(release, 1)
        pages.said("revision", MISSED)
    time.sleep(0.5)  # they leave
    before, threads_before = memory([live.pid]), threads(live.pid)
    with Watching(live.port, addresses(watchers, release, 1)) as pages:
        for revision in range(2, 2 + times):
            began = time.monotonic()
            broadcast.publish(release, revision)
            last = pages.said("revision", MISSED)
            if last:
                found.seconds.append(last["last"] - began)
            found.lost += last is None
        after, found.threads = memory([live.pid]), (threads_before, threads(live.pid))
        found.connections = _connections()
        found.gone = pages.close()["gone"]
    found.pss, found.rss = (after.pss - before.pss) / watchers, (after.rss - before.rss) / watchers
    return found


def _connections() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [LIVE])
        return int(cursor.fetchone()[0])


def enough_files(pages: int) -> None:
    """Each is an open file, in `live` and in the process of the pages; to be asked for before these start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = pages + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
