"""Who held which role, and from when to when: read from the history and from those who hold one now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from releases.models import COORDINATOR, Release
from releases.record.values import EventRecord, HoldingRecord, Person

if TYPE_CHECKING:
    from relcoord.models import User

_Open = dict[tuple[str, int], tuple[Person, datetime, str]]  # role slug and person -> who, since, how


def over_time(
    release: Release, events: Iterable[EventRecord], named: Callable[[User], Person]
) -> tuple[HoldingRecord, ...]:
    """Return every holding of `release`, by role and then by time."""
    past = _Past(release.created_at, {row.role.slug: row.role.name for row in release.assignments.all()})
    for event in events:
        with suppress(
            KeyError, TypeError, ValueError, AttributeError
        ):  # tampered with: the audit is to name it, not this
            past.take(event)
    for row in release.assignments.all():
        person, since, how = past.open.pop((row.role.slug, row.user_id), (named(row.user), row.at, ""))
        past.add(row.role.slug, person, since, None, how)
    return tuple(sorted(past.done, key=lambda held: (held.role.casefold(), held.since, held.person.name)))


class _Past:
    def __init__(self, born: datetime, roles: dict[str, str]) -> None:
        self.born = born
        self.roles = roles
        self.open: _Open = {}
        self.done: list[HoldingRecord] = []

    def take(self, event: EventRecord) -> None:
        if event.action == "role.assigned":
            slug = self._role(event.after, event)
            self.open[slug, int(event.object_id)] = self._person(event), event.at, f"given by {event.actor}"
        elif event.action == "role.unassigned":
            self._end(self._role(event.before, event), self._person(event), event.at)
        elif event.action == "release.created":
            self._coordinator(event.data["coordinator"], event.at, "")
        elif event.action in ("coordinator.transferred", "coordinator.taken_over"):
            how = "taken over" if event.action == "coordinator.taken_over" else "handed over"
            former = event.before["coordinator"]
            self._end(COORDINATOR, Person(former["id"], former["name"]), event.at)
            self._coordinator(event.after["coordinator"], event.at, how)

    def add(self, slug: str, person: Person, since: datetime, until: datetime | None, how: str) -> None:
        self.done.append(HoldingRecord(self.roles.get(slug, slug), person, since, until, how))

    def _role(self, change: dict[str, Any], event: EventRecord) -> str:
        slug: str = change["role"]
        self.roles.setdefault(slug, event.data.get("role_name", slug))
        return slug

    def _person(self, event: EventRecord) -> Person:
        return Person(int(event.object_id), event.object_name)

    def _coordinator(self, who: dict[str, Any], at: datetime, how: str) -> None:
        self.open[COORDINATOR, who["id"]] = Person(who["id"], who["name"]), at, how

    def _end(self, slug: str, person: Person, at: datetime) -> None:
        """A holding that nothing in the history began was there from the beginning."""
        known, since, how = self.open.pop((slug, person.id), (person, self.born, ""))
        self.add(slug, known, since, at, how)
