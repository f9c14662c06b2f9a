"""What needs a reader, across releases: each ask says what, why and where to go. Pure, read only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import timezone

from releases.board import Entry, Line
from releases.models import COORDINATOR, ON_CALL, PROJECT_MANAGER, Choice, Release, Status, holders
from releases.permissions import roles_held

if TYPE_CHECKING:
    from relcoord.models import User

ORDER = ("rolling_back", "polling", "now", "blocked", "late", "no_go", "risk", "active")
UNDECIDED = timedelta(hours=1)  # before T-0: when a release without a decision alarms


@dataclass(frozen=True)
class Ask:
    """One thing that needs the reader: what, why, where to go."""

    state: str
    title: str
    note: str
    url: str
    button: str
    release: Release
    primary: bool = False
    since: datetime | None = None  # shown as a stopwatch in the T-clock's place
    about_items: bool = False  # My work lists the items themselves

    @property
    def face(self) -> str:
        """The word in the clock's place while the clock is stopped."""
        if not self.release.clock_stopped:
            return ""
        return "HOLD" if self.release.open_hold else "NO-GO"


@dataclass(frozen=True)
class Reader:
    """What `user` is to one release."""

    row: Entry
    user: User
    held: frozenset[str]

    @property
    def leads(self) -> bool:
        return COORDINATOR in self.held

    @property
    def oversees(self) -> bool:
        """Coordinator and Project Manager hear of what others are late with, and of alarms."""
        return self.leads or PROJECT_MANAGER in self.held

    def holds(self, item: Line) -> bool:
        return (item.role.slug if item.role else COORDINATOR) in self.held


def asks(rows: Iterable[Entry], user: User) -> list[Ask]:
    """What needs `user`, the most urgent first: rollbacks, polls, windows, blocked and late items, decisions."""
    found = [ask for row in rows if not row.release.is_final for ask in _asks(row, user)]
    return sorted(found, key=lambda ask: (ORDER.index(ask.state), not ask.primary, ask.release.t_zero, ask.release.key))


def _asks(row: Entry, user: User) -> list[Ask]:
    reader = Reader(row, user, roles_held(user, row.release))
    if not reader.held:
        return []
    found = [*_rollback(reader), *_poll(reader), *_items(reader)]
    if reader.oversees:
        found += _alarms(reader)
    if reader.leads:
        found += _leads(reader)
    return found


def _at(moment: datetime) -> str:
    """A clock time in the reader's zone, with the day when that is not today."""
    here = timezone.localtime(moment)
    return f"{here:%H:%M}" if here.date() == timezone.localdate() else f"{here:%a} {here.day} {here:%b %H:%M}"


def _rollback(reader: Reader) -> list[Ask]:
    release, rollback = reader.row.release, reader.row.rollback
    if rollback is None:
        return []
    step = reader.row.step
    runs = reader.held & {COORDINATOR, PROJECT_MANAGER, ON_CALL} or rollback.in_charge_id == reader.user.pk
    if not runs and not (step and step.role and step.role.slug in reader.held):
        return []
    note = f"Started by {rollback.triggered_by.name} at {_at(rollback.triggered_at)}, "
    note += (
        f"step {step.position} of {reader.row.steps}: {step.title}"
        if step
        else "all steps done: finish it with its review"
    )
    if rollback.next_update_at:
        note += f". News promised by {_at(rollback.next_update_at)}"
    title, url = f"{release.title} is rolling back", reverse("releases:rollback", args=[release.key])
    return [Ask("rolling_back", title, note, url, "Open rollback", release, primary=True, since=rollback.triggered_at)]


def _poll(reader: Reader) -> list[Ask]:
    row, release = reader.row, reader.row.release
    if row.poll is None:
        return []
    url = reverse("releases:decision", args=[release.key])
    confirm = [ballot for ballot in row.stale if ballot.seat.role.slug in reader.held]
    mine = [seat for seat in row.unanswered if seat.role.slug in reader.held]
    if mine:
        roles = " and ".join(seat.role.name for seat in mine)
        again = confirm and len(confirm) == len(mine)
        title = f"{release.title}: confirm your ballot" if again else f"{release.title} waits for your GO or NO-GO"
        note = f"As {roles}. {'Something got worse since. ' if again else ''}{_tally(row)}"
        return [Ask("polling", title, note, url, "Answer the poll", release, primary=True)]
    if not reader.leads:
        return []
    required = [seat for seat in row.unanswered if seat.required]
    if not required:
        title = f"{release.title}: every required seat has answered"
        return [Ask("polling", title, _tally(row), url, "Record the decision", release, primary=True)]
    names = ", ".join(_seat(release, seat.role.name, holders(release, seat.role)) for seat in required)
    return [Ask("polling", f"{release.title} waits for {names}", _tally(row), url, "Open the room", release)]


