"""What the dashboard and My work read: many releases at once, in a fixed number of queries. Read only.

Rows are loaded without their long texts and only with what is still unsettled; gates are not computed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Prefetch, QuerySet

from checklists.blueprints import Kind, Stage
from releases.models import (
    FINAL,
    ON_CALL,
    SETTLED,
    Assignment,
    Ballot,
    Hold,
    Item,
    Phase,
    PhaseMoments,
    Poll,
    Release,
    Rollback,
    RollbackStep,
    Seat,
    State,
    Status,
    Watch,
    holders,
)
from releases.permissions import roles_held

if TYPE_CHECKING:
    from relcoord.models import User

LIGHT = ("id", "phase", "position", "title", "role", "kind", "required", "condition", "due", "state", "state_at")


def loaded(releases: QuerySet[Release]) -> list[Release]:
    """The releases with all that an `Entry` reads: eleven queries, however many they are."""
    open_items = Item.objects.exclude(state__in=SETTLED).only(*LIGHT, "version").select_related("role")
    running = Watch.objects.filter(ended_at=None)
    return list(
        releases.with_progress()  # type: ignore[attr-defined]
        .select_related("coordinator", "product")
        .prefetch_related(
            Prefetch("holds", Hold.objects.filter(ended_at=None)),
            Prefetch("phases", Phase.objects.defer("note")),
            Prefetch("phases__items", open_items.prefetch_related(Prefetch("watches", running))),
            Prefetch("assignments", Assignment.objects.select_related("user", "role")),
            Prefetch("seats", Seat.objects.select_related("role")),
            Prefetch("polls", Poll.objects.filter(state=Poll.State.OPEN)),
            Prefetch("polls__ballots", Ballot.objects.filter(standing=True).defer("seen", "statement")),
            Prefetch("rollbacks", Rollback.objects.filter(ended_at=None)),
            Prefetch("rollbacks__steps", RollbackStep.objects.defer("guidance", "note")),
        )
    )


@dataclass(frozen=True)
class Entry:
    """One release as a row of the board shows it, at `now`."""

    release: Release
    now: datetime
    open_items: tuple[tuple[PhaseMoments, Item], ...]  # unsettled, required, a person's to settle, tickable now

    @property
    def late(self) -> list[Item]:
        return [item for moments, item in self.open_items if moments.is_late(item, self.now)]

    @property
    def blocked(self) -> list[Item]:
        return [item for _, item in self.open_items if item.state == State.BLOCKED]

    @property
    def due_now(self) -> list[Item]:
        """Unsettled items of the phases that have opened: what people are waited on for."""
        return [item for moments, item in self.open_items if moments.has_opened(self.now)]

    @property
    def phase(self) -> PhaseMoments | None:
        """The phase whose time it is: the last that has opened, of those that can still change."""
        opened = [
            m for m in self.release.plan if m.has_opened(self.now) and m.phase.stage not in _not_yet(self.release)
        ]
        return opened[-1] if opened else None

    @property
    def next_phase(self) -> PhaseMoments | None:
        return next((m for m in self.release.plan if m.opens_at and m.opens_at > self.now), None)

    @property
    def poll(self) -> Poll | None:
        return next(iter(self.release.polls.all()), None)

    @property
    def rollback(self) -> Rollback | None:
        return next(iter(self.release.rollbacks.all()), None)

    @property
    def unanswered(self) -> list[Seat]:
        """Seats without a standing ballot in the open poll; staleness is shown in the room."""
        if self.poll is None:
            return []
        answered = {ballot.seat_id for ballot in self.poll.ballots.all()}
        return [seat for seat in self.release.seats.all() if seat.pk not in answered]

    @property
    def waiting_on(self) -> list[tuple[User, int]]:
        """Who holds us now, with how many things, the busiest first."""
        if self.release.is_final or self.release.clock_stopped:
            return []
        counts: Counter[User] = Counter()
        for item in self.due_now:
            counts.update(holders(self.release, item.role))
        for seat in self.unanswered:
            if seat.required:
                counts.update(holders(self.release, seat.role))
        if self.rollback:
            counts[self.rollback.in_charge] += 1
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name))

    @property
    def words(self) -> tuple[str, str]:
        """(state for its shape, words): where the release stands, in a few words."""
        return _words(self)

    @property
    def in_line(self) -> bool:
        return self.words[0] == ""


def _not_yet(release: Release) -> tuple[str, ...]:
    """Stages whose moment may have come by the clock but not by the release's state."""
    if release.status == Status.DEPLOYING:
        return (Stage.POST_DEPLOYMENT,)
    if release.status in (Status.DEPLOYED, Status.CLOSED, Status.ROLLING_BACK):
        return ()
    return (Stage.PRODUCTION, Stage.POST_DEPLOYMENT)


