"""What the mails share: times in the reader's zone, what is open for somebody, and the words around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from checklists.blueprints import Kind
from relcoord.lib import clock as ticking
from relcoord.models import User
from relcoord.templatetags.ui import zone_name
from releases import duty, permissions, readiness, reminders
from releases.models import COORDINATOR, ActionItem, Item, PhaseMoments, Release, Reminder, State, assignments_of


class NothingToSay(Exception):
    """The mail is not needed any more; the words say why, for the ledger."""


@dataclass
class Letter:
    """What a kind of mail adds to what all have in common."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    act: bool = True  # the reader must do something; else they should know
    reason: str = "owner"  # X-Relcoord-Reason: owner, voter, coordinator, watcher
    urgent: bool = False
    path: str = ""  # where the button leads; the release's page by default
    why: str = "you hold a role in this release"


def release_of(row: Reminder) -> Release:
    """The release of `row`, with what the mails read of it."""
    if row.release is None:
        raise NothingToSay("its release is gone")
    return readiness.load(row.release)


# Times


def zone_of(person: User) -> ZoneInfo:
    return ZoneInfo(person.time_zone or settings.TIME_ZONE)


def said(moment: datetime, person: User, *, with_utc: bool = True) -> str:
    """`Thu 26 Nov 14:00 CET (13:00 UTC)`, in the reader's zone; the day is said again where UTC has another one."""
    here, there = moment.astimezone(zone_of(person)), moment.astimezone(UTC)
    words = f"{here:%a} {here.day} {here:%b %H:%M} {zone_name(here)}"
    if not with_utc or not here.utcoffset():
        return words
    day = "" if here.date() == there.date() else f"{there:%a} "
    return f"{words} ({day}{there:%H:%M} UTC)"


def short(moment: datetime, person: User, now: datetime) -> str:
    """`14:00` today, `Thu 14:00` within six days, `26 Nov 14:00` beyond; for subjects and lists."""
    here = moment.astimezone(zone_of(person))
    away = abs((here.date() - now.astimezone(zone_of(person)).date()).days)
    if away == 0:
        return f"{here:%H:%M}"
    return f"{here:%a %H:%M}" if away < 7 else f"{here.day} {here:%b %H:%M}"


def duration(length: timedelta) -> str:
    """`20 min`, `16 h`, `2 d`."""
    minutes = int(abs(length).total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def clock(release: Release, now: datetime) -> str:
    """Where the release stands in time, as its pages say it: `T-2d 04:15`, `T-04:00`, `on hold`, `NO-GO`."""
    if release.open_hold:
        return "on hold"
    if release.clock_stopped or release.started_at or release.is_final:
        return str(release.state.label)
    minutes = ceil((release.t_zero - now).total_seconds() / 60)
    return ticking.ascii_minus(ticking.t_zero(minutes * 60))


# Addresses


def page(name: str, *args: Any) -> str:
    """The path of a page; mails put the site before it."""
    return reverse(f"releases:{name}", args=args)


def url(path: str) -> str:
    return str(settings.SITE_URL) + path


# What is open


@dataclass(frozen=True)
class Line:
    """One open thing as a mail lists it; `due_at` None where it has no moment."""

    title: str
    place: str
    due_at: datetime | None
    when: str
    notes: tuple[str, ...]
    url: str
    late: bool = False


def is_open(item: Item, moments: PhaseMoments, now: datetime) -> bool:
    """Does `item` wait for a person now: its phase has opened, or it is late, and nobody has settled it?"""
    if item.settled or item.is_locked or item.kind in (Kind.COMPUTED, Kind.DECISION):
        return False
    return moments.has_opened(now) or moments.is_late(item, now)


def lines(release: Release, person: User, now: datetime) -> list[Line]:
    """What is open for `person`, late things first: items of their roles (and of those they deputize for), actions."""
    roles, away = permissions.roles_held(person, release, now), duty.stands_in_for(release, person, now)
    found = []
    for moments in release.plan:
        for item in moments.phase.items.all():
            mine = item.role.slug if item.role else COORDINATOR
            if mine in roles and is_open(item, moments, now):
                found.append(item_line(item, moments, person, now))
    owners = {person.pk, *(one.pk for one in away)}
    actions = [row for row in reminders.open_actions(release) if row.owner_id in owners]
    found += [_action_line(row, release, person, now) for row in actions]
    return sorted(found, key=lambda line: not line.late)


def item_line(item: Item, moments: PhaseMoments, person: User, now: datetime) -> Line:
    due, late = moments.due_of(item), moments.is_late(item, now)
    notes = [f"blocked: {item.state_reason}"] if item.state == State.BLOCKED else []
    notes += ["needs evidence"] if item.evidence_wanted else []
    notes += [item.condition] if item.condition else []
    notes += [] if item.required else ["optional"]
    path = page("item", release_key(item), item.pk)
    return Line(item.title, moments.phase.name, due, _when(due, late, person, now), tuple(notes), url(path), late)


def release_key(item: Item) -> str:
    return item.phase.release.key


def _action_line(row: ActionItem, release: Release, person: User, now: datetime) -> Line:
    late = row.due_at < now
    notes = [] if row.blocks == ActionItem.Blocks.NOTHING else [f"blocks {row.get_blocks_display()}"]
    notes += [f"owned by {row.owner.name}"] if row.owner_id != person.pk else []
    words = _when(row.due_at, late, person, now)
    return Line(row.title, "Action item", row.due_at, words, tuple(notes), url(page("decision", release.key)), late)


def _when(due: datetime | None, late: bool, person: User, now: datetime) -> str:
    if due is None:
        return ""
    if late:
        return f"late {duration(now - due)}" if now - due >= timedelta(minutes=1) else "due now"
    return f"due {short(due, person, now)}"


# Names


def listed(names: list[str], most: int = 3) -> str:
    """`Ben`, `Ben and Gus`, `Ben, Gus and 2 more`."""
    if len(names) > most:
        return ", ".join(names[: most - 1]) + f" and {len(names) - most + 1} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def roles_words(release: Release, person: User, now: datetime | None = None) -> str:
    """`QA Lead and Developers`; what somebody stands in for is said so: `QA Lead for Ben Osei`."""
    names = [row.role.name for row in assignments_of(release) if row.user_id == person.pk]
    for absent in duty.stands_in_for(release, person, now):
        roles = [row.role.name for row in assignments_of(release) if row.user_id == absent.pk]
        names += [f"{role} for {absent.name}" for role in roles]
    return listed(names, most=9) or "a role here for somebody absent"


def standing_in(release: Release, person: User, now: datetime) -> dict[str, Any]:
    """What a mail says to a deputy: for whom they stand in, and whether for the coordinator, whose verbs they lack."""
    away = duty.stands_in_for(release, person, now)
    leads = any(one.pk == release.coordinator_id for one in away)
    return {"stands_in": listed([one.name for one in away], most=9), "for_coordinator": leads}


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
