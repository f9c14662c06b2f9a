"""What should have been sent: a small model of its own, which knows nothing of how the application does it.

From a history it says which marks are owed to whom, and judges each mail that left by the moment it left. The promise
it holds the application to:

- Owed is a mark, in one version of the schedule, to one person, when for five minutes on end everything was in place:
  the window of the mark open, the clock running, the person on the release with open work, a driver and the mail server
  up. A death begins the five minutes anew. After a temporary failure in the same window, up to 18 minutes more are the
  back-off that is promised (15 with jitter, and a tick).
- Not owed is what cannot be asked for: the address was refused for good in the window; the work was done for a part of
  it; a driver has seen the window over (a clock may be set back later: what is over stays over); the person had the
  mark in an earlier version, and it was past already when this version was planned for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from tests.reliability.history import Happening, History

LEAD, QA = "Ada", ("Ben", "Cy")  # the coordinator, who always has the summary; who may hold the one role with an item
ENOUGH = timedelta(minutes=5)
BACK_OFF = timedelta(minutes=18, seconds=60)
GRACE = timedelta(seconds=5)  # what was under way when the release moved
A_TICK = timedelta(seconds=90)  # until a driver has looked, a death while planning included
ZERO = timedelta(0)


# Marks, by arithmetic of our own


@dataclass(frozen=True)
class Mark:
    name: str
    due: datetime
    until: datetime
    rank: int

    @property
    def before(self) -> timedelta:
        """About how long before T-0."""
        amount, unit = re.fullmatch(r"T-(\d+)(d|h)", self.name).groups()  # type: ignore[union-attr]
        return int(amount) * {"d": timedelta(days=1), "h": timedelta(hours=1)}[unit]


def marks(zone: str, plan: Sequence[str], t_zero: datetime) -> list[Mark]:
    """The marks of a plan before T-0; each is worth sending until the next one, the last until T-0."""
    ordered = sorted((_moment(name, zone, t_zero), name) for name in plan)
    ends = [due for due, _ in ordered[1:]] + [t_zero]
    numbered = enumerate(zip(ordered, ends, strict=True))
    return [Mark(name, due, until, rank) for rank, ((due, name), until) in numbered]


def _moment(name: str, zone: str, t_zero: datetime) -> datetime:
    """A day keeps the wall clock of the release's zone, an hour is sixty minutes."""
    if not name.endswith("d"):
        return t_zero - Mark(name, t_zero, t_zero, 0).before
    days, there = int(name[2:-1]), ZoneInfo(zone)
    local = t_zero.astimezone(there)
    shown = datetime(local.year, local.month, local.day, local.hour, local.minute, local.second)
    return (shown - timedelta(days=days)).replace(tzinfo=there).astimezone(UTC)


# What happened, as the driver saw it


@dataclass(frozen=True)
class Sent:
    """A mail the server took: when (real time), to whom, of which mark, under which Message-ID."""

    at: timedelta
    to: str
    mark: str
    message_id: str


@dataclass
class Account:
    """What came of a history: the mails of marks, and the deaths with the mail that was in hand, if any."""

    sent: list[Sent] = field(default_factory=list)
    deaths: list[tuple[timedelta, str]] = field(default_factory=list)
    others: int = 0  # mails that are no marks


# The world, piece by piece


@dataclass(frozen=True)
class Piece:
    """A stretch of real time in which nothing changes. `clock` is what the wall shows at the start of the history."""

    start: timedelta
    end: timedelta
    clock: datetime
    version: int
    t_zero: datetime
    live: bool = True
    held: bool = False
    no_go: bool = False
    holder: str = QA[0]
    done: bool = False
    down: int = 0
    server_down: int = 0
    busy: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.live and not self.held and not self.no_go

    def asks(self, who: str) -> bool:
        """Is a mark wanted by this person now? The lead always has the summary."""
        return self.running and (who == LEAD or (who == self.holder and not self.done))

    def within(self, mark: Mark) -> tuple[timedelta, timedelta]:
        """The part of this piece in which the wall clock shows a moment in the window of `mark`."""
        return max(self.start, mark.due - self.clock), min(self.end, mark.until - self.clock)

    def passes(self, moment: datetime) -> bool:
        return self.end > self.start and self.clock + self.end > moment


def pieces(history: History) -> list[Piece]:
    """The history, cut wherever something changes."""
    now = Piece(ZERO, ZERO, history.start.begins, 1, history.start.t_zero)
    found = []
    for happening in history.happenings:
        if happening.at > now.start:
            found.append(replace(now, end=happening.at))
        now = replace(_after(now, happening), start=happening.at, end=happening.at)
    return [*found, replace(now, end=history.ends)]


