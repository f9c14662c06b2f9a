"""Chaos: the real programs and services are killed with `kill -9` at random while mails flow; nothing may be lost.

Senders (`manage.py reminders --loop`), a worker, beat, the web server, Redis and PostgreSQL run as in production, and
each is killed at a random age and started again at once, the services on the same data and at the same address.
PostgreSQL keeps every commit (`fsync` and `synchronous_commit` on), else its kill would be no fair test. What should
have been sent is known from what was done (`journeys`), never from the ledger.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tests.provision import Server, end_with_parent

if TYPE_CHECKING:
    from tests.reliability.journeys import Flow, Mailbox, Owed, Visitor
    from tests.smtp import Apart

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SENDER, WORKER, BEAT, WEB = "sender", "worker", "beat", "web"
REDIS, POSTGRES = "Redis", "PostgreSQL"
AGES = {  # seconds from its being up until one is killed
    SENDER: (2.0, 9.0),
    WORKER: (5.0, 13.0),
    BEAT: (5.0, 13.0),
    WEB: (5.0, 13.0),
    REDIS: (4.0, 12.0),
    POSTGRES: (5.0, 13.0),
}
YOUNG = 0.25  # of those ages, in the quick form
BETWEEN_VERBS = 0.3  # seconds
AT_ONCE = 24  # releases on their way
COALESCE = timedelta(seconds=2)  # here a sitting in which roles are given is short: its mail need not wait ten minutes
EACH_AT_LEAST = 0.1  # of all kills, of each kind
MOST_EXTRA = 0.1  # of the kills that may repeat a mail
ENOUGH_TO_COUNT = 100  # kills; in fewer a share says nothing
SAID_EVERY = 60  # seconds
LONGEST_START = 60.0  # seconds
FIRST_VISIT = 1_000_000


@dataclass
class Target:
    """Something that is killed now and then, and starts again."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]
    restart: Callable[[], None]
    dies_at: float = 0.0

    def live(self, age: float) -> None:
        self.dies_at = time.monotonic() + age


class Program:
    """One program, in a session of its own, so that it can be killed with all it started."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: TextIO) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGKILL),
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """As a deployment does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=60)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@dataclass
class Result:
    kills: Counter[str] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)  # that came, by kind
    verbs: Counter[str] = field(default_factory=Counter)
    visits: Counter[str] = field(default_factory=Counter)
    expected: int = 0
    lost: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # verbs that were acknowledged, and are gone
    extra: int = 0  # copies beyond the first
    strangers: list[str] = field(default_factory=list)  # copies under another Message-ID
    in_hand: int = 0  # mails that were tried again: the program that had them was killed
    failed: Counter[str] = field(default_factory=Counter)  # rows that ended missed or failed
    seconds: float = 0.0

    @property
    def senders_killed(self) -> int:
        """A worker sends as a sender does."""
        return self.kills[SENDER] + self.kills[WORKER]

    @property
    def may_repeat(self) -> int:
        """The kills that may repeat a mail: who sends it, or what would have marked it, died after the hand-over."""
        return self.senders_killed + self.kills[POSTGRES]

    @property
    def wrong(self) -> list[str]:
        found = [f"lost: {line}" for line in self.lost]
        found += [f"forgotten: {line}" for line in self.forgotten]
        found += [f"another Message-ID: {line}" for line in self.strangers]
        if self.may_repeat >= ENOUGH_TO_COUNT and self.extra > MOST_EXTRA * self.may_repeat:
            found.append(f"{self.extra} extra copies in {self.may_repeat} kills of senders, workers and PostgreSQL")
        return found


def targets(
    environment: Mapping[str, str], log: TextIO, senders: int, port: int, services: Mapping[str, Server]
) -> list[Target]:
    celery = [str(BIN / "celery"), "--app", "relcoord"]
    web = [str(BIN / "gunicorn"), "relcoord.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"]
    commands = [(SENDER, [sys.executable, "manage.py", "reminders", "--loop"])] * senders
    commands += [(WORKER, [*celery, "worker", "--concurrency", "1"]), (BEAT, [*celery, "beat", "--pidfile="])]
    commands += [(WEB, web)]
    found = []
    for name, command in commands:
        program = Program(command, environment, log)
        found.append(Target(name, program.start, program.kill, program.start))
    return found + [Target(name, _nothing, one.kill, one.start_again) for name, one in services.items()]


def _nothing() -> None:
    """The services run already, and end with the stage."""


