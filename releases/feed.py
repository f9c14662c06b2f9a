"""A person's own calendar at an address nobody can guess, for the program that subscribes to it.

The address is the right: whoever has it reads what its person may see, and no more. Its token is 256 random bits,
shown once and kept as a hash alone; a new one ends the old at once.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.utils import timezone

from relcoord.models import User
from releases import ical, permissions
from releases.models import ActionItem, Assignment, CalendarFeed, Delegation, Event, Hold, Item, Release, Seat

KEPT = timedelta(days=90)  # how long a release stays in the feed after its window
MOST = 200  # releases in one feed, the latest first


@transaction.atomic
def reset(person: User) -> str:
    """Give `person` a new address; the one before is over. Returns its token, which nothing here keeps."""
    User.objects.select_for_update().get(pk=person.pk)
    token = secrets.token_urlsafe(32)
    made = {"token_hash": _hashed(token), "made_at": timezone.now()}
    CalendarFeed.objects.update_or_create(user=person, defaults=made)
    return token


def made_at(person: User) -> datetime | None:
    """When the address of `person` was made; None before the first."""
    return CalendarFeed.objects.filter(user=person.pk).values_list("made_at", flat=True).first()


def person_of(token: str) -> User | None:
    """Whose address holds `token`; None when nobody's does, or theirs is a closed account."""
    found = CalendarFeed.objects.select_related("user").filter(token_hash=_hashed(token), user__is_active=True).first()
    return found.user if found else None


def _hashed(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()


def text(person: User, now: datetime) -> str:
    """What `person` is asked and when, of every release they are on: the same text until one of them changes."""
    moments = [
        (moment, release.changed_at or release.created_at)  # type: ignore[attr-defined]
        for release in _releases(person, now)
        for moment in (*ical.on_plan(release, person, now), *ical.due(release, person, now))
    ]
    moments.sort(key=lambda entry: (entry[0].starts_at, entry[0].uid))
    return ical.subscription(f"Releases of {person.name}", moments)


def _releases(person: User, now: datetime) -> list[Release]:
    """With all that a calendar reads of them, in the same number of queries however many they are."""
    newest = Event.objects.filter(release=OuterRef("pk")).order_by("-sequence").values("at")[:1]
    rows: list[Release] = list(
        _of(person, now)
        .annotate(changed_at=Subquery(newest))
        .select_related("coordinator")
        .defer("notes")
        .prefetch_related(
            Prefetch("holds", Hold.objects.filter(ended_at=None)),
            Prefetch("phases__items", Item.objects.unsettled().defer("guidance").select_related("role")),
            Prefetch("assignments", Assignment.objects.select_related("user", "role")),
            Prefetch("seats", Seat.objects.select_related("role")),
            Prefetch("action_items", ActionItem.objects.filter(state=ActionItem.State.OPEN).select_related("owner")),
        )
        .order_by("-t_zero", "key")[:MOST]
    )
    permissions.load_absences(rows, now)
    return rows


def _of(person: User, now: datetime) -> QuerySet[Release]:
    """Releases `person` may see and holds a role or an open action item in, or stands in on some day to come."""
    yesterday = (now - timedelta(days=1)).date()  # today, somewhere on earth
    absent = Delegation.objects.filter(deputy=person.pk, ends_on__gte=yesterday).values("user")
    held = Assignment.objects.filter(Q(user=person.pk) | Q(user__in=absent), release=OuterRef("pk"))
    owned = ActionItem.objects.filter(owner=person.pk, state=ActionItem.State.OPEN, release=OuterRef("pk"))
    seen = Release.objects.visible_to(person).filter(window_end__gte=now - KEPT)
    return seen.filter(Exists(held) | Exists(owned))