def entry(release: Release, now: datetime) -> Entry:
    found = [
        (moments, item)
        for moments in release.plan
        for item in moments.phase.items.all()
        if item.required and not item.settled and not item.is_locked and item.kind not in (Kind.COMPUTED, Kind.DECISION)
    ]
    return Entry(release, now, tuple(found))


def _words(row: Entry) -> tuple[str, str]:
    release, status = row.release, row.release.status
    if release.open_hold:
        return "hold", "On hold"
    if status == Status.ROLLING_BACK and row.rollback:
        steps = list(row.rollback.steps.all())
        step = row.rollback.current_step
        return "rolling_back", f"Rolling back, step {step.position if step else len(steps)} of {len(steps)}"
    if status == Status.POLLING:
        seats = list(release.seats.all())
        return "polling", f"Go/No-Go, {len(seats) - len(row.unanswered)} of {len(seats)} answered"
    if status == Status.CLEARED:
        return _cleared(row)
    if status == Status.NO_GO:
        return "no_go", "NO-GO, not rescheduled"
    if status == Status.DEPLOYING:
        return "deploying", _watching(row) or "Deploying"
    if status == Status.PREPARING:
        return _preparing(row)
    if status == Status.DEPLOYED and row.late:
        return "late", f"Deployed, {len(row.late)} late"
    return ("" if status == Status.DEPLOYED else status), release.state.label


def _cleared(row: Entry) -> tuple[str, str]:
    if row.now > row.release.window_end:
        return "late", "GO lapsed with its window"
    return ("now", "GO, window is open") if row.now >= row.release.t_zero else ("go", "GO")


