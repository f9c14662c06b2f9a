"""The moments of a release as calendar programs take them (RFC 5545, RFC 5546). Read only.

The same moment has the same UID for ever: in the mails, in the personal feed and in the file of a release. SEQUENCE is
the schedule version, so a reschedule replaces what is in people's calendars; DTSTAMP tells two states of one schedule
apart. Times are instants in UTC, which no clock change can move.

A stopped clock makes a moment TENTATIVE: nobody knows whether it will hold. A cancelled release is CANCELLED, with a
SEQUENCE of its own, because nothing comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse

from checklists.blueprints import Kind, Stage
from releases import permissions
from releases.models import BEFORE_START, COORDINATOR, ActionItem, Event, Item, PhaseMoments, Release, Status

if TYPE_CHECKING:
    import icalendar

    from relcoord.models import User

MEETING = timedelta(minutes=30)  # what the poll takes of a calendar; the answer may come until T-0
ASK_AGAIN = timedelta(hours=1)  # how often programs are asked to look at a feed; most look less often
NO_PERSONS = (Kind.COMPUTED, Kind.DECISION)  # kinds that ask nobody to settle them: they follow from others
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Moment:
    """One entry of a calendar. `name` tells it from the others of its release; without an end it is an instant."""

    release: Release
    name: str
    title: str
    starts_at: datetime
    ends_at: datetime | None
    path: str
    words: str

    @property
    def uid(self) -> str:
        """For ever the same. No host is in it, because a site may move; the moment of the row tells sites apart."""
        return f"{self.name}.release-{self.release.pk}.{int(self.release.created_at.timestamp() * 1e6)}@relcoord"

    def is_over(self, now: datetime) -> bool:
        return (self.ends_at or self.starts_at) <= now


# Which moments there are


def window(release: Release) -> Moment:
    """From T-0 to the end of the window, as planned."""
    title = f"{release.key} {release.title}: deployment window"
    path = release.get_absolute_url()
    return Moment(release, "window", title, release.t_zero, release.window_end, path, "T-0 and the window after it.")


def poll(release: Release) -> Moment | None:
    """When the decision phase opens (T-4h in the standard checklist): from then on everybody with a seat answers."""
    deciding = next((moments for moments in release.plan if moments.phase.stage == Stage.DECISION), None)
    if deciding is None or not deciding.phase.opens_offset or deciding.opens_at is None:
        return None
    title, path = f"{release.key} {release.title}: Go/No-Go", reverse("releases:decision", args=[release.key])
    ends = min(deciding.opens_at + MEETING, release.t_zero)
    words = "Each seat answers GO or NO-GO. The decision is due before T-0."
    return Moment(release, "poll", title, deciding.opens_at, ends, path, words)


def on_plan(release: Release, person: User, now: datetime) -> list[Moment]:
    """The window for whoever holds a role then, the poll for whoever has a seat in it; deputies on their days."""
    found = [window(release)] if permissions.roles_held(person, release, _then(window(release), now)) else []
    asked = poll(release)
    if asked is not None:
        roles = permissions.roles_held(person, release, _then(asked, now))
        found += [asked] if any(seat.role.slug in roles for seat in release.seats.all()) else []
    return found


def _then(moment: Moment, now: datetime) -> datetime:
    """On which day to ask who holds what: nobody's past absences are looked up."""
    return max(moment.starts_at, now)


def due(release: Release, person: User, now: datetime) -> Iterator[Moment]:
    """The moments by which something is asked of `person`: of each phase, of items with their own, of action items."""

    @cache
    def roles(at: datetime) -> frozenset[str]:
        return permissions.roles_held(person, release, max(at, now))

    for moments in release.plan:
        mine = [item for item in moments.phase.items.all() if _asks(item, moments, roles)]
        together = [item for item in mine if not item.due]
        if together and moments.due_at:
            yield _due(release, f"phase-{moments.phase.pk}", moments.due_at, together, moments.phase.name)
        for item in mine:
            at = moments.due_of(item)
            if item.due and at:
                yield _due(release, f"item-{item.pk}", at, [item], moments.phase.name)
    for row in release.action_items.all():
        if row.owner_id == person.pk and row.state == ActionItem.State.OPEN and release.status != Status.CANCELLED:
            path = reverse("releases:decision", args=[release.key])
            yield Moment(release, f"action-{row.pk}", f"{release.key}: {row.title} due", row.due_at, None, path, "")


def _asks(item: Item, moments: PhaseMoments, roles: Callable[[datetime], frozenset[str]]) -> bool:
    """Is `item` still to be settled by whoever holds `roles` at its due moment?"""
    due_at = moments.due_of(item)
    if due_at is None or item.settled or item.kind in NO_PERSONS:
        return False
    if item.is_locked and moments.phase.release.status not in BEFORE_START:
        return False  # its time is over
    return (item.role.slug if item.role else COORDINATOR) in roles(due_at)


