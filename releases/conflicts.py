"""Releases that get in each other's way: windows that overlap, an on-call needed twice on a day. Pure, read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from releases.models import ON_CALL, Release, Status

if TYPE_CHECKING:
    from relcoord.models import User

COMING = (Status.PREPARING, Status.POLLING, Status.CLEARED, Status.DEPLOYING, Status.ROLLING_BACK)
NEAR = timedelta(days=15)  # windows last two weeks at most; nothing farther apart can meet


@dataclass(frozen=True)
class Conflict:
    first: Release
    second: Release
    sentence: str


def conflicts(releases: Sequence[Release]) -> list[Conflict]:
    """Pairs of releases in production or on their way there whose windows or people clash, the soonest first."""
    coming = sorted((row for row in releases if row.status in COMING), key=lambda row: row.t_zero)
    if not coming:
        return []
    people = {row.pk: {a.user_id: a.user for a in row.assignments.all()} for row in coming}
    on_call = {row.pk: {a.user_id for a in row.assignments.all() if a.role.slug == ON_CALL} for row in coming}
    found = []
    for index, first in enumerate(coming):
        for second in coming[index + 1 :]:
            if second.t_zero - first.t_zero > NEAR:
                break
            both = [person for pk, person in people[first.pk].items() if pk in people[second.pk]]
            shared = on_call[first.pk] & on_call[second.pk]
            sentence = _clash(first, second, both, [person for person in both if person.pk in shared])
            if sentence:
                found.append(Conflict(first, second, sentence))
    return found


def _clash(first: Release, second: Release, both: list[User], shared: list[User]) -> str:
    """`both` are the people on both, `shared` those of them who are on call for both."""
    overlap = first.t_zero < second.window_end and second.t_zero < first.window_end
    if overlap and first.product_id == second.product_id:
        return f"both windows are of {first.product}, and overlap"
    if shared and (overlap or _same_day(first, second)):
        are = "is" if len(shared) == 1 else "are"
        return f"{_names(shared)} {are} on call for both {'at the same time' if overlap else 'on the same day'}"
    if overlap and both:
        return f"the windows overlap and share {_names(both)}"
    return ""


def _same_day(first: Release, second: Release) -> bool:
    """Do both begin on one calendar day of the first's zone?"""
    return first.t_zero.astimezone(first.zone).date() == second.t_zero.astimezone(first.zone).date()


def _names(people: list[User]) -> str:
    names = sorted(person.name for person in people)
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join(names) if len(names) < 3 else f"{names[0]}, {names[1]} and {names[2]}"
