"""What relcoord needs when it does little: the memory of production's programs, and the embedded default's start and rest.

Memory is the sum of PSS: what several processes share counts once, divided among them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import plugin, provision
from tests.benchmarks.load import Connection
from tests.benchmarks.pace import Shot, fire
from tests.benchmarks.servers import (
    ROOT,
    Live,
    Memory,
    Program,
    beat,
    memory,
    second_driver,
    tree,
    used,
    worker,
)
from tests.benchmarks.servers import web as start_web

PATIENCE = 60.0

# Production


@dataclass
class Tree:
    programs: dict[str, Memory] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, str]]:
        pss, rss = (sum(getattr(one, name) for one in self.programs.values()) for name in ("pss", "rss"))
        found = [("memory of the whole tree, PSS (RSS)", "at most 600 MB", _mb(pss, rss))]
        return found + [(f"of this {name}", "", _mb(one.pss, one.rss)) for name, one in self.programs.items()]


def _mb(pss: float, rss: float) -> str:
    return f"{pss / 1024:.0f} MB ({rss / 1024:.0f})"


def whole_tree(environment: Mapping[str, str], *, settle: float = 15, looks: int = 60) -> Tree:
    """Two web processes, `live`, a worker of two processes, beat and the second driver, after some work of each."""
    from tests.benchmarks import crowd
    from tests.benchmarks.watchers import Watching, addresses

    site = crowd.opened(10, 3)
    with ExitStack() as running:
        web = running.enter_context(start_web(environment))
        live = running.enter_context(Live(environment))
        others = [running.enter_context(start(environment)) for start in (worker, beat, second_driver)]
        crowd.warm_up(web.port, site)
        acts = [crowd.look, crowd.poll, crowd.overview]
        fire(web.port, [Shot(0.1 * n, crowd._by(acts[n % 3], site.people[n % 10])) for n in range(looks)])
        tick(web.port, site.boxes[0].draw())
        running.enter_context(Watching(live.port, addresses(10, site.rooms[0].pk, site.rooms[0].sequence)))
        time.sleep(settle)  # until the others have started, and looked once
        named: list[tuple[str, Program]] = [("web, 2 processes and their parent", web), ("live", live)]
        named += zip(("worker, 2 processes and their parent", "beat", "the second driver"), others, strict=True)
        return remembered(dict(named))


def remembered(programs: Mapping[str, Program]) -> Tree:
    """What they and all they started hold now."""
    return Tree({name: memory(tree(program.pid)) for name, program in programs.items()})


def tick(port: int, request: bytes) -> None:
    connection = Connection(port)
    status, body = connection.ask(request)
    connection.close()
    if status != 200:
        raise RuntimeError(f"a tick was answered {status}: {body[:500]!r}")


# The embedded default


@dataclass
class Embedded:
    first: float = 0.0  # seconds from the command to the first page, with new data
    start: float = 0.0  # the same with the data of before
    idle: float = 0.0  # of one processor
    over: float = 0.0  # seconds
    memory: Memory = field(default_factory=Memory)

    def rows(self) -> list[tuple[str, str, str]]:
        return [
            ("`dev.py run`, start to first page, data of before", "at most 3 s", f"{self.start:.1f} s"),
            ("the same with new data: migrations and examples", "", f"{self.first:.1f} s"),
            (
                f"idle, over {self.over:.0f} s, share of one processor",
                "at most 2 %",
                f"{100 * self.idle:.1f} %",
            ),
            ("memory of its programs, PSS (RSS)", "", _mb(self.memory.pss, self.memory.rss)),
        ]


def embedded(var: str, *, over: float = 30, settle: float = 10) -> Embedded:
    """`python3 dev.py run` as a person does it, twice on the same folder; the second time it is then left alone."""
    found = Embedded(over=over)
    with started(var) as (process, seconds):
        found.first = seconds
    with started(var) as (process, seconds):
        found.start = seconds
        time.sleep(settle)
        before, began = _cpu(process.pid), time.monotonic()
        time.sleep(over)
        found.idle = (_cpu(process.pid) - before) / (time.monotonic() - began)
        found.memory = memory(tree(process.pid))
    return found


@contextmanager
def started(var: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The program, and how many seconds it took to the first page."""
    port = provision.free_port()
    cleared = {*plugin.CLEARED, *plugin.SETTINGS, "DATABASE_URL", "REDIS_URL", "STATIC_ROOT", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in cleared}
    environment |= {"VAR_DIR": str(Path(var) / "embedded"), "PORT": str(port)}
    with (Path(var) / "embedded.log").open("w") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "dev.py", "run"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=provision.end_with_parent(signal.SIGTERM),
        )
    try:
        while not _page(port):
            if process.poll() is not None or time.monotonic() - began > PATIENCE:
                raise RuntimeError(f"it did not start:\n{(Path(var) / 'embedded.log').read_text()}")
            time.sleep(0.02)
        yield process, time.monotonic() - began
    finally:
        process.terminate()
        process.wait(timeout=30)


def _page(port: int) -> bool:
    """The page a visitor sees first, through its redirects."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def _cpu(pid: int) -> float:
    return sum(map(used, tree(pid)))
