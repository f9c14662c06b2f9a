"""Random histories of a release, each made from its seed alone: what people, machines and clocks did to it, and when.

A history runs in real time, counted from the birth of the release. What the clock on the wall shows is real time plus
the steps it was set by. Nothing here knows the application.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.reliability.model import LEAD, QA, Mark, marks

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
A_BASE = 10  # so many histories begin alike, with the same release
PLANS = (("T-3d", "T-1d", "T-4h"), ("T-1d", "T-4h"), ("T-26h", "T-2h"))
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
CLOCK_CHANGES = (
    datetime(2027, 3, 28, tzinfo=UTC),
    datetime(2027, 10, 31, tzinfo=UTC),
    datetime(2027, 3, 14, tzinfo=UTC),
    datetime(2027, 4, 3, 16, tzinfo=UTC),
)
STEPS_OF_A_SENDER = ("planning", "claiming", "claimed", "written", "handing over", "handed over")
TEMPORARY = ("450 at RCPT", "451 after DATA", "451 at MAIL FROM", "line breaks")


@dataclass(frozen=True)
class Start:
    """How a release is born."""

    zone: str
    plan: tuple[str, ...]
    begins: datetime
    t_zero: datetime


@dataclass(frozen=True, order=True)
class Happening:
    """One thing that happens, `at` so long after the birth of the release.

    what: moved (to), held, resumed (perhaps to), no-go, same T-0, cancelled; holds (who, "" for nobody), done, reopened;
    down, up; server down, server up; busy, free, gone, found (who); clock set (by); dies (where); sleeps (by).
    """

    at: timedelta
    number: int  # in which order, when two come at once
    what: str
    to: datetime | None = None
    who: str = ""
    by: timedelta = timedelta(0)
    where: str = ""

    def __str__(self) -> str:
        details = [f"{self.to:%Y-%m-%d %H:%M:%S} UTC" if self.to else "", self.who, self.where]
        details += [f"{self.by.total_seconds():+.0f} s"] if self.by else []
        return " ".join(["+" + str(self.at).split(".")[0], self.what, *filter(None, details)])


@dataclass(frozen=True)
class History:
    seed: int
    start: Start
    happenings: tuple[Happening, ...]
    ends: timedelta

    def __str__(self) -> str:
        born = f"born {self.start.begins:%Y-%m-%d %H:%M:%S} UTC, T-0 {self.start.t_zero:%Y-%m-%d %H:%M:%S} UTC"
        head = f"history {self.seed}: {born}, {self.start.zone}, {' '.join(self.start.plan)}"
        return "\n".join([head, *(f"  {happening}" for happening in self.happenings), f"  +{self.ends} the end"])


def history(seed: int) -> History:
    """The history of `seed`, always the same."""
    start = start_of(seed // A_BASE)
    writer = Writer(start, random.Random(seed))
    writer.write()
    return History(seed, start, tuple(sorted(writer.happenings)), writer.ends())


def start_of(base: int) -> Start:
    """Planned early, in the middle of things, or just after a mark."""
    dice = random.Random(f"start {base}")
    plan, zone = dice.choice(PLANS), dice.choice(ZONES)
    change = dice.choice(CLOCK_CHANGES) + dice.uniform(-4, 2) * DAY
    begins = change if dice.random() < 0.4 else datetime(2027, 1, 1, tzinfo=UTC) + dice.uniform(0, 700) * DAY
    begins = begins.replace(microsecond=0)
    leads = (
        lambda: dice.uniform(3, 8) * DAY,
        lambda: dice.uniform(1, 72) * HOUR,
        lambda: dice.choice((24, 26, 4, 2)) * HOUR - dice.uniform(0, 60) * MINUTE,
        lambda: dice.uniform(25, 30) * HOUR,
    )
    return Start(zone, plan, begins, _whole_minute(begins + dice.choice(leads)()))


def _whole_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0) + MINUTE


class Writer:
    """Writes one history, scene by scene, and keeps to what the verbs allow."""

    def __init__(self, start: Start, dice: random.Random) -> None:
        self.start, self.dice = start, dice
        self.happenings: list[Happening] = []
        self.now, self.step = timedelta(0), timedelta(0)
        self.t_zero, self.holder = start.t_zero, QA[0]
        self.held = self.no_go = self.over = self.is_done = False
        self.away_until = timedelta(0)  # of the drivers

    @property
    def wall(self) -> datetime:
        return self.start.begins + self.now + self.step

    def write(self) -> None:
        scenes: dict[Callable[[], None], int] = {
            self.a_verb: 4,
            self.a_death: 5,
            self.a_death_and_a_verb: 4,
            self.a_sleep: 4,
            self.an_outage: 3,
            self.a_clock_step: 5,
            self.a_server_outage: 2,
            self.a_busy_address: 2,
            self.an_unknown_address: 1,
            self.people_change: 4,
            self.work_is_done: 1,
        }
        if self.dice.random() < 0.35:
            self.early_clock_step()
        for _ in range(self.dice.randint(1, 4)):
            if self.over:
                break
            self.dice.choices(list(scenes), list(scenes.values()))[0]()
        if self.no_go or (self.held and self.dice.random() < 0.7):
            self.leave()

    def ends(self) -> timedelta:
        """An hour after T-0, and after everything that happens."""
        last = max([self.now, *(happening.at for happening in self.happenings)])
        return max(last, self.t_zero - self.start.begins - self.step) + HOUR

    # Moments

    def note(self, what: str, at: timedelta | None = None, **details: object) -> None:
        when = self.now if at is None else at
        self.happenings.append(Happening(when, len(self.happenings), what, **details))  # type: ignore[arg-type]

    def coming(self) -> Iterator[Mark]:
        return (mark for mark in marks(self.start.zone, self.start.plan, self.t_zero) if mark.due > self.wall)

    def wait(self) -> None:
        """Until near a mark, or for a while."""
        ahead = list(self.coming())
        if ahead and self.dice.random() < 0.7:
            mark = self.dice.choice(ahead)
            near = self.dice.choice((-10 * MINUTE, -MINUTE, timedelta(0), 5 * MINUTE, HOUR, 3 * HOUR))
            self.now += max(SECOND, mark.due - self.wall + near * self.dice.random())
        else:
            self.now += self.dice.uniform(1, 6 * 3600) * SECOND

    def wait_for_a_mark(self, early: timedelta) -> bool:
        """Until shortly before one, when one is still to come."""
        ahead = list(self.coming())
        if not ahead:
            return False
        left = self.dice.choice(ahead[:2]).due - self.wall
        self.now += max(left - early * self.dice.random(), timedelta(0))
        return True

    # Scenes

    def a_verb(self) -> None:
        self.wait()
        self.verb()

    def verb(self) -> None:
        if self.held or self.no_go:
            self.leave()
            return
        verbs = {self.move: 6, self.hold: 3, self.refuse: 2, self.cancel: 1}
        self.dice.choices(list(verbs), list(verbs.values()))[0]()

    def move(self) -> None:
        """Nearer, farther, or just past a mark of the new plan."""
        nearest = min(mark.before for mark in marks(self.start.zone, self.start.plan, self.t_zero))
        to = self.dice.choice(
            (
                lambda: self.wall + self.dice.uniform(0.2, 6) * DAY,
                lambda: self.t_zero + self.dice.uniform(0, 3) * DAY,
                lambda: self.t_zero + self.dice.uniform(1, 90) * MINUTE,
                lambda: self.wall + self.dice.choice((24, 26)) * HOUR - self.dice.uniform(0, 60) * MINUTE,
                lambda: self.wall + nearest - self.dice.uniform(0, 60) * MINUTE,
            )
        )()
        self.set_t_zero(max(to, self.wall + 10 * MINUTE))
        self.note("moved", to=self.t_zero)

    def set_t_zero(self, to: datetime) -> None:
        self.t_zero = to if (to := _whole_minute(to)) != self.t_zero else to + MINUTE

    def hold(self) -> None:
        self.held = True
        self.note("held")
        if self.dice.random() < 0.6:
            self.now += self.dice.choice((2 * MINUTE, HOUR, DAY)) * self.dice.random()
            self.leave()

    def refuse(self) -> None:
        self.no_go = True
        self.note("no-go")

    def cancel(self) -> None:
        self.over = True
        self.note("cancelled")

    def leave(self) -> None:
        """Let the clock run again, with the same T-0 when it is still to come, or with another."""
        same = self.t_zero > self.wall + MINUTE and self.dice.random() < 0.6
        if not same:
            self.set_t_zero(self.wall + self.dice.uniform(0.1, 4) * DAY)
        if self.no_go:
            self.note("same T-0") if same else self.note("moved", to=self.t_zero)
            self.no_go = False
        if self.held:
            self.note("resumed", to=None if same else self.t_zero)
            self.held = False
        self.now += SECOND

    def a_death(self) -> None:
        if self.wait_for_a_mark(30 * SECOND):
            for _ in range(self.dice.choice((1, 1, 2, 5))):
                self.note("dies", where=self.dice.choice(STEPS_OF_A_SENDER))

    def a_death_and_a_verb(self) -> None:
        """The row is leased while the world changes."""
        if self.wait_for_a_mark(SECOND):
            self.note("dies", where=self.dice.choice(("claimed", "written", "handing over", "handed over")))
            self.now += self.dice.uniform(35, 140) * SECOND
            self.verb() if self.dice.random() < 0.7 else self.hand_on()

    def a_sleep(self) -> None:
        """A sender is stopped with its lease in hand, and goes on later; the world may change meanwhile."""
        if self.wait_for_a_mark(SECOND):
            self.note("sleeps", by=self.dice.uniform(20, 600) * SECOND)
            if self.dice.random() < 0.4:
                self.now += self.dice.uniform(35, 400) * SECOND
                self.verb() if self.dice.random() < 0.6 else self.hand_on()

    def an_outage(self) -> None:
        self.wait()
        if self.now >= self.away_until:
            longest = self.dice.choice((20 * MINUTE, 6 * HOUR, DAY, 5 * DAY))
            self.away_until = self.now + longest * self.dice.uniform(0.1, 1)
            self.note("down")
            self.note("up", self.away_until)

    def a_server_outage(self) -> None:
        self.wait()
        self.note("server down")
        self.note("server up", self.now + self.dice.choice((10 * MINUTE, 2 * HOUR)) * self.dice.random())

    def early_clock_step(self) -> None:
        """Back over a mark that was past at the birth."""
        self.now += self.dice.uniform(40, 600) * SECOND
        self.set_clock(-self.dice.uniform(30, 120) * MINUTE)

    def a_clock_step(self) -> None:
        self.wait()
        ahead = self.dice.uniform(-120, 120) * MINUTE
        self.set_clock(ahead)
        if self.dice.random() < 0.5:  # it is put right again
            self.now += self.dice.choice((MINUTE, HOUR)) * self.dice.random()
            self.set_clock(-ahead)

    def set_clock(self, by: timedelta) -> None:
        self.step += by
        self.note("clock set", by=by)
        self.now += SECOND

    def a_busy_address(self) -> None:
        who = self.dice.choice((LEAD, *QA))
        if self.wait_for_a_mark(5 * MINUTE):
            self.note("busy", who=who, where=self.dice.choice(TEMPORARY))
            self.note("free", self.now + self.dice.choice((10 * MINUTE, 2 * HOUR)) * self.dice.random(), who=who)

    def an_unknown_address(self) -> None:
        who = self.dice.choice(QA)
        if self.wait_for_a_mark(5 * MINUTE):
            self.note("gone", who=who, where=self.dice.choice(("550 at RCPT", "554 after DATA")))
            self.note("found", self.now + self.dice.uniform(0, 1) * DAY, who=who)

    def people_change(self) -> None:
        self.wait()
        self.hand_on()
        if self.dice.random() < 0.6:
            self.now += self.dice.choice((2 * MINUTE, 3 * HOUR)) * self.dice.random()
            if self.dice.random() < 0.3:
                self.set_clock(-self.dice.uniform(10, 120) * MINUTE)
            self.hand_on(QA[0])

    def hand_on(self, to: str | None = None) -> None:
        to = self.dice.choice([name for name in (*QA, "") if name != self.holder]) if to is None else to
        if to != self.holder:
            self.holder = to
            self.note("holds", who=to)

    def work_is_done(self) -> None:
        self.wait()
        if self.holder and not self.held and not self.no_go:
            self.note("done")
            self.is_done = True
            if self.dice.random() < 0.5:
                self.now += self.dice.uniform(0, 30) * HOUR
                self.note("reopened")
                self.is_done = False
