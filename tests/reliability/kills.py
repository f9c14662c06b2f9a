"""Chaos: the real programs are killed with `kill -9` at random while mails flow; nothing may be lost.

PostgreSQL, Redis and the SMTP server are real; senders (`manage.py reminders --loop`), a worker and beat are processes
of their own, each killed at a random age and started again at once. What should have been sent is known from what was
done, never from the ledger: each hold and each reschedule carries a number that its mails repeat, and each release born
three hours before T-0 owes its T-4h mail to everybody on it.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from tests.provision import end_with_parent
from tests.smtp import Sink

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SENDER, WORKER, BEAT = "sender", "worker", "beat"
AGES = {SENDER: (2.0, 7.0), WORKER: (4.0, 10.0), BEAT: (3.0, 9.0)}  # seconds until one is killed
BETWEEN_VERBS = 0.4  # seconds
MOST_EXTRA = 0.1  # of the kills of senders, each of which may repeat a mail
ENOUGH_TO_COUNT = 100  # kills; in fewer a share says nothing
NUMBER = re.compile(r"number (\d+) of the chaos")


@dataclass
class Program:
    """One program; when it is killed, it starts again."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: TextIO
    process: subprocess.Popen[bytes] | None = None
    dies_at: float = 0.0

    def start(self, dice: random.Random) -> None:
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGKILL),
        )
        self.dies_at = time.monotonic() + dice.uniform(*AGES[self.name])

    def kill(self) -> None:
        """With everything it started."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Result:
    kills: Counter[str] = field(default_factory=Counter)
    expected: int = 0
    lost: list[str] = field(default_factory=list)
    extra: int = 0  # copies beyond the first
    strangers: list[str] = field(default_factory=list)  # copies under another Message-ID
    in_hand: int = 0  # mails that were tried again: the program that had them was killed
    refused: int = 0  # verbs the database did not take, so that they owe nothing
    seconds: float = 0.0

    @property
    def senders_killed(self) -> int:
        """A worker sends as a sender does."""
        return self.kills[SENDER] + self.kills[WORKER]

    @property
    def wrong(self) -> list[str]:
        found = [f"lost: {line}" for line in self.lost]
        found += [f"another Message-ID: {line}" for line in self.strangers]
        if self.senders_killed >= ENOUGH_TO_COUNT and self.extra > MOST_EXTRA * self.senders_killed:
            found.append(f"{self.extra} extra copies in {self.senders_killed} kills of senders")
        return found


class Flow:
    """Keeps mails flowing, and knows by itself to whom each of them has to go."""

    def __init__(self, dice: random.Random) -> None:
        from tests.factories import Cast, ReleaseFactory, role

        cast = Cast()
        self.dice, self.cast = dice, cast
        people = (cast.ada, cast.ben, cast.dana, cast.eli, cast.fay, cast.gus)
        self.names = [person.name.split()[0] for person in people]
        # everybody coordinates or develops, so that each has something open at T-4h
        self.holders = {**cast.holders(), role("Developers"): [person for person in people if person != cast.ada]}
        self.base = [ReleaseFactory(key=f"BASE-{n}", window=self._far(), holders=self.holders) for n in range(4)]
        self.held = [False] * len(self.base)
        self.expected: set[tuple[str, str]] = set()  # (what, to whom)
        self.numbers = self.refused = 0

    def _far(self) -> object:
        from tests.factories import window

        return window(timedelta(days=30, minutes=self.dice.randint(1, 20_000)))

    def step(self) -> None:
        """One verb; what it owes is expected from its commit on."""
        from django.db import DatabaseError

        self.numbers += 1
        try:
            what = self._birth() if self.numbers % 6 == 0 else self._verb()
        except DatabaseError:
            self.refused += 1
            return
        self.expected |= {(what, name) for name in self.names}

    def _birth(self) -> str:
        from tests.factories import ReleaseFactory, window

        key = f"MARK-{self.numbers}"
        ReleaseFactory(key=key, window=window(timedelta(hours=3)), holders=self.holders)
        return f"{key} T-4h"

    def _verb(self) -> str:
        from releases import workflow

        one = self.dice.randrange(len(self.base))
        words = f"number {self.numbers} of the chaos"
        if self.held[one]:
            workflow.resume(self.base[one], by=self.cast.ada, window=self._far(), reason=words)  # type: ignore[arg-type]
        else:
            workflow.hold(self.base[one], words, by=self.cast.ada)
        self.held[one] = not self.held[one]
        return words


def received(sink: Sink) -> dict[tuple[str, str], list[str]]:
    """The Message-IDs of what came, by what it was and to whom."""
    found: dict[tuple[str, str], list[str]] = {}
    for message in list(sink.taken):
        name = str(message["To"]).split()[0].strip('"')
        body = message.get_body(("plain",))
        number = NUMBER.search(" ".join(str(body.get_content()).split())) if body else None
        what = number[0] if number else str(message["Subject"]).split(":")[0]
        found.setdefault((what, name), []).append(str(message["Message-ID"]))
    return found


def programs(environment: Mapping[str, str], log: TextIO, senders: int) -> list[Program]:
    celery = [str(BIN / "celery"), "--app", "relcoord"]
    commands = [(SENDER, [sys.executable, "manage.py", "reminders", "--loop"])] * senders
    commands += [
        (WORKER, [*celery, "worker", "--concurrency", "1"]),
        (BEAT, [*celery, "beat", "--pidfile="]),
    ]
    return [Program(name, command, environment, log) for name, command in commands]


def run(
    kills: int,
    environment: Mapping[str, str],
    sink: Sink,
    log: TextIO,
    *,
    senders: int = 3,
    patience: float = 240,
    afterwards: Callable[[], object] = lambda: None,
) -> Result:
    """Kill so often, then wait until everything has come, for `patience` seconds at most (a lease lasts 120).

    `afterwards` is called once the killing is over. The killed stay killed at their random ages; nothing is spared.
    """
    dice, result, started = random.Random(kills), Result(), time.monotonic()
    flow, running = Flow(dice), programs(environment, log, senders)
    sink.before_answer = lambda to: time.sleep(0.02)  # a server takes its time between the mail and its answer
    try:
        for program in running:
            program.start(dice)
        while result.kills.total() < kills:
            flow.step()
            time.sleep(BETWEEN_VERBS * dice.uniform(0.5, 1.5))
            for program in running:
                if time.monotonic() >= program.dies_at:
                    program.kill()
                    result.kills[program.name] += 1
                    program.start(dice)
        afterwards()
        _wait(lambda: flow.expected <= received(sink).keys(), patience)
    finally:
        for program in running:
            program.kill()
    return _counted(result, flow, sink, time.monotonic() - started)


def _wait(done: Callable[[], bool], patience: float) -> None:
    end = time.monotonic() + patience
    while not done() and time.monotonic() < end:
        time.sleep(1)


def _counted(result: Result, flow: Flow, sink: Sink, seconds: float) -> Result:
    from releases.models import Reminder

    came = received(sink)
    result.in_hand = Reminder.objects.filter(attempts__gt=1).count()
    result.expected, result.refused, result.seconds = len(flow.expected), flow.refused, seconds
    result.lost = sorted(f"{what} to {name}" for what, name in flow.expected - came.keys())
    copies = [(what, name, ids) for (what, name), ids in came.items() if (what, name) in flow.expected]
    result.extra = sum(len(ids) - 1 for _, _, ids in copies)
    result.strangers = sorted(f"{what} to {name}: {set(ids)}" for what, name, ids in copies if len(set(ids)) > 1)
    return result
