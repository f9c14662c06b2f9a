"""Load: many mails due in one minute, and a tick over very many reminders that are still to come.

The first runs the real programs against a real mail server and measures from the moment a mail is due until the server
has it; with Redis, and with Redis absent, when the second driver is alone. The second measures a tick that finds
nothing to do, on a ledger of so many rows.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from math import ceil
from typing import TYPE_CHECKING, TextIO

from tests.reliability.kills import BIN, Program

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from releases.models import Release, Reminder
    from tests.smtp import Sink

PEOPLE = 6  # who get a mail about each release at T-4h
P99, LONGEST = 60.0, 120.0  # seconds that are allowed
A_TICK = 1.0  # seconds that are allowed, for planning alone
EACH_ROWS = 24  # reminders of a release that is planned far ahead


@dataclass
class Handed:
    """How long after its moment each mail was with the server, in seconds."""

    delays: list[float] = field(default_factory=list)  # in order
    expected: int = 0

    def quantile(self, part: float) -> float:
        """So long at most took this part of the mails."""
        return self.delays[ceil(part * len(self.delays)) - 1] if self.delays else 0.0

    @property
    def wrong(self) -> list[str]:
        found = self.late
        if self.quantile(0.99) >= P99:
            found.append(f"p99 is {self.quantile(0.99):.1f} s; allowed are {P99:.0f}")
        return found

    @property
    def late(self) -> list[str]:
        """What is wrong on any machine, however busy."""
        found = []
        if len(self.delays) != self.expected:
            found.append(f"{self.expected} mails were due, {len(self.delays)} came")
        if max(self.delays, default=0) > LONGEST:
            found.append(f"one took {max(self.delays):.1f} s; allowed are {LONGEST:.0f}")
        return found


CELERY = [str(BIN / "celery"), "--app", "relcoord"]
BY_CELERY = ([*CELERY, "worker", "--concurrency", "2"], [*CELERY, "beat", "--pidfile="])
BY_LOOP = ([sys.executable, "manage.py", "reminders", "--loop"],)


def due_within(mails: int, begins: datetime, seconds: float) -> list[Release]:
    """Make releases whose T-4h mails, one to each of their people, are due in the `seconds` from `begins` on."""
    from releases.models import Reminder
    from releases.workflow import Window
    from tests.factories import Cast, ReleaseFactory, role

    cast, found = Cast(), []
    developers = (cast.ben, cast.dana, cast.eli, cast.fay, cast.gus)
    holders = {**cast.holders(), role("Developers"): developers}
    releases = -(-mails // PEOPLE)
    for number in range(releases):
        t_zero = begins + timedelta(hours=4, seconds=seconds * number / releases)
        window = Window(t_zero, t_zero + timedelta(hours=2), "Europe/Berlin")
        found.append(ReleaseFactory(key=f"LOAD-{begins:%H%M%S}-{number}", window=window, holders=holders))
    Reminder.objects.exclude(kind="mark").filter(release__in=found).delete()  # the mails about the birth are no load
    return found


class Clerk:
    """Notes when the server took each mail."""

    def __init__(self, sink: Sink) -> None:
        self.at: dict[str, float] = {}
        self._sink, self._lock = sink, threading.Lock()
        sink.before_answer = self._note

    def _note(self, to: str) -> None:
        message: EmailMessage = self._sink.taken[-1]
        with self._lock:
            self.at.setdefault(str(message["Message-ID"]), time.time())


def handed_over(
    releases: Sequence[Release],
    environment: Mapping[str, str],
    sink: Sink,
    log: TextIO,
    drivers: Sequence[list[str]],
    *,
    patience: float = 300,
) -> Handed:
    """Let these programs send what `releases` owe at T-4h, and measure."""
    clerk, result = Clerk(sink), Handed(expected=len(releases) * PEOPLE)
    programs = [Program(command, environment, log) for command in drivers]
    end = time.monotonic() + patience
    try:
        for program in programs:
            program.start()
        while _marks(releases).filter(state="sent").count() < result.expected and time.monotonic() < end:
            time.sleep(0.5)
    finally:
        for program in programs:
            program.kill()
    result.delays = sorted(_delays(releases, clerk))
    return result


def _marks(releases: Sequence[Release]) -> QuerySet[Reminder]:
    from releases.models import Reminder

    return Reminder.objects.filter(kind="mark", mark="T-4h", release__in=releases)


def _delays(releases: Sequence[Release], clerk: Clerk) -> list[float]:
    """By when the server took it, not by what the row says."""
    rows = _marks(releases).values_list("message_id", "due_at")
    return [clerk.at[str(pk)] - due_at.timestamp() for pk, due_at in rows if pk in clerk.at]


# A tick with nothing to do


@dataclass
class Ticked:
    rows: int
    releases: int
    first: float  # seconds: the tick that plans all of them
    plan: float  # the median of five that have nothing to plan
    tick: float  # the same for whole ticks

    @property
    def wrong(self) -> list[str]:
        return [f"planning took {self.plan:.2f} s; allowed is {A_TICK:.0f}"] if self.plan >= A_TICK else []


def planned_far_ahead(rows: int) -> list[Release]:
    """So many releases in thirty days that they owe `rows` reminders: one is made, the others are copies of it."""
    from tests.factories import ReleaseFactory, window

    first = ReleaseFactory(key="FAR-0", window=window(timedelta(days=30)))
    return copied(first, -(-rows // EACH_ROWS), apart=timedelta(seconds=37))


def copied(first: Release, count: int, *, apart: timedelta) -> list[Release]:
    """`first` and copies of it, `count` in all, each with its window so much later than the one before."""
    from releases.models import Assignment, Phase, Release, Seat

    again = Release.objects.get(pk=first.pk)
    copies, key = [], first.key.rpartition("-")[0]
    for number in range(1, count):
        again.pk, again.key = None, f"{key}-{number}"
        again.t_zero += apart
        again.window_end += apart
        copies.append(Release(**{f.attname: getattr(again, f.attname) for f in Release._meta.concrete_fields}))
    made = Release.objects.bulk_create(copies, batch_size=1000)
    for model in (Phase, Assignment, Seat):
        names = [f.attname for f in model._meta.concrete_fields if not f.primary_key]
        entries = list(model.objects.filter(release=first))
        model.objects.bulk_create(
            (
                model(**{name: getattr(entry, name) for name in names} | {"release_id": release.pk})
                for release in made
                for entry in entries
            ),
            batch_size=2000,
        )
    return [first, *made]


def with_items(releases: Sequence[Release]) -> None:
    """Give the copies of the first the items it has: some mails have nothing to say without."""
    from releases.models import Item, Phase

    first, *copies = releases
    names = [f.attname for f in Item._meta.concrete_fields if not f.primary_key]
    entries = list(Item.objects.filter(phase__release=first).select_related("phase"))
    phases = {(row.release_id, row.position): row.pk for row in Phase.objects.filter(release__in=copies)}
    Item.objects.bulk_create(
        (
            Item(**{name: getattr(row, name) for name in names} | {"phase_id": phases[copy.pk, row.phase.position]})
            for copy in copies
            for row in entries
        ),
        batch_size=2000,
    )


def ticked(rows: int) -> Ticked:
    """Plan so many reminders of the future, and see how long a tick takes that finds them planned."""
    from django.db import connection
    from django.utils import timezone

    from releases import ledger
    from releases.models import Release, Reminder, Status

    Release.objects.update(status=Status.CANCELLED)  # what was measured before is over
    Reminder.objects.planned().delete()
    releases = planned_far_ahead(rows)
    first = _seconds(lambda: ledger.plan(timezone.now()))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does by itself
    plans = sorted(_seconds(lambda: ledger.plan(timezone.now())) for _ in range(5))
    ticks = sorted(_seconds(ledger.tick) for _ in range(5))
    planned = Reminder.objects.planned().filter(release__in=releases).count()
    return Ticked(planned, len(releases), first, plans[2], ticks[2])


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
