"""Starting relcoord and the floor the same way, and reading from /proc what they and the database use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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


class Server:
    """One site behind gunicorn, as the Dockerfile starts it."""

    def __init__(self, name: str, wsgi: str, environment: Mapping[str, str], postmaster: int) -> None:
        self.name, self.port, self.postmaster = name, provision.free_port(), postmaster
        log = Path(environment["VAR_DIR"]) / f"{name}.log"
        command = [BIN / "gunicorn", wsgi, "--bind", f"127.0.0.1:{self.port}", "--workers", "2", "--threads", "8"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--keep-alive", "30", "--graceful-timeout", "3"],
                cwd=ROOT if name == "relcoord" else environment["VAR_DIR"],
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
                preexec_fn=provision.end_with_parent(15),
            )
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return Connection(self.port).ask(request("GET", "/nowhere/", {}))[0] > 0
        except OSError:
            return False

    def cpu(self) -> float:
        """Seconds of a processor this server and the database have used until now."""
        return sum(_used(pid) for root in (self.process.pid, self.postmaster) for pid in _tree(root))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def postmaster_of(url: str) -> int:
    """The process id of a server that listens in its own folder."""
    folder = Path(url.partition("host=")[2])
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def _used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK  # its own and of the children it waited for


def _tree(root: int) -> list[int]:
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