def _seat(release: Release, role: str, people: Sequence[User]) -> str:
    return f"{_names(people)} ({role})" if people else f"a {role} to be named"


def _tally(row: Entry) -> str:
    """How far the poll is: "3 of 4 answered, QA Lead says NO-GO"."""
    seats = len(row.release.seats.all())
    words = f"{seats - len(row.unanswered)} of {seats} answered"
    stale = {ballot.pk for ballot in row.stale}
    ballots = row.poll.ballots.all() if row.poll else []
    against = [b.seat.role.name for b in ballots if b.choice == Choice.NO_GO and b.pk not in stale]
    if against:
        words += f", {' and '.join(against)} {'says' if len(against) == 1 else 'say'} NO-GO"
    return words


def _items(reader: Reader) -> list[Ask]:
    row, release = reader.row, reader.row.release
    mine = [item for item in row.late if reader.holds(item)]
    found = [_verdict(release, item) for item in row.watched_enough if reader.holds(item)]
    if mine:
        title = f"{release.title}: {mine[0].title}" if len(mine) == 1 else f"{release.title}: {len(mine)} of yours late"
        note = "Yours, and late" if len(mine) == 1 else _listed([item.title for item in mine])
        found.append(_of_items("late", title, note, mine[0], release))
    if not reader.oversees:
        return found
    if row.blocked:
        first = row.blocked[0]
        note = f"{first.title}: {first.state_reason}" if len(row.blocked) == 1 else _holders(row, row.blocked)
        found.append(_of_items("blocked", f"{release.title}: {_count(row.blocked)} blocked", note, first, release))
    others = [item for item in row.late if item not in mine and item not in row.blocked]
    if others:
        title, note = f"{release.title}: {_count(others)} late", _holders(row, others)
        found.append(_of_items("late", title, note, others[0], release))
    return found


def _verdict(release: Release, item: Line) -> Ask:
    title, note = f"{release.title}: {item.title}", f"Watched for {item.watch_max} minutes; say how it went"
    return Ask("now", title, note, item.get_absolute_url(), "Give the verdict", release, primary=True)


def _of_items(state: str, title: str, note: str, first: Line, release: Release) -> Ask:
    return Ask(state, title, note[:200], first.get_absolute_url(), "See items", release, about_items=True)


def _holders(row: Entry, items: Sequence[Line]) -> str:
    """Whose the items are, and how many each: "Ben 2, Chloe"."""
    counts: dict[User, int] = {}
    for item in items:
        for person in holders(row.release, item.role):
            counts[person] = counts.get(person, 0) + 1
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name))
    names = ", ".join(f"{person.name} {number}" if number > 1 else person.name for person, number in ordered)
    return names or "Nobody holds their role"


def _alarms(reader: Reader) -> list[Ask]:
    row, release = reader.row, reader.row.release
    if release.clock_stopped:
        return []
    if release.status in (Status.PREPARING, Status.POLLING) and release.t_zero - UNDECIDED <= row.now:
        passed = row.now >= release.t_zero
        note = "T-0 has passed without a decision" if passed else "T-0 is less than an hour away"
        room = reverse("releases:decision", args=[release.key])
        return [Ask("late", f"{release.title} is undecided", note, room, "Open the room", release)]
    if release.status == Status.CLEARED and row.now >= release.t_zero:
        over = row.now > release.window_end
        note = (
            "Its window has ended, and the GO with it"
            if over
            else f"Its window is open until {_at(release.window_end)}"
        )
        title, url = f"{release.title} has its GO and is not started", release.get_absolute_url()
        return [Ask("late" if over else "now", title, note, url, "Open release", release, primary=not over)]
    return []


def _leads(reader: Reader) -> list[Ask]:
    row, release = reader.row, reader.row.release
    found = []
    schedule = reverse("releases:schedule", args=[release.key])
    if release.status == Status.NO_GO:
        title, note = f"{release.title} is NO-GO and not rescheduled", "Set a new T-0, or cancel it"
        found.append(Ask("no_go", title, note, schedule, "Reschedule", release))
    elif release.open_hold:
        title, note = f"{release.title} is on hold", release.open_hold.reason[:160]
        found.append(Ask("risk", title, note, schedule, "Resume", release))
    if row.empty_roles:
        names = " and ".join(role.name for role in row.empty_roles)
        people = reverse("releases:release_people", args=[release.key])
        note = "A release needs its required roles held"
        found.append(Ask("risk", f"{release.title}: nobody is {names}", note, people, "Name somebody", release))
    return found


def _names(people: Sequence[User]) -> str:
    return " or ".join(person.name for person in people)


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")


def _count(items: Sequence[Line]) -> str:
    return f"{len(items)} item{'' if len(items) == 1 else 's'}"
