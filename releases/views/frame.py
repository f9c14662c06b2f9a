"""The frame of every page of a release: countdown header, tabs, what is counted and who is waited on.

`frame()` is merged into the context of any page that extends `releases/_release.html`. It reads the release's
sheet (`readiness.load`: at most six statements, however many items there are) and, while a poll is open or a
rollback runs, what that adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from checklists.blueprints import Stage
from releases import live, readiness
from releases.models import ON_CALL, Item, Override, PhaseMoments, Release, Rollback, State, Status
from releases.readiness import Readiness
from releases.sheet import called
from releases.views.wire import wired

if TYPE_CHECKING:
    from relcoord.models import User

MODES = {
    Status.POLLING: "decide",
    Status.DEPLOYING: "deploy",
    Status.DEPLOYED: "watch",
    Status.ROLLING_BACK: "rollback",
    Status.CLOSED: "closed",
    Status.ROLLED_BACK: "closed",
    Status.CANCELLED: "closed",
}
ON_A_GO = (Status.CLEARED, Status.DEPLOYING, Status.DEPLOYED, Status.ROLLING_BACK)
FACES = {
    Status.NO_GO: "NO-GO",
    Status.CLOSED: "Closed",
    Status.ROLLED_BACK: "Rolled back",
    Status.CANCELLED: "Cancelled",
}


@dataclass(frozen=True)
class Head:
    """What the countdown header shows, at `now`."""

    release: Release
    now: datetime
    gate: Readiness | None
    rollback: Rollback | None
    override: Override | None = None

    @property
    def mode(self) -> str:
        return MODES.get(self.release.state, "prepare")

    @property
    def face(self) -> str:
        """A word in the clock's place while it does not run; "" while it does."""
        return "HOLD" if self.release.open_hold else FACES.get(self.release.state, "")

    @cached_property
    def lapsed(self) -> bool:
        """Has the window ended with the deployment not begun?"""
        return self.release.status == Status.CLEARED and self.now > self.release.window_end

    @property
    def undecided(self) -> bool:
        """Has T-0 passed without a decision?"""
        waiting = self.release.status in (Status.PREPARING, Status.POLLING)
        return waiting and not self.release.open_hold and self.now >= self.release.t_zero

    @property
    def in_window(self) -> bool:
        """Is the clock now about the end of the window?"""
        running = self.release.status in (Status.CLEARED, Status.DEPLOYING)
        return running and self.release.t_zero <= self.now <= self.release.window_end

    @property
    def ends_same_day(self) -> bool:
        """Does the window end on the day it begins, as the reader counts days?"""
        return timezone.localdate(self.release.t_zero) == timezone.localdate(self.release.window_end)

    @cached_property
    def next_phase(self) -> PhaseMoments | None:
        """The next phase that time will open."""
        return next((m for m in self.release.plan if m.opens_at and m.opens_at > self.now), None)

    @cached_property
    def closing_due(self) -> datetime | None:
        """When the last phase is due, once the deployment has ended."""
        if self.release.status != Status.DEPLOYED:
            return None
        return next((m.due_at for m in self.release.plan if m.phase.stage == Stage.POST_DEPLOYMENT), None)

    @cached_property
    def items(self) -> list[tuple[PhaseMoments, Item]]:
        return [(moments, item) for moments in self.release.plan for item in moments.phase.items.all()]

    @cached_property
    def settled(self) -> int:
        return sum(item.settled for _, item in self.items)

    @property
    def total(self) -> int:
        return len(self.items)

    @cached_property
    def blocked(self) -> int:
        return sum(item.state == State.BLOCKED and not item.is_locked for _, item in self.items)

    @cached_property
    def late(self) -> int:
        return sum(moments.is_late(item, self.now) for moments, item in self.items)

    @cached_property
    def on_call(self) -> list[User]:
        return [row.user for row in self.release.assignments.all() if row.role.slug == ON_CALL]

    @cached_property
    def waiting_on(self) -> list[tuple[User, int]]:
        """Who holds us now, with how many things, the busiest first: items whose phase has opened, votes, duties."""
        if self.rollback:
            return [(self.rollback.in_charge, 1)]
        if self.gate is None or self.release.open_hold:
            return []
        opened = {item.pk for moments, item in self.items if self._asked_now(moments, item)}
        counts: dict[User, int] = {}
        for hindrance in self.gate.hindrances:
            if hindrance.kind != "item" or hindrance.id in opened:
                for person in hindrance.who:
                    counts[person] = counts.get(person, 0) + 1
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name))

    @property
    def waited(self) -> list[tuple[str, int]]:
        """`waiting_on` with the names people are called by here."""
        return [(called(self.release, person), count) for person, count in self.waiting_on]

    def _asked_now(self, moments: PhaseMoments, item: Item) -> bool:
        """Is somebody waited on for `item`: has its phase opened, by time or by what was started?"""
        running = moments.phase.stage in (Stage.PRODUCTION, Stage.POST_DEPLOYMENT) and not item.is_locked
        return running or moments.has_opened(self.now) or item.state == State.BLOCKED


def head_of(release: Release, now: datetime) -> Head:
    """Read what the header of `release` shows."""
    readiness.load(release)
    gone = release.is_final or release.status == Status.ROLLING_BACK
    running = None
    if release.status == Status.ROLLING_BACK:
        running = release.rollbacks.filter(ended_at=None).select_related("in_charge").first()
    return Head(release, now, None if gone else readiness.next_gate(release, now), running, _override(release))


def _override(release: Release) -> Override | None:
    """What the release goes ahead against, the newest: the header says so from the GO until it is closed."""
    if release.status not in ON_A_GO:
        return None
    return release.overrides.filter(Q(decision=None) | Q(decision__standing=True)).select_related("by").last()


def frame(request: HttpRequest, release: Release, tab: str) -> dict[str, Any]:
    """Context for `releases/_release.html`; merge it into the page's own.

    `tab`: checklist, decision, reminders, rollback, people, record, events, schedule or "". Gives `release`, `tab`,
    `now`, `head` (see `Head`), `gate` (the readiness before the next verb, None when there is none), `live_url`
    and what `wire.wired` gives.
    """
    now = timezone.now()
    head = head_of(release, now)
    return {
        "release": release,
        "tab": tab,
        "now": now,
        "head": head,
        "gate": head.gate,
        "live_url": live.url(release, now),
        **wired(request, release, now),
    }
