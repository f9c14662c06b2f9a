"""Overdue required items: told to who must settle them, then to deputy and coordinator (DOMAIN: "late items escalate").

Like the marks this is a query, not a queue: what is owed follows from the items, the clock and what the ledger has
told already. A row tells one person of all their items of one stage; of the same item a person hears once a stage,
until it is opened again or the release moves. A stopped clock makes nothing overdue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from django.db.models import Prefetch, Q, prefetch_related_objects

from checklists.blueprints import Kind
from checklists.tminus import Offset, due_at
from releases import duty, readiness
from releases.models import SETTLED, Item, PhaseMoments, Release, Reminder, State, Status, holders
from releases.reminders import A_DAY, Refusal

if TYPE_CHECKING:
    from relcoord.models import User

FIRST, SECOND = "overdue", "still overdue"
RUNNING = (Status.PREPARING, Status.POLLING, Status.CLEARED, Status.DEPLOYING, Status.DEPLOYED)
PATIENCE = timedelta(hours=4)  # between the stages
SHORT = timedelta(hours=1)  # the same from T-4h, or the start, on
NEAR = Offset.parse("T-4h")
STATE = Reminder.State

Late = tuple[PhaseMoments, Item]


@dataclass
class Told:
    """What the ledger holds of one release's escalations, in the schedule as it is."""

    whom: dict[tuple[str, int, int], datetime] = field(default_factory=dict)  # (stage, person, item): when last
    items: dict[tuple[str, int], list[datetime]] = field(default_factory=dict)  # (stage, item): each time

    def note(self, stage: str, person: int, item: int, at: datetime) -> None:
        known = self.whom.get((stage, person, item), at)
        self.whom[stage, person, item] = max(at, known)
        self.items.setdefault((stage, item), []).append(at)

    def knows(self, stage: str, person: User, item: Item) -> bool:
        """Was `person` told of `item` at this stage since it was last opened?"""
        at = self.whom.get((stage, person.pk, item.pk))
        return at is not None and at >= (reopened_at(item) or at)

    def first_at(self, item: Item) -> datetime | None:
        """When somebody was first told of `item` since it was last opened."""
        opened = reopened_at(item)
        return min((at for at in self.items.get((FIRST, item.pk), []) if not opened or at >= opened), default=None)


def reopened_at(item: Item) -> datetime | None:
    """When `item` was opened again, if it ever was."""
    return item.state_at if item.state == State.OPEN else None


# What is owed


def with_moments_of_their_own(releases: list[Release]) -> set[int]:
    """Those of `releases`, by id, in which an item that is not settled has its own due moment."""
    items = Item.objects.filter(phase__release__in=[release.pk for release in releases]).exclude(due="")
    return set(items.unsettled().values_list("phase__release", flat=True))


def may_owe(release: Release, now: datetime) -> bool:
    """May something be overdue here, as far as the phases tell? Items are read in no other release."""
    due = (moments.due_at for moments in release.plan)
    return _runs(release) and any(moment < now for moment in due if moment)


def _runs(release: Release) -> bool:
    return release.status in RUNNING and not release.clock_stopped


def load(releases: list[Release]) -> None:
    """Read what `owed` looks at: the required items that are not settled."""
    items = Item.objects.filter(required=True).exclude(state__in=SETTLED).select_related("role")
    prefetch_related_objects(releases, Prefetch("phases__items", items))


def owed(release: Release, now: datetime, told: Told) -> Iterator[Reminder]:
    """The rows that `release`, once loaded, still lacks: one a person and stage."""
    if not _runs(release):
        return
    overdue = late(release, now)
    yield from _rows(release, FIRST, overdue, now, told)
    yield from _rows(release, SECOND, [one for one in overdue if _waited(release, one[1], now, told)], now, told)


def late(release: Release, now: datetime) -> list[Late]:
    """The required items of people that are past their due moment."""
    items = ((moments, item) for moments in release.plan for item in moments.phase.items.all())
    mine = ((m, item) for m, item in items if item.required and item.kind not in (Kind.COMPUTED, Kind.DECISION))
    return [(moments, item) for moments, item in mine if moments.is_late(item, now)]


