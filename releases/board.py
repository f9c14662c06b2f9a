"""What the dashboard and My work read: many releases at once, in a fixed number of queries. Read only.

Rows are loaded without their long texts and only with what is still unsettled; gates are not computed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery, prefetch_related_objects

from checklists.blueprints import Kind, Stage
from checklists.models import Role, TemplateRole
from releases import permissions
from releases.ballots import staleness
from releases.models import (
    BEFORE_START,
    SETTLED,
    ActionItem,
    Assignment,
    Ballot,
    Hold,
    Item,
    Phase,
    PhaseMoments,
    Poll,
    Release,
    Rollback,
    RollbackStep,
    Seat,
    State,
    Status,
    Watch,
    holders,
)

if TYPE_CHECKING:
    from relcoord.models import User

ITEM = ("phase", "position", "title", "role", "kind", "required", "condition", "due", "watch_min", "watch_max")
STATE = ("state", "state_at", "state_reason", "version")
SOON = timedelta(hours=4)  # how long before its due moment an item is due soon


# What is there, and read, in some statuses alone.
_BY_STATUS = (
    (
        BEFORE_START,
        [Prefetch("template_version__roles", TemplateRole.objects.filter(required=True).select_related("role"))],
    ),
    (
        [Status.POLLING],
        [
            Prefetch("seats", Seat.objects.select_related("role")),
            Prefetch("polls", Poll.objects.filter(state=Poll.State.OPEN)),
            Prefetch("polls__ballots", Ballot.objects.filter(standing=True).select_related("voter", "seat__role")),
        ],
    ),
    (
        [Status.ROLLING_BACK],
        [
            Prefetch("rollbacks", Rollback.objects.filter(ended_at=None).select_related("triggered_by", "in_charge")),
            Prefetch("rollbacks__steps", RollbackStep.objects.defer("guidance", "note").select_related("role")),
        ],
    ),
)


def loaded(releases: QuerySet[Release]) -> list[Release]:
    """The releases with all that an `Entry` reads, in the same number of queries however many they are."""
    unsettled = ~Q(state__in=SETTLED) | Q(phase__release__status=Status.POLLING)  # ballots pin the settled ones too
    watching = Watch.objects.filter(item=OuterRef("pk"), ended_at=None).values("started_at")[:1]
    items = Item.objects.filter(unsettled).only(*ITEM, *STATE).select_related("role")
    rows = list(
        releases.with_progress()  # type: ignore[attr-defined]
        .select_related("coordinator", "product", "template_version")
        .defer("notes", "template_version__description", "template_version__closing")
        .prefetch_related(
            Prefetch("holds", Hold.objects.filter(ended_at=None)),
            Prefetch("phases", Phase.objects.defer("note")),
            Prefetch("phases__items", items.annotate(watching_since=Subquery(watching))),
            Prefetch("assignments", Assignment.objects.select_related("user", "role")),
            Prefetch("action_items", ActionItem.objects.filter(state=ActionItem.State.OPEN).select_related("owner")),
        )
    )
    for statuses, lookups in _BY_STATUS:
        prefetch_related_objects([release for release in rows if release.status in statuses], *lookups)
    permissions.load_absences(rows)
    return rows


@dataclass(frozen=True)
class Entry:
    """One release as a row of the board shows it, at `now`."""

    release: Release
    now: datetime
    open_items: tuple[tuple[PhaseMoments, Item], ...]  # unsettled, required, a person's to settle, tickable now
    unanswered: tuple[Seat, ...]  # seats of the open poll without a ballot that still counts
    stale: tuple[Ballot, ...]  # ballots of the open poll that count no more

    @property
    def late(self) -> list[Item]:
        return [item for moments, item in self.open_items if moments.is_late(item, self.now)]

    @property
    def blocked(self) -> list[Item]:
        return [item for _, item in self.open_items if item.state == State.BLOCKED]

    @property
    def watched_enough(self) -> list[Item]:
        """Watches that have run their longest and ask for the verdict."""
        running = [(item, watching_since(item)) for _, item in self.open_items]
        return [item for item, since in running if since and since + timedelta(minutes=item.watch_max) <= self.now]

    @property
    def due_soon(self) -> list[Item]:
        """Items due within four hours, while the clock runs."""
        if self.release.clock_stopped:
            return []
        moments = [(item, moments.due_of(item)) for moments, item in self.open_items]
        return [item for item, due in moments if due and self.now <= due <= self.now + SOON]

    @property
    def due_now(self) -> list[Item]:
        """What people are waited on for: unsettled items of the phases that have opened, and blocked ones."""
        return [item for moments, item in self.open_items if self.asked_now(moments, item)]

    def asked_now(self, moments: PhaseMoments, item: Item) -> bool:
        """Has the phase of `item` opened, by time or by what was started, or is it blocked?"""
        started = moments.phase.stage in (Stage.PRODUCTION, Stage.POST_DEPLOYMENT)
        return started or moments.has_opened(self.now) or item.state == State.BLOCKED

    @property
    def phase(self) -> PhaseMoments | None:
        """The phase whose time it is: the last that has opened, of those that can still change."""
        opened = [
            m for m in self.release.plan if m.has_opened(self.now) and m.phase.stage not in _not_yet(self.release)
        ]
        return opened[-1] if opened else None

    @property
    def next_phase(self) -> PhaseMoments | None:
        """The next phase that time will open; none while the clock is stopped."""
        if self.release.clock_stopped or self.release.is_final:
            return None
        return next((m for m in self.release.plan if m.opens_at and m.opens_at > self.now), None)

    @property
    def poll(self) -> Poll | None:
        return _open_poll(self.release)

    @property
    def rollback(self) -> Rollback | None:
        """The rollback that runs."""
        return next(iter(self.release.rollbacks.all()), None) if self.release.status == Status.ROLLING_BACK else None

    @property
    def empty_roles(self) -> list[Role]:
        """Required roles nobody holds, while the release has not been started."""
        if self.release.status not in BEFORE_START:
            return []
        held = {row.role_id for row in self.release.assignments.all()}
        return [plan.role for plan in self.release.template_version.roles.all() if plan.role_id not in held]

    @property
    def waiting_on(self) -> list[tuple[User, int]]:
        """Who holds us now, with how many things, the busiest first."""
        release = self.release
        if release.is_final:
            return []
        if self.rollback:
            return [(self.rollback.in_charge, 1)]
        if release.clock_stopped:  # it runs again when the coordinator says so
            return [(release.coordinator, 1)]
        counts: Counter[User] = Counter()
        for role in [item.role for item in self.due_now] + [seat.role for seat in self.unanswered if seat.required]:
            counts.update(holders(release, role))
        counts.update(action.owner for action in release.action_items.all() if action.blocks != "nothing")
        if self.empty_roles:
            counts[release.coordinator] += len(self.empty_roles)
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name))

    @property
    def words(self) -> tuple[str, str]:
        """(state for its shape, words): where the release stands, in a few words. No state: all is well."""
        return _words(self)


def entry(release: Release, now: datetime) -> Entry:
    """Look at a release that `loaded` returned."""
    found = [
        (moments, item)
        for moments in release.plan
        for item in moments.phase.items.all()
        if item.required and not item.settled and not item.is_locked and item.kind not in (Kind.COMPUTED, Kind.DECISION)
    ]
    poll = _open_poll(release)
    standing = list(poll.ballots.all()) if poll else []
    stale = [ballot for ballot in standing if staleness(ballot, release)]
    answered = {ballot.seat_id for ballot in standing} - {ballot.seat_id for ballot in stale}
    unanswered = [seat for seat in release.seats.all() if seat.pk not in answered] if poll else []
    return Entry(release, now, tuple(found), tuple(unanswered), tuple(stale))


def _open_poll(release: Release) -> Poll | None:
    return next(iter(release.polls.all()), None) if release.status == Status.POLLING else None


def watching_since(item: Item) -> datetime | None:
    """When the watch that runs on `item` began; as `loaded` annotated it."""
    return getattr(item, "watching_since", None)


def entries(releases: Iterable[Release], now: datetime) -> list[Entry]:
    return [entry(release, now) for release in releases]


def next_to_open(rows: Iterable[Entry]) -> Entry | None:
    """The release whose next phase opens first."""
    moments = [(row.next_phase.opens_at, row.release.pk, row) for row in rows if row.next_phase]
    return min(((at, pk, row) for at, pk, row in moments if at), default=(None, 0, None))[2]


def _not_yet(release: Release) -> tuple[str, ...]:
    """Stages whose moment may have come by the clock but not by the release's state."""
    if release.status == Status.DEPLOYING:
        return (Stage.POST_DEPLOYMENT,)
    if release.status in (Status.DEPLOYED, Status.CLOSED, Status.ROLLING_BACK):
        return ()
    return (Stage.PRODUCTION, Stage.POST_DEPLOYMENT)


