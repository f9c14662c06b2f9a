"""Several programs as one: they start together, and when one ends or a signal comes, all end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

PATIENCE = 10  # seconds a program gets to end by itself
PR_SET_PDEATHSIG = 1


class ProcessTree:
    """Run the programs in the foreground until one dies or this process is told to stop.

    Each has a session of its own, so Ctrl-C reaches this process alone and each of them
    gets exactly one SIGTERM (Celery takes a second one as an order to drop its work).
    When this process is killed outright, the kernel sends that SIGTERM (on Linux).
    """

    def __init__(self, programs: Mapping[str, Sequence[str]], *, environment: Mapping[str, str]) -> None:
        self._programs = programs
        self._environment = environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        for name, command in self._programs.items():
            self._processes[name] = subprocess.Popen(
                command,
                env=dict(self._environment),
                start_new_session=True,
                preexec_fn=_end_with_parent(os.getpid()),
            )

    def is_up(self) -> bool:
        """Whether every program runs and none was told to stop."""
        return not self._stopping and not self.dead()

    def dead(self) -> dict[str, int]:
        """The programs that ended, with their exit codes."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def wait(self) -> dict[str, int]:
        """Wait until there is a reason to stop; return the programs that ended unasked."""
        while self.is_up():
            time.sleep(0.1)
        return {} if self._stopping else self.dead()

    def stop(self) -> list[str]:
        """End all of them; return the names of those that had to be killed."""
        self._stopping = True
        running = {name: process for name, process in self._processes.items() if process.poll() is None}
        for process in running.values():
            process.terminate()
        end = time.monotonic() + PATIENCE
        return [name for name, process in running.items() if not _ended(process, by=end)]

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True


def _ended(process: subprocess.Popen[bytes], *, by: float) -> bool:
    try:
        process.wait(timeout=max(0.1, by - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def _end_with_parent(parent: int) -> Callable[[], None]:
    """For `preexec_fn`: have the kernel end the child when `parent` dies."""

    def ask_the_kernel() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
            if os.getppid() != parent:  # it died in between
                os.kill(os.getpid(), signal.SIGTERM)

    return ask_the_kernel
