"""How the last releases went, for the dashboard's strip. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from django.db.models import Exists, F, OuterRef, QuerySet
from django.urls import reverse

from releases.models import Call, Decision, Override, Release, Rollback, Status

DOTS = 12  # releases of the strip


@dataclass(frozen=True)
class Dot:
    """One release that ended: its shape and its words."""

    url: str
    state: str
    words: str


@dataclass(frozen=True)
class History:
    dots: tuple[Dot, ...]  # the oldest first
    first_go: int  # got their GO in the first poll
    rolled_back: int
    moved: int  # were rescheduled
    lead: float | None  # median seconds from plan to end

    @property
    def total(self) -> int:
        return len(self.dots)


def history(visible: QuerySet[Release]) -> History | None:
    """The last twelve of `visible` that went out or were rolled back; None before the first. One query."""
    of_it = {"release": OuterRef("pk")}
    rows = (
        visible.filter(status__in=[Status.CLOSED, Status.ROLLED_BACK])
        .annotate(
            first_go=Exists(Decision.objects.filter(**of_it, poll__round=1).exclude(call=Call.NO_GO)),
            refused=Exists(Decision.objects.filter(**of_it, call=Call.NO_GO)),
            overridden=Exists(Override.objects.filter(**of_it)),
            hurt=Exists(Rollback.objects.filter(**of_it)),
        )
        .order_by(F("ended_at").desc(nulls_last=True), "-pk")[:DOTS]
    )
    ended = list(rows)[::-1]
    if not ended:
        return None
    leads = [(row.ended_at - row.created_at).total_seconds() for row in ended if row.ended_at]
    return History(
        dots=tuple(_dot(row) for row in ended),
        first_go=sum(row.first_go for row in ended),
        rolled_back=sum(row.status == Status.ROLLED_BACK for row in ended),
        moved=sum(row.schedule_version > 1 for row in ended),
        lead=median(leads) if leads else None,
    )


def _dot(row: Release) -> Dot:
    """What was worst about it gives the shape."""
    if row.status == Status.ROLLED_BACK:
        state, words = "rollback", "rolled back"
    elif row.hurt:  # type: ignore[attr-defined]
        state, words = "stale", "closed, after a rollback or hotfix"
    elif row.overridden:  # type: ignore[attr-defined]
        state, words = "override", "closed, with an override"
    elif row.refused:  # type: ignore[attr-defined]
        state, words = "closed", "closed, after a NO-GO"
    else:
        state, words = "closed", "closed"
    return Dot(reverse("releases:record", args=[row.key]), state, f"{row.title}: {words}")