def _after(now: Piece, happening: Happening) -> Piece:
    """What a happening changes."""
    to, who = happening.to, happening.who
    moved = {"version": now.version + 1, "t_zero": to, "no_go": False} if to else {}
    changes: dict[str, dict[str, object]] = {
        "moved": moved,
        "held": {"held": True},
        "resumed": {"held": False} | moved,
        "no-go": {"no_go": True},
        "same T-0": {"version": now.version + 1, "no_go": False},
        "cancelled": {"live": False},
        "holds": {"holder": who},
        "done": {"done": True},
        "reopened": {"done": False},
        "down": {"down": now.down + 1},
        "up": {"down": now.down - 1},
        "server down": {"server_down": now.server_down + 1},
        "server up": {"server_down": now.server_down - 1},
        "busy": {"busy": (*now.busy, who)},
        "free": {"busy": _without(now.busy, who)},
        "gone": {"gone": (*now.gone, who)},
        "found": {"gone": _without(now.gone, who)},
        "clock set": {"clock": now.clock + happening.by},
        "dies": {},
        "sleeps": {},
    }
    return replace(now, **changes[happening.what])  # type: ignore[arg-type]


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """One of them less; each change is looked up with all others, so it may not be there."""
    kept = list(names)
    if name in kept:
        kept.remove(name)
    return tuple(kept)


# What is owed


@dataclass(frozen=True)
class Owed:
    version: int
    mark: Mark
    to: str
    since: timedelta  # when this version of the schedule began, real time
    until: timedelta  # when it ended, or its window did

    def __str__(self) -> str:
        return f"{self.mark.name} to {self.to} in version {self.version}, due {self.mark.due:%Y-%m-%d %H:%M:%S} UTC"


def owed(history: History, account: Account) -> Iterator[Owed]:
    """Every mail that must have been sent. `account` says only when senders died, and what people had before."""
    world = pieces(history)
    for version in sorted({piece.version for piece in world}):
        then = [piece for piece in world if piece.version == version]
        for mark in marks(history.start.zone, history.start.plan, then[0].t_zero):
            for who in (LEAD, *QA):
                had = {sent.mark for sent in account.sent if sent.to == who and sent.at < then[0].start}
                if mark.name in had and _was_past_at_planning(then, mark, who):
                    continue
                if _had_its_chance(then, mark, who, [at for at, _ in account.deaths]):
                    yield Owed(version, mark, who, then[0].start, then[-1].end)


def _was_past_at_planning(then: Iterable[Piece], mark: Mark, who: str) -> bool:
    """Could a driver have planned this mark for them only when it was past?"""
    planned = False
    for piece in then:
        concerned = piece.running and who in (LEAD, piece.holder)
        if concerned and not piece.down and not planned:
            planned = True
            if piece.clock + piece.start + A_TICK >= mark.due:
                return True
        planned = planned and concerned
    return False


def _had_its_chance(then: Iterable[Piece], mark: Mark, who: str, deaths: Sequence[timedelta]) -> bool:
    """Was everything in place for long enough?"""
    run, last, need, chance = ZERO, ZERO, ENOUGH, False
    for piece in then:
        begin, end = piece.within(mark)
        if begin < end:
            if who in piece.gone or (who != LEAD and piece.done):
                return False
            if who in piece.busy or piece.server_down:
                need = ENOUGH + BACK_OFF
            in_place = piece.asks(who) and not piece.down and not piece.server_down and who not in piece.busy
            for start, stop in _cut(begin, end, deaths) if in_place else ():
                run = (run if start == last and start not in deaths else ZERO) + stop - start
                last = stop
                chance = chance or run >= need
        if not piece.down and piece.passes(mark.until):
            return chance  # a driver sees that it is over
    return chance


def _cut(begin: timedelta, end: timedelta, at: Sequence[timedelta]) -> Iterator[tuple[timedelta, timedelta]]:
    edges = [begin, *sorted({moment for moment in at if begin < moment < end}), end]
    yield from pairwise(edges)


# What must not be


def wanted(world: Sequence[Piece], history: History, sent: Sent) -> bool:
    """Was this mail right at the moment it left, or within the grace before?"""
    near = [piece for piece in world if piece.start <= sent.at and piece.end >= sent.at - GRACE]
    return any(_is_right(piece, history, sent) for piece in near)


def _is_right(piece: Piece, history: History, sent: Sent) -> bool:
    found = [m for m in marks(history.start.zone, history.start.plan, piece.t_zero) if m.name == sent.mark]
    if not found or not piece.asks(sent.to):
        return False
    begin, end = piece.within(found[0])
    return begin <= sent.at and sent.at - GRACE < end
