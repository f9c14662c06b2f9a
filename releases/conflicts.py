"""Releases that get in each other's way: windows that overlap, an on-call needed twice on a day. Pure, read only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from releases.models import ON_CALL, Release, Status

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
    everybody = {a.user_id: a.user.name for row in coming for a in row.assignments.all()}
    on = [frozenset(a.user_id for a in row.assignments.all()) for row in coming]
    on_call = [frozenset(a.user_id for a in row.assignments.all() if a.role.slug == ON_CALL) for row in coming]
    found = []
    for index, first in enumerate(coming):
        for other, second in enumerate(coming[index + 1 :], index + 1):
            if second.t_zero - first.t_zero > NEAR:
                break
            sentence = _clash(first, second, on[index] & on[other], on_call[index] & on_call[other], everybody)
            if sentence:
                found.append(Conflict(first, second, sentence))
    return found


def _clash(
    first: Release, second: Release, both: frozenset[int], shared: frozenset[int], everybody: dict[int, str]
) -> str:
    """`both` are the people on both, `shared` those of them who are on call for both, `everybody` their names."""
    overlap = first.t_zero < second.window_end and second.t_zero < first.window_end
    if overlap and first.product_id == second.product_id:
        return f"both windows are of {first.product}, and overlap"
    if shared and (overlap or _same_day(first, second)):
        are = "is" if len(shared) == 1 else "are"
        when = "at the same time" if overlap else "on the same day"
        return f"{_names(everybody[pk] for pk in shared)} {are} on call for both {when}"
    if overlap and both:
        return f"the windows overlap and share {_names(everybody[pk] for pk in both)}"
    return ""


def _same_day(first: Release, second: Release) -> bool:
    """Do both begin on one calendar day of the first's zone?"""
    return first.t_zero.astimezone(first.zone).date() == second.t_zero.astimezone(first.zone).date()


def _names(people: Iterable[str]) -> str:
    names = sorted(people)
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join(names) if len(names) < 3 else f"{names[0]}, {names[1]} and {names[2]}"
