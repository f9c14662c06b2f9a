"""Starting relcoord and the floor the same way, and reading from /proc what they and the database use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from tests import plugin, provision
from tests.benchmarks.load import Connection, request

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 60  # seconds a server may take to answer


@contextmanager
def stage() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis as the tests have them, and the environment of production."""
    with ExitStack() as until_the_end:
        import tempfile

        var = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="relcoord-bench-"))
        url = until_the_end.enter_context(provision.postgres())
        redis = until_the_end.enter_context(provision.redis())
        given = {name: value for name, value in os.environ.items() if name not in plugin.CLEARED}
        own = {"VAR_DIR": var, "STATIC_ROOT": f"{var}/static", "DATABASE_URL": url, "REDIS_URL": redis}
        yield given | plugin.SETTINGS | plugin.PRODUCTION | own


def told(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a module of ours in that environment, and return what it printed last."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Program:
    """One program of production, with what it writes in a log of its own; it ends with this process."""

    def __init__(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], *, cwd: Path | str = ROOT
    ) -> None:
        self.name, self.log = name, Path(environment["VAR_DIR"]) / f"{name}.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdout=output,
                stderr=output,
                preexec_fn=provision.end_with_parent(signal.SIGTERM),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        """Seconds of a processor it and all it started have used until now."""
        return sum(map(used, tree(self.pid)))

    def wait_until(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Server(Program):
    """One site behind gunicorn, as the Dockerfile starts it."""

    def __init__(
        self, name: str, wsgi: str, environment: Mapping[str, str], postmaster: int | None = None, *, workers: int = 2
    ) -> None:
        self.port, self.postmaster = provision.free_port(), postmaster
        threads = ["--workers", str(workers), "--threads", "8", "--keep-alive", "30", "--graceful-timeout", "3"]
        super().__init__(
            name,
            [BIN / "gunicorn", wsgi, "--bind", f"127.0.0.1:{self.port}", *threads],
            {**environment, "PYTHONPATH": str(ROOT)},
            cwd=ROOT if name == "relcoord" else environment["VAR_DIR"],
        )
        self.wait_until(self.answers)

    def answers(self) -> bool:
        connection = Connection(self.port)
        try:
            return connection.ask(request("GET", "/nowhere/", {}))[0] > 0
        except OSError:
            return False
        finally:
            connection.close()

    def cpu(self) -> float:
        """With the database's."""
        database = sum(map(used, tree(self.postmaster))) if self.postmaster else 0.0
        return super().cpu() + database


def web(environment: Mapping[str, str], *, workers: int = 2) -> Server:
    """relcoord's pages; with the processor time of the database if that is here."""
    try:
        postmaster = postmaster_of(environment["DATABASE_URL"])
    except OSError:
        postmaster = None
    return Server("relcoord", "relcoord.wsgi", environment, postmaster, workers=workers)


LIVE = "relcoord-live"  # how the stream would call itself at the database


class Live(Program):
    """The event stream, as docker-compose.yml starts it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.port = provision.free_port()
        database = environment["DATABASE_URL"]
        named = f"{database}{'&' if '?' in database else '?'}application_name={LIVE}"
        options = ["--port", str(self.port), "--no-access-log", "--timeout-graceful-shutdown", "3"]
        super().__init__(
            "live",
            [BIN / "uvicorn", "relcoord.stream:application", *options],
            {**environment, "DATABASE_URL": named},
        )
        self.wait_until(lambda: listens(self.port))


CELERY = [BIN / "celery", "--app", "relcoord", "--quiet"]


def worker(environment: Mapping[str, str], *, concurrency: int = 2) -> Program:
    """As docker-compose.yml starts it."""
    return Program("worker", [*CELERY, "worker", "--loglevel", "INFO", "--concurrency", str(concurrency)], environment)


def beat(environment: Mapping[str, str]) -> Program:
    schedule = ["--schedule", f"{environment['VAR_DIR']}/schedule", "--pidfile="]
    return Program("beat", [*CELERY, "beat", "--loglevel", "INFO", *schedule], environment)


def second_driver(environment: Mapping[str, str]) -> Program:
    return Program("reminders", [sys.executable, "manage.py", "reminders", "--loop"], environment)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def postmaster_of(url: str) -> int:
    """The process id of a server that listens in its own folder."""
    folder = Path(unquote(url.partition("host=")[2]))
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK  # its own and of the children it waited for


def tree(root: int) -> list[int]:
    """`root` and all under it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(path.name))
    found, to_see = [], [root]
    while to_see:
        pid = to_see.pop()
        found.append(pid)
        to_see += children.get(pid, [])
    return found


@dataclass
class Memory:
    """In kB: what is a process's share of what several use (PSS), and all it can see (RSS)."""

    pss: int = 0
    rss: int = 0


def memory(pids: Iterable[int]) -> Memory:
    found = Memory()
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            if name == "Pss":
                found.pss += int(value.split()[0])
            elif name == "Rss":
                found.rss += int(value.split()[0])
    return found


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