def _watching(row: Entry) -> str:
    for _, item in row.open_items:
        watch = item.running_watch()
        if watch:
            minutes = int((row.now - watch.started_at).total_seconds() // 60)
            return f"Watching, {minutes} min"
    return ""


def _preparing(row: Entry) -> tuple[str, str]:
    if row.now >= row.release.t_zero:
        return "late", "T-0 has passed undecided"
    name = row.phase.phase.name if row.phase else ""
    if row.blocked:
        return "blocked", f"{name or 'Early'}, {len(row.blocked)} blocked"
    if row.late:
        return "late", f"{name}, {len(row.late)} late"
    if name:
        return "", name
    return "", ""


# What needs the reader


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


def asks(entries: Iterable[Entry], user: User) -> list[Ask]:
    """What needs `user`, the most urgent first: rollbacks, polls, blocked and late items, decisions to make."""
    found = [ask for row in entries if not row.release.is_final for ask in _asks(row, user)]
    order = {"rolling_back": 0, "polling": 1, "now": 2, "blocked": 3, "late": 4, "no_go": 5, "risk": 6}
    return sorted(found, key=lambda ask: (order.get(ask.state, 9), ask.release.t_zero))


def _asks(row: Entry, user: User) -> list[Ask]:
    release = row.release
    held = roles_held(user, release)
    if not held:
        return []
    leads = release.coordinator_id == user.pk
    found = []
    base = release.get_absolute_url()
    if row.rollback:
        step = row.rollback.current_step
        note = f"Seen: {row.rollback.seen[:120]}. Now: {step.title if step else 'finish it'}"
        found.append(
            Ask(
                "rolling_back",
                f"{release.title} is rolling back",
                note,
                f"{base}rollback/",
                "Open rollback",
                release,
                primary=True,
            )
        )
    found += _poll_asks(row, held, leads, base)
    found += _item_asks(row, held, leads, base)
    if leads:
        found += _lead_asks(row, base)
    return found


def _poll_asks(row: Entry, held: frozenset[str], leads: bool, base: str) -> list[Ask]:
    release = row.release
    mine = [seat for seat in row.unanswered if seat.role.slug in held]
    if mine:
        roles = " and ".join(seat.role.name for seat in mine)
        return [
            Ask(
                "polling",
                f"{release.title} waits for your GO or NO-GO",
                f"As {roles}",
                f"{base}decision/",
                "Answer the poll",
                release,
                primary=True,
            )
        ]
    required = [seat for seat in row.unanswered if seat.required]
    if row.poll and leads and not required:
        return [
            Ask(
                "polling",
                f"{release.title}: every required seat has answered",
                "The decision is yours",
                f"{base}decision/",
                "Record the decision",
                release,
                primary=True,
            )
        ]
    return []


def _item_asks(row: Entry, held: frozenset[str], leads: bool, base: str) -> list[Ask]:
    release, found = row.release, []
    mine = [item for item in row.late if _is_mine(item, held, leads)]
    if mine:
        note = ", ".join(item.title for item in mine[:3]) + (f" and {len(mine) - 3} more" if len(mine) > 3 else "")
        found.append(
            Ask(
                "late",
                f"{release.title}: {_count(len(mine))} of yours late",
                note,
                f"{base}#{mine[0].anchor}",
                "See items",
                release,
            )
        )
    if leads and row.blocked:
        who = ", ".join(sorted({p.name for item in row.blocked for p in holders(release, item.role)}))
        found.append(
            Ask(
                "blocked",
                f"{release.title}: {_count(len(row.blocked))} blocked",
                who,
                f"{base}#{row.blocked[0].anchor}",
                "See items",
                release,
            )
        )
    others = [item for item in row.late if item not in mine]
    if leads and others:
        who = ", ".join(sorted({p.name for item in others for p in holders(release, item.role)}))
        found.append(Ask("late", f"{release.title}: {_count(len(others))} late", who, base, "See items", release))
    return found


def _is_mine(item: Item, held: frozenset[str], leads: bool) -> bool:
    return item.role.slug in held if item.role else leads


def _count(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"


def _lead_asks(row: Entry, base: str) -> list[Ask]:
    release = row.release
    if release.status == Status.NO_GO:
        return [
            Ask(
                "no_go",
                f"{release.title} is NO-GO and not rescheduled",
                "Set a new T-0, or cancel it",
                f"{base}schedule/",
                "Reschedule",
                release,
            )
        ]
    if release.status == Status.CLEARED and row.now >= release.t_zero:
        late = row.now > release.window_end
        words = "Its window has ended and the GO with it" if late else "Its window is open"
        return [
            Ask(
                "late" if late else "now",
                f"{release.title} has its GO and is not started",
                words,
                base,
                "Open release",
                release,
                primary=not late,
            )
        ]
    if release.status == Status.PREPARING and release.t_zero - timedelta(hours=1) <= row.now:
        return [
            Ask(
                "late",
                f"{release.title} is undecided",
                "T-0 is less than an hour away or past",
                f"{base}decision/",
                "Open the room",
                release,
            )
        ]
    if release.open_hold:
        return [
            Ask("risk", f"{release.title} is on hold", release.open_hold.reason[:160], base, "Open release", release)
        ]
    return []


# Conflicts of window and people


@dataclass(frozen=True)
class Conflict:
    first: Release
    second: Release
    sentence: str


def conflicts(releases: Sequence[Release]) -> list[Conflict]:
    """Pairs of releases still to go out whose windows overlap or share their on-call on a day."""
    coming = [r for r in releases if r.status not in FINAL and r.status not in (Status.DEPLOYED, Status.NO_GO)]
    coming.sort(key=lambda release: release.t_zero)
    found = []
    for index, first in enumerate(coming):
        for second in coming[index + 1 :]:
            if second.t_zero - first.t_zero > timedelta(days=2):
                break
            sentence = _clash(first, second)
            if sentence:
                found.append(Conflict(first, second, sentence))
    return found


def _clash(first: Release, second: Release) -> str:
    overlap = first.t_zero < second.window_end and second.t_zero < first.window_end
    if overlap and first.product_id == second.product_id:
        return f"Both windows are of {first.product}, and overlap"
    shared = _people(first, ON_CALL) & _people(second, ON_CALL)
    same_day = first.t_zero.astimezone(first.zone).date() == second.t_zero.astimezone(first.zone).date()
    if shared and (overlap or same_day):
        names = ", ".join(sorted(person.name for person in shared))
        return f"{names} is on call for both{' at the same time' if overlap else ' that day'}"
    both = _people(first) & _people(second)
    if overlap and both:
        names = ", ".join(sorted(person.name for person in both)[:4])
        return f"The windows overlap and share {names}"
    return ""


def _people(release: Release, role: str = "") -> set[User]:
    return {row.user for row in release.assignments.all() if not role or row.role.slug == role}