def _due(release: Release, name: str, at: datetime, items: list[Item], phase: str) -> Moment:
    alone = len(items) == 1
    title = f"{release.key}: {items[0].title} due" if alone else f"{release.key} {phase}: {len(items)} items due"
    path = reverse("releases:item", args=[release.key, items[0].pk]) if alone else release.get_absolute_url()
    words = "" if alone else "\n".join(f"- {item.title}" for item in items)
    return Moment(release, name, title, at, None, path, words)


# As text


@dataclass(frozen=True)
class Letter:
    """An entry on its way to one person: what their calendar program is to do (iTIP), and the text it reads."""

    method: str
    name: str  # of the file
    text: str


def letter(moment: Moment, to: User, now: datetime) -> Letter:
    """Ask `to` to take `moment` into their calendar, or out of it when the release is cancelled."""
    method = "CANCEL" if moment.release.status == Status.CANCELLED else "REQUEST"
    entry = _entry(moment, now)
    entry.add("organizer", _organizer(), encode=False)
    entry.add("attendee", _attendee(to), encode=False)
    return Letter(method, f"{moment.name}.ics", _text([entry], method=method))


def file(release: Release, now: datetime) -> str:
    """The window and the poll of one release, to be taken once."""
    entries = [_entry(moment, changed_at(release) or now) for moment in (window(release), poll(release)) if moment]
    for entry in entries:
        entry.add("organizer", _organizer(), encode=False)
    return _text(entries, method="PUBLISH")


def subscription(name: str, moments: Iterable[tuple[Moment, datetime]]) -> str:
    """A calendar to subscribe to, of moments with the time each was last changed: the same text until one changes."""
    return _text([_entry(moment, at) for moment, at in moments], name=name)


def changed_at(release: Release) -> datetime | None:
    """When the last event of `release` was written."""
    newest = Event.objects.filter(release=release.pk).order_by("-sequence")
    return newest.values_list("at", flat=True).first()


def _text(entries: Iterable[icalendar.Event], *, method: str = "", name: str = "") -> str:
    from icalendar import Calendar, vDuration  # a fifth of a second, which not every start should take

    calendar = Calendar()
    calendar.add("prodid", "-//relcoord//releases//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    if method:
        calendar.add("method", method)
    if name:
        calendar.add("name", _clean(name))
        calendar.add("x-wr-calname", _clean(name))
        calendar.add("refresh-interval", vDuration(ASK_AGAIN), parameters={"VALUE": "DURATION"})
        calendar.add("x-published-ttl", vDuration(ASK_AGAIN))
    for entry in entries:
        calendar.add_component(entry)
    return calendar.to_ical().decode()


def _entry(moment: Moment, changed: datetime) -> icalendar.Event:
    from icalendar import Event as Entry

    release, entry = moment.release, Entry()
    cancelled = release.status == Status.CANCELLED
    entry.add("uid", moment.uid)
    entry.add("sequence", release.schedule_version + cancelled)
    entry.add("dtstamp", changed.astimezone(UTC).replace(microsecond=0))
    entry.add("dtstart", moment.starts_at.astimezone(UTC))
    if moment.ends_at:
        entry.add("dtend", moment.ends_at.astimezone(UTC))
    entry.add("summary", _clean(moment.title))
    entry.add("description", _clean("\n".join(_lines(moment))))
    entry.add("url", settings.SITE_URL + moment.path)
    entry.add("status", "CANCELLED" if cancelled else "TENTATIVE" if release.clock_stopped else "CONFIRMED")
    entry.add("transp", "OPAQUE" if moment.ends_at and not cancelled else "TRANSPARENT")
    entry.add("class", "CONFIDENTIAL" if release.restricted else "PUBLIC")
    return entry


def _lines(moment: Moment) -> Iterator[str]:
    release = moment.release
    if release.status == Status.CANCELLED:
        yield "The release is cancelled."
    elif release.open_hold:
        yield "The clock is on hold, so this may move."
    elif release.clock_stopped:
        yield "It is a NO-GO, so this may move."
    if moment.words:
        yield moment.words
    yield f"Coordinator: {release.coordinator.name}"
    yield settings.SITE_URL + moment.path


def _organizer() -> icalendar.vCalAddress:
    """The site: an organizer who changed with the coordinator could no longer move what the first one sent."""
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return _address(address, CN=name or "relcoord")


def _attendee(person: User) -> icalendar.vCalAddress:
    """An answer to the invitation is asked of nobody: the ballot is given in the room."""
    return _address(person.email, CN=person.name, ROLE="REQ-PARTICIPANT", PARTSTAT="NEEDS-ACTION", RSVP="FALSE")


def _address(mail: str, **parameters: str) -> icalendar.vCalAddress:
    from icalendar import vCalAddress

    address = vCalAddress(f"mailto:{mail}")
    for name, value in parameters.items():
        address.params[name] = " ".join(_clean(value).replace('"', "'").split())  # a parameter cannot hold a quote
    return address


def _clean(text: str) -> str:
    """`text` without what no calendar may hold; commas, semicolons and line breaks are escaped by the library."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
