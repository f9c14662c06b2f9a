"""What changed on the pages of a release since a token: by events, and by moments that passed without anybody's click.

A token is `<event sequence>.<milliseconds>`: the history the page has seen, and when it was drawn. Regions are named
as the pages name them: `item-17`, `phase-2`, `head`, `gate`, `rail`, `people`, `activity`, `notes`, `poll`,
`actions`, `rollback`, `reminders`, and `list` for every phase with its rows. Read only; pages fetch the regions
through their own, authorised views.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.cache import cache
from django.db.models import prefetch_related_objects
from django.urls import reverse

from releases.models import Event, Item, PhaseMoments, Release, Revision, Status, Watch

SOON = timedelta(hours=4)  # the longest time before its due moment that an item is called due soon
KEEP = 3600  # seconds the moments of one event sequence are kept
MANY = 8  # rows changed at once from which the whole list is fetched

EVERYWHERE = frozenset({"head", "gate", "rail", "activity"})
ALL = EVERYWHERE | {"list", "people", "notes", "poll", "actions", "rollback", "reminders"}

Turns = list[tuple[datetime, frozenset[str]]]  # moments in order, each with the regions that turn at it


@dataclass(frozen=True)
class Token:
    sequence: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.sequence}.{int(self.at.timestamp() * 1000)}"

    @classmethod
    def read(cls, text: str) -> Token | None:
        """The token `text` holds; None for anything else."""
        sequence, _, at = text.partition(".")
        if not (sequence.isdecimal() and at.isdecimal() and len(sequence) < 10 and len(at) < 14):
            return None
        return cls(int(sequence), datetime.fromtimestamp(int(at) / 1000, UTC))


def token(release: Release, now: datetime) -> Token:
    """What a page of `release` drawn at `now` has seen."""
    return Token(release.event_sequence, now)


def url(release: Release, now: datetime) -> str:
    """The address such a page polls."""
    return f"{reverse('releases:live', args=[release.key])}?token={token(release, now)}"


def soon_at(planned: PhaseMoments, item: Item) -> datetime | None:
    """When `item` begins to be due soon: four hours before it is due, or in the last quarter of a short phase."""
    due = planned.due_of(item)
    if due is None:
        return None
    if planned.opens_at is None or planned.opens_at >= due:
        return due - SOON
    return due - min(SOON, (due - planned.opens_at) / 4)


def turns(release: Release) -> Turns:
    """The moments at which something on the pages turns by itself.

    They follow from rows alone that change only with an event, so they are kept by the event sequence.
    """
    sequence, known = release.__dict__.get("_turns", (None, None))
    if sequence != release.event_sequence:
        known = _found_turns(release)
        release.__dict__["_turns"] = release.event_sequence, known
    return known


def _found_turns(release: Release) -> Turns:
    known = None if "_recorded" in release.__dict__ else _kept(release)  # nobody has kept what is new
    if known is None:
        prefetch_related_objects([release], "phases__items")
        known = sorted(_turns(release), key=lambda entry: entry[0])
        cache.set(_place(release), known, KEEP)
    return known


def _place(release: Release | Revision) -> str:
    return f"turns:{release.pk}:{release.event_sequence}"


def _kept(release: Release | Revision) -> Turns | None:
    known: Turns | None = cache.get(_place(release))
    return known


def next_turn(release: Release, now: datetime) -> datetime | None:
    """The next moment at which something on the pages turns by itself."""
    return _next(turns(release), now)


def _next(rows: Turns, now: datetime) -> datetime | None:
    return next((moment for moment, _ in rows if moment > now), None)


@dataclass(frozen=True)
class Quiet:
    """Nothing has changed since a token, and the next moment at which something will."""

    until: datetime | None


def quiet(release: Revision, since: Token | None, now: datetime) -> Quiet | None:
    """Has nothing changed after `since`? None when something has, or when that takes the whole release to say."""
    if since is None or since.sequence != release.event_sequence or _of_another_time(since, now):
        return None
    known = _kept(release)
    return None if known is None or _between(known, since.at, now) else Quiet(_next(known, now))


def _of_another_time(since: Token, now: datetime) -> bool:
    return since.at > now + timedelta(minutes=1)


def _turns(release: Release) -> Iterable[tuple[datetime, frozenset[str]]]:
    yield release.t_zero, EVERYWHERE | {"list"}
    yield release.window_end, EVERYWHERE | {"list"}
    for planned in release.plan:
        if planned.opens_at:
            yield planned.opens_at, EVERYWHERE | {"list"}
        for item in planned.phase.items.all():
            for moment in (soon_at(planned, item), planned.due_of(item)):
                if moment is not None and not item.settled:
                    yield moment, EVERYWHERE | {item.anchor, "people"}
    if release.status in (Status.DEPLOYING, Status.DEPLOYED):
        for watch in Watch.objects.filter(item__phase__release=release, ended_at=None).select_related("item"):
            for moment in (watch.may_end_at, watch.asks_at):
                yield moment, frozenset({watch.item.anchor})


def _between(rows: Turns, since: datetime, now: datetime) -> Turns:
    def at(entry: tuple[datetime, frozenset[str]]) -> datetime:
        return entry[0]

    return rows[bisect_right(rows, since, key=at) : bisect_right(rows, now, key=at)]


def changed(release: Release, since: Token | None, now: datetime, latest: Sequence[Event] = ()) -> list[str]:
    """The regions that changed after `since`, sorted; all of them when it is unknown or of another time.

    `latest` may be the newest events, if the caller has them: they are read here when they do not reach back enough.
    """
    if since is None or since.sequence > release.event_sequence or _of_another_time(since, now):
        return sorted(ALL)
    regions: set[str] = set()
    if since.sequence < release.event_sequence:
        for event in _events(release, since.sequence, latest):
            regions |= _of(event)
    for _, turned in _between(turns(release), since.at, now):
        regions |= turned
    return _fewest(release, regions)


def _events(release: Release, after: int, latest: Sequence[Event]) -> Iterable[Event]:
    if latest and min(event.sequence for event in latest) <= after + 1:
        return [event for event in latest if event.sequence > after]
    found = Event.objects.filter(release=release, sequence__gt=after)
    return found.only("action", "object_type", "object_id", "after")


LISTED = ("item.added", "item.moved")  # what changes the order or number of rows
OF_WORD: dict[str, frozenset[str]] = {
    "release.edited": frozenset({"head", "notes", "activity"}),
    "release.noted": frozenset({"notes", "activity"}),
    "poll": EVERYWHERE | {"poll"},
    "ballot": EVERYWHERE | {"poll"},
    "action": EVERYWHERE | {"poll", "actions"},
    "override": EVERYWHERE | {"poll"},
    "decision": EVERYWHERE | {"poll"},
    "rollback": EVERYWHERE | {"rollback"},
    "reminder": frozenset({"activity", "reminders"}),
}


def _of(event: Event) -> frozenset[str]:
    """The regions one event changes; an unknown word changes everything."""
    if event.action in LISTED or "status" in event.after or "schedule_version" in event.after:
        return ALL
    if event.object_type == "item":
        return EVERYWHERE | {f"item-{event.object_id}", "people"}
    known = OF_WORD.get(event.action) or OF_WORD.get(event.action.split(".")[0])
    return known if known is not None else ALL


def _fewest(release: Release, regions: set[str]) -> list[str]:
    """Name the phases of changed rows, or one list instead of many rows."""
    rows = {name for name in regions if name.startswith("item-")}
    if "list" in regions or len(rows) > MANY:
        return sorted({name for name in regions if not name.startswith(("item-", "phase"))} | {"list"})
    if rows:
        prefetch_related_objects([release], "phases__items")
        for planned in release.plan:
            if rows & {item.anchor for item in planned.phase.items.all()}:
                regions.add(planned.phase.anchor)
    return sorted(regions)