def run(
    kills: int,
    environment: Mapping[str, str],
    services: Mapping[str, Server],
    sink: Apart,
    log: TextIO,
    port: int,
    *,
    quick: bool = False,
) -> Result:
    """Kill so often, then wait until everything has come (a lease lasts 120 seconds).

    Then the senders start once more. In the quick form all die younger, and when the killing is over the leases of the
    killed are over too, as if two minutes had passed.
    """
    from django.db import connections

    from releases import people
    from tests.reliability.journeys import Flow, Mailbox, Visitor

    people.COALESCE = COALESCE
    pace = YOUNG if quick else 1.0
    dice, result, started = random.Random(kills), Result(), time.monotonic()
    mailbox = Mailbox(sink)
    flow = Flow(dice, mailbox, AT_ONCE)
    visitor = Visitor(flow.troupe, f"http://127.0.0.1:{port}", FIRST_VISIT)
    if quick:
        visitor.pages = ()  # they take longer to come than the web server lives
    running = targets(environment, log, 1 if quick else 2, port, services)
    thread = threading.Thread(target=visitor.run, daemon=True)
    try:
        for target in running:
            target.begin()
        thread.start()
        starts = Starts(visitor)
        for target in running:
            target.live(pace * dice.uniform(*AGES[target.name]))
        progress = Progress()
        while result.kills.total() < kills or spared(result, kills):
            flow.step()
            progress.say(result, flow)
            starts.look()
            time.sleep(BETWEEN_VERBS * dice.uniform(0.2, 1.0))
            for target in running:
                if time.monotonic() >= target.dies_at:
                    target.end()
                    result.kills[target.name] += 1
                    starts.begins(target)
                    target.restart()
                    target.live(starts.last + pace * dice.uniform(*AGES[target.name]))
        visitor.stopped.set()
        thread.join(timeout=60)
        assert not thread.is_alive()
        connections.close_all()  # the last kill may have been PostgreSQL's
        flow.find_out()
        visitor.settle_doubts()
        expected = flow.tally.expected | visitor.expected
        time.sleep(COALESCE.total_seconds())
        senders = [target for target in running if target.name == SENDER]
        for target in senders:
            target.end()
        if quick:
            _two_minutes_later()  # for the rows of those who just ended, too
        for target in senders:
            target.restart()
        _wait(mailbox, expected, 90 if quick else 300)
    finally:
        visitor.stopped.set()
        for target in running:
            if target.name not in services:
                target.end()
    result.verbs, result.visits, result.forgotten = flow.tally.verbs, visitor.visits, flow.tally.forgotten
    return _counted(result, expected, mailbox, time.monotonic() - started)


def spared(result: Result, kills: int) -> bool:
    """Is there a kind that was killed too seldom?"""
    return any(result.kills[name] < int(EACH_AT_LEAST * kills) for name in AGES)


class Starts:
    """How long a program takes from its start until it is of use: it differs tenfold with what the machine is doing.

    The web server tells, because it can be seen from outside; the others take no longer.
    """

    def __init__(self, visitor: Visitor) -> None:
        self._visitor, self._begun, self.last = visitor, time.monotonic(), LONGEST_START
        while not visitor.answered_at and time.monotonic() < self._begun + LONGEST_START:
            time.sleep(0.05)
        self.look()

    def begins(self, target: Target) -> None:
        if target.name == WEB:
            self._begun = time.monotonic()

    def look(self) -> None:
        if (took := self._visitor.answered_at - self._begun) > 0 and self._begun:
            self.last, self._begun = took, 0.0


class Progress:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self.started = self.said = time.monotonic()

    def say(self, result: Result, flow: Flow) -> None:
        if time.monotonic() - self.said > SAID_EVERY:
            self.said = time.monotonic()
            owed = len(flow.tally.expected)
            print(f"{result.kills.total()} kills, {owed} mails owed, {self.said - self.started:.0f} s", flush=True)


def _two_minutes_later() -> None:
    """As far as leases can tell."""
    from django.utils import timezone

    from releases.models import Reminder

    Reminder.objects.filter(state="sending").update(lease_until=timezone.now())


def _wait(mailbox: Mailbox, expected: set[Owed], patience: float) -> None:
    end = time.monotonic() + patience
    mailbox.look()
    while not mailbox.has(expected) and time.monotonic() < end:
        time.sleep(0.2)
        mailbox.look()


def _counted(result: Result, expected: set[Owed], mailbox: Mailbox, seconds: float) -> Result:
    from releases.models import Reminder

    result.in_hand = Reminder.objects.filter(attempts__gt=1).count()
    result.failed = Counter(Reminder.objects.filter(state__in=("failed", "missed")).values_list("state", flat=True))
    result.expected, result.seconds, result.mails = len(expected), seconds, mailbox.kinds
    result.lost = sorted(f"{what} to {name}" for what, name in expected - mailbox.ids.keys())
    copies = [(what, name, ids) for (what, name), ids in mailbox.ids.items() if (what, name) in expected]
    result.extra = sum(len(ids) - 1 for _, _, ids in copies)
    result.strangers = sorted(f"{what} to {name}: {set(ids)}" for what, name, ids in copies if len(set(ids)) > 1)
    return result