def _waited(release: Release, item: Item, now: datetime, told: Told) -> bool:
    """Has the holder had their time? It runs from the first mail, and anew when the clock was stopped since."""
    first = told.first_at(item)
    if first is None:
        return False
    since = max([first, *(hold.ended_at for hold in release.holds.all() if hold.ended_at)])
    near = min(due_at(NEAR, release.t_zero, release.zone), release.started_at or release.t_zero)
    return now >= min(since + PATIENCE, max(since, near) + SHORT)


def audience(release: Release, item: Item, stage: str, now: datetime) -> list[User]:
    """Who hears of `item`: who must settle it (nobody holds its role: the coordinator); then deputy and coordinator."""
    held = holders(release, item.role)
    if stage == FIRST:
        return duty.on_duty(release, held, now) or duty.on_duty(release, [release.coordinator], now)
    deputies = [deputy for person in held for deputy in duty.stand_ins(release, person, now)]
    return duty.on_duty(release, [*deputies, release.coordinator], now)


def _rows(release: Release, stage: str, overdue: list[Late], now: datetime, told: Told) -> Iterator[Reminder]:
    people: dict[int, User] = {}
    theirs: dict[int, list[Item]] = {}
    for _, item in overdue:
        for person in audience(release, item, stage, now):
            people[person.pk] = person
            theirs.setdefault(person.pk, []).append(item)
    for pk, person in people.items():
        if new := [item for item in theirs[pk] if not told.knows(stage, person, item)]:
            yield _row(release, stage, person, new, now)


def _row(release: Release, stage: str, person: User, items: list[Item], now: datetime) -> Reminder:
    return Reminder(
        kind=Reminder.Kind.ESCALATION,
        release=release,
        recipient=person,
        about=_about(items),
        mark=stage,
        schedule_version=release.schedule_version,
        data={"items": sorted(item.pk for item in items)},
        due_at=now,
        not_after=now + A_DAY,
        created_at=now,
    )


def _about(items: list[Item]) -> str:
    """The same items, opened at the same times, are one subject: two drivers at once write one row."""
    words = ",".join(sorted(f"{item.pk}@{reopened_at(item) or ''}" for item in items))
    return f"items:{sha256(words.encode()).hexdigest()[:32]}"


# Looking again


def refusal(row: Reminder, release: Release, now: datetime) -> Refusal | None:
    """How this row ends unsent, None when it may go out."""
    if row.schedule_version != release.schedule_version:
        return STATE.SUPERSEDED, "the release moved"
    if release.status not in RUNNING:
        return STATE.SUPERSEDED, f"the release is {release.state.label.lower()}"
    readiness.load(release)
    if release.clock_stopped:
        return STATE.SUPERSEDED, "the clock is stopped"
    still = still_late(row, release, now)
    if not still:
        return STATE.SUPERSEDED, "settled in time"
    mine = for_reader(row, release, still, now)
    if not mine:
        return STATE.CANCELLED, "away, or holds the role no more"
    if row.mark == FIRST and (said := _mark_that_said_so(row, mine)):
        return STATE.SUPPRESSED, f"the {said} mail said so"
    return None


def still_late(row: Reminder, release: Release, now: datetime) -> list[Late]:
    """What is overdue still of the items `row` was planned for."""
    wanted = set(row.data["items"])
    return [(moments, item) for moments, item in late(release, now) if item.pk in wanted]


def for_reader(row: Reminder, release: Release, overdue: list[Late], now: datetime) -> list[Late]:
    """Those of `overdue` that the recipient of `row` is to hear of."""
    found = ((m, item, audience(release, item, row.mark, now)) for m, item in overdue)
    return [(moments, item) for moments, item, people in found if row.recipient_id in {one.pk for one in people}]


def _mark_that_said_so(row: Reminder, mine: list[Late]) -> str:
    """The T-reminder that went to the same person when all of `mine` were due already, and listed them; else ""."""
    since = [moment for m, item in mine for moment in (m.due_of(item), reopened_at(item)) if moment]
    marks = Reminder.objects.filter(kind=Reminder.Kind.MARK, release=row.release_id, recipient=row.recipient_id)
    marks = marks.filter(Q(state=STATE.SENDING) | Q(sent_at__gte=max(since)))
    return marks.order_by("-due_at").values_list("mark", flat=True).first() or ""
