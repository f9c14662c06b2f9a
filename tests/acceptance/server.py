"""relcoord as a newcomer starts it: `python3 dev.py run` over an empty folder, stopped with Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "PIP_CONFIG_FILE")  # all else would configure it
PATIENCE = 120  # seconds until it says its address; a fresh checkout installs first
ADDRESS = re.compile(r"relcoord is at (\S+)")
PASSWORD = re.compile(r"Everyone's password is (\S+)")
LOG_IN = re.compile(r"^\s+(?P<email>\S+@\S+)\s+(?P<name>[^,]+), (?P<duty>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class LogIn:
    """One line of what the start prints."""

    email: str
    name: str
    password: str


@dataclass(frozen=True)
class Running:
    """A server that has told its address and log-ins (by first name, in small letters)."""

    url: str
    log_ins: dict[str, LogIn]
    output: Path  # what it has said so far


@contextmanager
def running(var: Path | None = None, *, demo: bool = True) -> Iterator[Running]:
    """Start `dev.py run` on a free port over `var` (by default a folder that goes away); stop it with Ctrl-C.

    Raises RuntimeError with its output when it does not come up, or does not end with exit code 0.
    """
    with tempfile.TemporaryDirectory(prefix="relcoord-journey-") as folder:
        var = var or Path(folder) / "var"
        output = Path(folder) / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "dev.py", "run"],
                cwd=ROOT,
                env=environment(var, free_port(), demo=demo),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # our own Ctrl-C is not its own
            )
            try:
                yield _wait(process, output)
            finally:
                code = _stop(process)
            if code != 0:
                raise RuntimeError(f"dev.py run ended with exit code {code} on Ctrl-C:\n{output.read_text()}")


def environment(var: Path, port: int, *, demo: bool) -> dict[str, str]:
    """What a newcomer's shell has, and where this server keeps its things."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"VAR_DIR": str(var), "PORT": str(port), "DEMO": "yes" if demo else "no", "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], output: Path) -> Running:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = output.read_text(errors="replace")
        if found := ADDRESS.search(said):
            return Running(found[1], _log_ins(said), output)
        if process.poll() is not None:
            raise RuntimeError(f"dev.py run ended with exit code {process.returncode} before it was up:\n{said}")
        time.sleep(0.1)
    raise RuntimeError(f"dev.py run told no address within {PATIENCE} seconds:\n{output.read_text()}")


def _log_ins(said: str) -> dict[str, LogIn]:
    password = PASSWORD.search(said)
    if password is None:
        return {}
    rows = LOG_IN.finditer(said)
    return {row["email"].split("@")[0]: LogIn(row["email"], row["name"], password[1]) for row in rows}


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
