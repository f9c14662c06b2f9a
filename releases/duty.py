"""Who gets the mail meant for a person: on the days of an absence it is the deputy. Read only.

A deputy who is away too, or has no account any more, stands in for nobody; where no deputy is left the mail stays with
the absent person, because a mail too many is better than nobody told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from releases import permissions
from releases.models import Delegation, Release

if TYPE_CHECKING:
    from relcoord.models import User


def on_duty(release: Release, people: Iterable[User], now: datetime | None = None) -> list[User]:
    """`people`, each once, with those who are away on the day of `now` replaced by who stands in for them."""
    deputies: dict[int, list[User]] = {}
    for row in _in_force(release, now):
        deputies.setdefault(row.user_id, []).append(row.deputy)
    found = {one.pk: one for person in people for one in deputies.get(person.pk, [person])}
    return [person for person in found.values() if person.is_active]


def stand_ins(release: Release, person: User, now: datetime | None = None) -> list[User]:
    """The deputies who get what is meant for `person` on the day of `now`; nobody while they get it themselves."""
    return list({row.deputy_id: row.deputy for row in _in_force(release, now) if row.user_id == person.pk}.values())


def stands_in_for(release: Release, deputy: User, now: datetime | None = None) -> list[User]:
    """For whom `deputy` gets the mail on the day of `now`."""
    return list({row.user_id: row.user for row in _in_force(release, now) if row.deputy_id == deputy.pk}.values())


def _in_force(release: Release, now: datetime | None) -> list[Delegation]:
    away = permissions.absences(release, now)
    absent = {row.user_id for row in away}
    return [row for row in away if row.deputy.is_active and row.deputy_id not in absent]
