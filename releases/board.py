"""What the dashboard and My work read: many releases at once, in a fixed number of queries. Read only.

Rows are loaded without their long texts, items as a few columns; gates are not computed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, FilteredRelation, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from checklists.blueprints import Kind, Stage
from checklists.models import Role, TemplateRole
from relcoord.models import User
from releases import permissions
from releases.ballots import staleness
from releases.models import (
    BEFORE_START,
    ActionItem,
    Assignment,
    Ballot,
    Item,
    ItemRules,
    Phase,
    PhaseMoments,
    Poll,
    Release,
    Rollback,
    RollbackStep,
    Seat,
    State,
    Status,
    holders,
)

M = TypeVar("M", bound=Model)
SOON = timedelta(hours=4)  # how long before its due moment an item is due soon


KEPT = 60  # seconds roles are kept
# Columns as their models order them.
PHASE = ("id", "position", "name", "stage", "opens", "due", "release_id")
ITEM = ("pk", "title", "kind", "required", "due", "watch_min", "watch_max", "state", "state_reason", "version")
PERSON = ("id", "email", "name")
HELD = ("id", "release_id", "role_id", "user_id", "by_id", "at")
SEAT = ("id", "release_id", "role_id", "required", "position")
BALLOT = ("id", "poll_id", "seat_id", "voter_id", "choice", "cast_at", "schedule_version", "seen", "seen_hash")


@dataclass(slots=True, eq=False)
class Line(ItemRules):
    """What the board reads of an item. Hundreds stand behind a page, and a model instance costs ten times this."""

    phase: Phase
    role: Role | None
    watching_since: datetime | None  # when the watch that runs on it began
    pk: int
    title: str
    kind: str
    required: bool
    due: str
    watch_min: int
    watch_max: int
    state: str
    state_reason: str
    version: int


class Step(NamedTuple):
    """Where a rollback is."""

    position: int
    title: str
    role: Role | None


def loaded(releases: QuerySet[Release]) -> list[Release]:
    """The releases with all that an `Entry` reads, in the same number of queries however many they are.

    What a release has once at most (a hold, an open poll, a rollback that runs) is joined. What it has many of comes
    as plain columns: a prefetch clones a query for each release, and makes a row of each line.
    """
    steps = RollbackStep.objects.filter(rollback__release=OuterRef("pk"), rollback__ended_at=None).order_by("position")
    count = steps.order_by().values("rollback__release").annotate(n=Count("pk")).values("n")
    first = JSONObject(position="position", title="title", role="role_id")
    rows = list(
        releases.with_hold()  # type: ignore[attr-defined]
        .annotate(
            open_poll=FilteredRelation("polls", condition=Q(polls__state=Poll.State.OPEN)),
            running_rollback=FilteredRelation("rollbacks", condition=Q(rollbacks__ended_at=None)),
            step_count=Subquery(count),
            first_step=Subquery(steps.filter(state=RollbackStep.State.OPEN).values(found=first)[:1]),
        )
        .select_related("product", "open_poll", "running_rollback__triggered_by", "running_rollback__in_charge")
        .defer("notes")
    )
    reading = _Reading(rows)
    reading.assignments()
    reading.lines()
    reading.polls()
    reading.action_items()
    for row in rows:
        row.__dict__["_step"] = reading.step(row.__dict__.pop("first_step"))
    _load_required_roles(rows, reading.roles)
    permissions.load_absences(rows)
    return rows


class _Roles(dict[int, Role]):
    """Roles by their id: a handful of rows shared by hundreds, kept for a minute, read again when one is new."""

    def __missing__(self, pk: int) -> Role:
        found = Role.objects.in_bulk()
        cache.set("roles", found, KEPT)
        self.update(found)
        return found[pk]


class _Reading:
    """What many releases have many of, read for all of them at once and kept where `release.<name>.all()` looks."""

    def __init__(self, releases: list[Release]) -> None:
        self.releases = {row.pk: row for row in releases}
        self.roles = _Roles(cache.get("roles") or {})
        self.people: dict[int, User] = {}

    def person(self, columns: Sequence[Any]) -> User:
        """Each person once, by the columns of `PERSON`."""
        known = self.people.get(columns[0])
        return known or self.people.setdefault(columns[0], _row(User, PERSON, columns))

    def step(self, first: dict[str, Any] | None) -> Step | None:
        role = first and first["role"]
        return Step(first["position"], first["title"], self.roles[role] if role else None) if first else None

    def assignments(self) -> None:
        """Who holds what; the coordinator is among them."""
        held = Assignment.objects.filter(release__in=self.releases).order_by("role__name", "at")
        found: dict[int, list[Assignment]] = {pk: [] for pk in self.releases}
        for columns in held.values_list(*HELD, *(f"user__{name}" for name in PERSON)):
            own, user = columns[: len(HELD)], self.person(columns[len(HELD) :])
            release, role = self.releases[own[1]], self.roles[own[2]]
            found[release.pk].append(_row(Assignment, HELD, own, release=release, role=role, user=user))
        for pk, release in self.releases.items():
            _keep(release, "assignments", Assignment, found[pk])
            if release.coordinator_id in self.people:
                release.coordinator = self.people[release.coordinator_id]

    def lines(self) -> None:
        """Phases and what is open in them, and how many of all items are settled.

        Where a poll is open the settled ones too: ballots are pinned to them.
        """
        rows = Phase.objects.filter(release__in=self.releases).order_by("position", "items__position", "items__pk")
        rows = rows.annotate(watch=FilteredRelation("items__watches", condition=Q(items__watches__ended_at=None)))
        items = [f"items__{name}" for name in ITEM]
        phases: dict[int, dict[int, Phase]] = {pk: {} for pk in self.releases}
        found: dict[int, list[Line]] = {}  # by phase
        polling = {pk for pk, release in self.releases.items() if release.status == Status.POLLING}
        counted: Counter[int] = Counter()
        settled: Counter[int] = Counter()
        for columns in rows.values_list(*PHASE, *items, "items__role_id", "watch__started_at"):
            pk, of = columns[0], columns[len(PHASE) - 1]
            if pk not in found:
                found[pk] = []
                phases[of][pk] = _row(Phase, PHASE, columns[: len(PHASE)], release=self.releases[of])
            *item, role, watching = columns[len(PHASE) :]
            if item[0] is None:
                continue
            line = Line(phases[of][pk], self.roles[role] if role else None, watching, *item)
            done = line.settled
            counted[of] += 1
            settled[of] += done
            if not done or of in polling:
                found[pk].append(line)
        for pk, release in self.releases.items():
            release.__dict__ |= {"item_count": counted[pk], "settled_count": settled[pk], "_lines": found}
            _keep(release, "phases", Phase, list(phases[pk].values()))
            if pk in polling:
                for phase in phases[pk].values():
                    _keep(phase, "items", Item, found[phase.pk])

    def polls(self) -> None:
        """Seats and the ballots that stand, where a poll is open."""
        polls = {poll.pk: poll for row in self.releases.values() if (poll := _open_poll(row))}
        if not polls:
            return
        open_ones = Q(ballots__standing=True, ballots__poll__in=polls)
        seats = Seat.objects.filter(release__in=[poll.release_id for poll in polls.values()]).order_by("position")
        columns = [*SEAT, *(f"ballot__{name}" for name in BALLOT), *(f"ballot__voter__{name}" for name in PERSON)]
        found: dict[int, list[Seat]] = {poll.release_id: [] for poll in polls.values()}
        cast: dict[int, list[Ballot]] = {pk: [] for pk in polls}
        for row in seats.annotate(ballot=FilteredRelation("ballots", condition=open_ones)).values_list(*columns):
            own, ballot, voter = row[: len(SEAT)], row[len(SEAT) : -len(PERSON)], row[-len(PERSON) :]
            release = self.releases[own[1]]
            seat = _row(Seat, SEAT, own, release=release, role=self.roles[own[2]])
            found[release.pk].append(seat)
            if ballot[0] is not None:
                poll = polls[ballot[1]]
                cast[poll.pk].append(_row(Ballot, BALLOT, ballot, poll=poll, seat=seat, voter=self.person(voter)))
        for poll in polls.values():
            _keep(self.releases[poll.release_id], "seats", Seat, found[poll.release_id])
            _keep(poll, "ballots", Ballot, sorted(cast[poll.pk], key=lambda row: (row.cast_at, row.pk)))

    def action_items(self) -> None:
        """The open ones: few."""
        rows = ActionItem.objects.filter(state=ActionItem.State.OPEN, release__in=self.releases)
        found: dict[int, list[ActionItem]] = {pk: [] for pk in self.releases}
        for row in rows.select_related("owner"):
            found[row.release_id].append(row)
        for pk, release in self.releases.items():
            _keep(release, "action_items", ActionItem, found[pk])


def _row(model: type[M], names: Sequence[str], values: Sequence[Any], **points_at: Model) -> M:
    """A row of `model` that was read as columns, with what it points at."""
    row = model.from_db(DEFAULT_DB_ALIAS, names, values)
    row._state.fields_cache.update(points_at)
    return row


def _keep(owner: Model, name: str, model: type[Model], rows: Sequence[Any]) -> None:
    """Have `owner.<name>.all()` give `rows`, as after a prefetch."""
    found: QuerySet[Any] = QuerySet(model)
    found._result_cache = list(rows)
    owner.__dict__.setdefault("_prefetched_objects_cache", {})[name] = found


def _load_required_roles(rows: list[Release], roles: _Roles) -> None:
    before = [row for row in rows if row.status in BEFORE_START]
    required = _required_roles({row.template_version_id for row in before})
    for row in before:
        row.__dict__["_required_roles"] = [roles[pk] for pk in required[row.template_version_id]]


def _required_roles(versions: set[int]) -> dict[int, list[int]]:
    """The ids of the roles that a checklist wants held, by its version, which never changes."""
    keys = {f"required-roles:{pk}": pk for pk in versions}
    found: dict[int, list[int]] = {keys[key]: roles for key, roles in cache.get_many(keys).items()}
    if missing := versions - found.keys():
        found |= {pk: [] for pk in missing}
        for plan in TemplateRole.objects.filter(required=True, version__in=missing):
            found[plan.version_id].append(plan.role_id)
        for pk in missing:
            cache.set(f"required-roles:{pk}", found[pk], KEPT)
    return found


@dataclass(frozen=True)
class Entry:
    """One release as a row of the board shows it, at `now`."""

    release: Release
    now: datetime
    open_items: tuple[tuple[PhaseMoments, Line], ...]  # unsettled, required, a person's to settle, tickable now
    unanswered: tuple[Seat, ...]  # seats of the open poll without a ballot that still counts
    stale: tuple[Ballot, ...]  # ballots of the open poll that count no more

    @cached_property
    def late(self) -> list[Line]:
        return [item for moments, item in self.open_items if moments.is_late(item, self.now)]

    @cached_property
    def blocked(self) -> list[Line]:
        return [item for _, item in self.open_items if item.state == State.BLOCKED]

    @cached_property
    def watched_enough(self) -> list[Line]:
        """Watches that have run their longest and ask for the verdict."""
        running = [(item, item.watching_since) for _, item in self.open_items]
        return [item for item, since in running if since and since + timedelta(minutes=item.watch_max) <= self.now]

    @cached_property
    def due_soon(self) -> list[Line]:
        """Items due within four hours, while the clock runs."""
        if self.release.clock_stopped:
            return []
        moments = [(item, moments.due_of(item)) for moments, item in self.open_items]
        return [item for item, due in moments if due and self.now <= due <= self.now + SOON]

    @cached_property
    def due_now(self) -> list[Line]:
        """What people are waited on for: unsettled items of the phases that have opened, and blocked ones."""
        return [item for moments, item in self.open_items if self.asked_now(moments, item)]

    def asked_now(self, moments: PhaseMoments, item: Line) -> bool:
        """Has the phase of `item` opened, by time or by what was started, or is it blocked?"""
        started = moments.phase.stage in (Stage.PRODUCTION, Stage.POST_DEPLOYMENT)
        return started or moments.has_opened(self.now) or item.state == State.BLOCKED

    @cached_property
    def phase(self) -> PhaseMoments | None:
        """The phase whose time it is: the last that has opened, of those that can still change."""
        opened = [
            m for m in self.release.plan if m.has_opened(self.now) and m.phase.stage not in _not_yet(self.release)
        ]
        return opened[-1] if opened else None

    @cached_property
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
        return _running(self.release)

    @property
    def step(self) -> Step | None:
        """The step it is at; None when all are settled."""
        found: Step | None = self.release.__dict__["_step"]
        return found

    @property
    def steps(self) -> int:
        """How many it has."""
        return self.release.step_count or 0  # type: ignore[attr-defined]

    @property
    def empty_roles(self) -> list[Role]:
        """Required roles nobody holds, while the release has not been started."""
        if self.release.status not in BEFORE_START:
            return []
        held = {row.role_id for row in self.release.assignments.all()}
        return [role for role in self.release.__dict__["_required_roles"] if role.pk not in held]

    @cached_property
    def waiting_on(self) -> list[tuple[User, int]]:
        """Who holds us now, with how many things, the busiest first."""
        release = self.release
        if release.is_final:
            return []
        if self.rollback:
            return [(self.rollback.in_charge, 1)]
        if release.clock_stopped:  # it runs again when the coordinator says so
            return [(release.coordinator, 1)]
        asked = [item.role for item in self.due_now] + [seat.role for seat in self.unanswered if seat.required]
        roles, times = {id(role): role for role in asked}, Counter(map(id, asked))  # shared: each is one object
        counts: Counter[User] = Counter()
        for key, number in times.items():
            counts.update(dict.fromkeys(holders(release, roles[key]), number))
        counts.update(action.owner for action in release.action_items.all() if action.blocks != "nothing")
        if self.empty_roles:
            counts[release.coordinator] += len(self.empty_roles)
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name))

    @cached_property
    def words(self) -> tuple[str, str]:
        """(state for its shape, words): where the release stands, in a few words. No state: all is well."""
        return _words(self)


def entry(release: Release, now: datetime) -> Entry:
    """Look at a release that `loaded` returned."""
    lines: dict[int, list[Line]] = release.__dict__["_lines"]
    found = [
        (moments, line)
        for moments in release.plan
        if (of_phase := lines[moments.phase.pk]) and not of_phase[0].is_locked  # a phase is as a whole
        for line in of_phase
        if line.required and not line.settled and line.kind not in (Kind.COMPUTED, Kind.DECISION)
    ]
    poll = _open_poll(release)
    standing = list(poll.ballots.all()) if poll else []
    stale = [ballot for ballot in standing if staleness(ballot, release)]
    answered = {ballot.seat_id for ballot in standing} - {ballot.seat_id for ballot in stale}
    unanswered = [seat for seat in release.seats.all() if seat.pk not in answered] if poll else []
    return Entry(release, now, tuple(found), tuple(unanswered), tuple(stale))


def _open_poll(release: Release) -> Poll | None:
    poll: Poll | None = release.__dict__.get("open_poll")  # the join leaves it out when there is none
    return poll if release.status == Status.POLLING else None


def _running(release: Release) -> Rollback | None:
    run: Rollback | None = release.__dict__.get("running_rollback")
    return run if release.status == Status.ROLLING_BACK else None


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
        return "rolling_back", f"Rolling back, step {row.step.position if row.step else row.steps} of {row.steps}"
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
        if item.watching_since:
            minutes = int((row.now - item.watching_since).total_seconds() // 60)
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