# Where a release stands, in words


def _words(row: Entry) -> tuple[str, str]:
    release, status = row.release, row.release.status
    if release.open_hold:
        return "hold", "On hold"
    if status == Status.ROLLING_BACK and row.rollback:
        steps = list(row.rollback.steps.all())
        step = row.rollback.current_step
        return "rolling_back", f"Rolling back, step {step.position if step else len(steps)} of {len(steps)}"
    if status == Status.POLLING:
        return _polling(row)
    if status == Status.CLEARED:
        return _cleared(row)
    if status == Status.NO_GO:
        return "no_go", "NO-GO, not rescheduled"
    if status == Status.PREPARING:
        return _preparing(row)
    if row.blocked:
        return "blocked", f"{release.state.label}, {len(row.blocked)} blocked"
    if row.late:
        return "late", f"{release.state.label}, {len(row.late)} late"
    if status == Status.DEPLOYING:
        return "deploying", _watching(row) or "Deploying"
    return ("" if status == Status.DEPLOYED else status), release.state.label


def _polling(row: Entry) -> tuple[str, str]:
    if row.now >= row.release.t_zero:
        return "late", "T-0 has passed undecided"
    seats = len(row.release.seats.all())
    return "polling", f"Go/No-Go, {seats - len(row.unanswered)} of {seats} answered"


def _cleared(row: Entry) -> tuple[str, str]:
    if row.now > row.release.window_end:
        return "late", "GO lapsed with its window"
    return ("now", "GO, window is open") if row.now >= row.release.t_zero else ("go", "GO")


def _watching(row: Entry) -> str:
    for _, item in row.open_items:
        since = watching_since(item)
        if since:
            minutes = int((row.now - since).total_seconds() // 60)
            return f"Watching, {minutes} of {item.watch_max or item.watch_min} min"
    return ""


def _preparing(row: Entry) -> tuple[str, str]:
    if row.now >= row.release.t_zero:
        return "late", "T-0 has passed undecided"
    name = row.phase.phase.name if row.phase else "Early"
    if row.blocked:
        return "blocked", f"{name}, {len(row.blocked)} blocked"
    if row.late:
        return "late", f"{name}, {len(row.late)} late"
    if row.empty_roles:
        return "risk", f"No {row.empty_roles[0].name} named"
    if row.due_soon:
        return "due_soon", f"{name}, {len(row.due_soon)} due soon"
    return "", row.phase.phase.name if row.phase else ""
