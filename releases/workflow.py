"""The release's own verbs: reschedule, hold, resume, start, finish, close, cancel, edit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind
from releases import clearance, events, permissions, readiness, tasks
from releases.errors import DomainError, NotReady
from releases.models import (
    BEFORE_START,
    HOLDABLE,
    Hold,
    Item,
    Override,
    PhaseMoments,
    Release,
    Reminder,
    State,
    Status,
)

if TYPE_CHECKING:
    from relcoord.models import User

SPEAKS_OF_THE_PLAN = (Reminder.Kind.MARK, Reminder.Kind.ALARM, Reminder.Kind.ASKED, Reminder.Kind.ESCALATION)


@dataclass(frozen=True)
class Window:
    """A planned window: two instants, the zone whose wall clock the plan follows, the wall time asked for."""

    t_zero: datetime
    ends: datetime
    zone: str
    wall: str = ""

    def check(self, now: datetime) -> None:
        """Raise DomainError with what is wrong and what would be right."""
        if self.t_zero.tzinfo is None or self.ends.tzinfo is None:
            raise DomainError("T-0 needs its time zone")
        if self.t_zero <= now:
            raise DomainError("T-0 is in the past; choose a moment that is still to come")
        if self.ends <= self.t_zero:
            raise DomainError("The window ends before it begins; its end comes after T-0")

    @property
    def asked_for(self) -> str:
        return self.wall or f"{self.t_zero.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Preview:
    """What a reschedule would do: which moments move, which items reopen, who is told, what it ends."""

    moves: tuple[tuple[PhaseMoments, datetime | None], ...]  # (phase as it is, when it would open)
    reopens: tuple[Item, ...]
    told: tuple[User, ...]
    voids_poll: bool
    revokes_go: bool
    already_past: tuple[str, ...]  # names of phases that would have opened already

    @property
    def changes_anything(self) -> bool:
        return any(before.opens_at != after for before, after in self.moves)


def preview_reschedule(release: Release, window: Window) -> Preview:
    """Say what `reschedule` would do. Reads only."""
    now = timezone.now()
    window.check(now)
    planned = Release.objects.get(pk=release.pk)
    planned.t_zero, planned.window_end, planned.time_zone = window.t_zero, window.ends, window.zone
    after = {moments.phase.pk: moments.opens_at for moments in planned.plan}
    return Preview(
        moves=tuple((moments, after[moments.phase.pk]) for moments in release.plan),
        reopens=_would_reopen(release, moved=window.t_zero != release.t_zero),
        told=tuple(clearance.everyone(release)),
        voids_poll=release.status == Status.POLLING,
        revokes_go=release.status == Status.CLEARED,
        already_past=tuple(m.phase.name for m in planned.plan if m.has_opened(now)),
    )


def _would_reopen(release: Release, *, moved: bool) -> tuple[Item, ...]:
    """What `_reopen_after` will reopen, each item once."""
    kinds = None if release.status == Status.NO_GO else (Kind.DECISION,)
    items = (clearance.bound_items(release) if moved else []) + clearance.decision_items(release, kinds)
    return tuple({item.pk: item for item in items}.values())


@transaction.atomic
def reschedule(release: Release, window: Window, *, by: User, reason: str) -> Release:
    """Move T-0. An open poll is void, a GO is revoked, items bound to the window reopen, everyone is told.

    An equal window changes nothing, except in `no_go`, which it ends ("same T-0").
    """
    release = Release.objects.lock(release)
    permissions.require(by, "reschedule", release)
    if release.status not in BEFORE_START:
        raise DomainError(f"{release.key} is {release.state.label.lower()}; only a release before its start can move")
    same = (window.t_zero, window.ends, window.zone) == (release.t_zero, release.window_end, release.time_zone)
    if same and release.status != Status.NO_GO:
        return release
    window.check(timezone.now())
    if not reason.strip():
        raise DomainError("Say why it moves; everyone on the release reads it")
    return apply_schedule(release, window, by=by, reason=reason.strip())


def apply_schedule(release: Release, window: Window, *, by: User, reason: str) -> Release:
    """Move the locked `release`; shared by reschedule, resume and the NO-GO form, which have checked it."""
    now = timezone.now()
    clearance.void_poll(release, reason, by=by, now=now)
    clearance.end_decision(release, reason, by=by, now=now)
    before = _schedule(release)
    left = release.status
    release.t_zero, release.window_end = window.t_zero, window.ends
    release.time_zone, release.t_zero_wall = window.zone, window.asked_for
    release.schedule_version += 1
    release.status = Status.PREPARING
    release.save(update_fields=["t_zero", "window_end", "time_zone", "t_zero_wall", "schedule_version", "status"])
    release.forget()
    events.record(release, "release.rescheduled", by=by, before=before, after=_schedule(release), reason=reason)
    _reopen_after(release, left, moved=before["t_zero"] != release.t_zero, by=by, now=now)
    clearance.supersede(release, "the release moved", kinds=SPEAKS_OF_THE_PLAN)
    clearance.tell_everyone(
        release,
        Reminder.Kind.RESCHEDULED,
        now=now,
        reason=reason,
        by=by.name,
        was=before["t_zero"].isoformat(),
        now_at=release.t_zero.isoformat(),
        was_zone=before["time_zone"],
    )
    tasks.look_on_commit()
    return release


def _schedule(release: Release) -> dict[str, Any]:
    names = ("status", "t_zero", "window_end", "time_zone", "schedule_version")
    return {name: getattr(release, name) for name in names}


def _reopen_after(release: Release, left: str, *, moved: bool, by: User, now: datetime) -> None:
    """What the old schedule's answers were for: bound items, and after a NO-GO the whole decision phase."""
    if moved:
        clearance.reopen_bound_items(release, by=by, now=now)
    if left == Status.NO_GO:
        clearance.reopen_decision_items(release, by=by, now=now)
    else:
        clearance.reopen_decision_items(release, by=by, now=now, kinds=(Kind.DECISION,))


@transaction.atomic
def hold(release: Release, reason: str, *, by: User) -> Hold:
    """Stop the T-clock. Ticks and ballots go on; deciding and starting wait, nothing is late, no marks go out."""
    release = Release.objects.lock(release)
    permissions.require(by, "hold", release)
    if release.status not in HOLDABLE:
        raise DomainError(f"{release.key} is {release.state.label}; a hold is for a release before its start")
    if release.open_hold:
        raise DomainError(f"{release.key} is on hold already")
    if not reason.strip():
        raise DomainError("Say why the clock stops")
    row = Hold.objects.create(release=release, reason=reason.strip(), by=by, started_at=timezone.now())
    release.forget()
    events.record(release, "release.held", by=by, after={"held": True}, reason=row.reason)
    clearance.tell_everyone(release, Reminder.Kind.HELD, now=row.started_at, reason=row.reason, by=by.name)
    tasks.look_on_commit()
    return row


@transaction.atomic
def resume(release: Release, *, by: User, window: Window | None = None, reason: str = "") -> Release:
    """Let the clock run again: with the same T-0 (`window` None), or with a new one, which is a reschedule."""
    release = Release.objects.lock(release)
    permissions.require(by, "resume", release)
    row = release.open_hold
    if row is None:
        raise DomainError(f"{release.key} is not on hold")
    now = timezone.now()
    if window is None and release.t_zero <= now:
        raise DomainError("T-0 passed during the hold; resume with a new one")
    if window is not None:
        window.check(now)
    row.ended_at, row.ended_by = now, by
    row.save(update_fields=["ended_at", "ended_by"])
    release.forget()
    events.record(release, "release.resumed", by=by, before={"held": True}, after={"held": False}, reason=reason)
    if window is not None:
        return apply_schedule(release, window, by=by, reason=reason.strip() or f"resumed after a hold: {row.reason}")
    clearance.tell_everyone(release, Reminder.Kind.RESUMED, now=now, by=by.name)
    tasks.look_on_commit()
    return release


@transaction.atomic
def start_deployment(release: Release, *, by: User, override: str = "") -> Release:
    """Begin the deployment on a standing GO, inside its window. Early or late needs `override`, the reason."""
    release = Release.objects.lock(release)
    permissions.require(by, "start", release)
    now = timezone.now()
    ready = readiness.start(release, now)
    if not ready.gate_passed and not (ready.overridable and override.strip()):
        raise NotReady(f"The deployment of {release.key} cannot start: {ready.sentence}", ready)
    if not ready.gate_passed:
        named = [hindrance.as_data() for hindrance in ready.hindrances]
        row = Override.objects.create(
            release=release,
            verb="start",
            overrides=named,
            reason=override.strip(),
            by=by,
            at=now,
            decision=clearance.standing_decision(release),
        )
        events.record(release, "override.recorded", by=by, on=row, verb="start", overrides=named, reason=row.reason)
    before, after = clearance.move(release, Status.DEPLOYING) if release.started_at else _first_start(release, now)
    events.record(release, "deployment.started", by=by, before=before, after=after)
    clearance.supersede(release, "the deployment has started", kinds=SPEAKS_OF_THE_PLAN)
    return release


def _first_start(release: Release, now: datetime) -> tuple[dict[str, str], dict[str, str]]:
    release.started_at = now
    release.save(update_fields=["started_at"])
    return clearance.move(release, Status.DEPLOYING)


@transaction.atomic
def finish_deployment(release: Release, *, by: User) -> Release:
    """End the deployment and start the two-hour clock of the post-deployment phase."""
    release = Release.objects.lock(release)
    permissions.require(by, "finish", release)
    ready = readiness.finish(release)
    if not ready.gate_passed:
        raise NotReady(f"The deployment of {release.key} cannot be finished: {ready.sentence}", ready)
    release.deployed_at = timezone.now()
    release.save(update_fields=["deployed_at"])
    before, after = clearance.move(release, Status.DEPLOYED)
    events.record(release, "deployment.finished", by=by, before=before, after=after)
    tasks.look_on_commit()
    return release


@transaction.atomic
def close(release: Release, *, by: User) -> Release:
    """Close the release. Its closing item is done by this and by nothing else; the mail carries the chain's head."""
    release = Release.objects.lock(release)
    permissions.require(by, "close", release)
    ready = readiness.close(release)
    if not ready.gate_passed:
        raise NotReady(f"{release.key} cannot be closed: {ready.sentence}", ready)
    now = timezone.now()
    for item in Item.objects.of(release).filter(kind=Kind.CLOSE).exclude(state=State.DONE):
        settle(item, release, by=by, now=now)
    release.ended_at = now
    release.save(update_fields=["ended_at"])
    before, after = clearance.move(release, Status.CLOSED)
    event = events.record(release, "release.closed", by=by, before=before, after=after)
    clearance.tell_everyone(
        release, Reminder.Kind.CLOSED, now=now, by=by.name, sequence=event.sequence, head=event.hash
    )
    tasks.look_on_commit()
    return release


def settle(item: Item, release: Release, *, by: User, now: datetime) -> None:
    """Mark an item done that a verb of the release settles: the decision item, the closing item, a watch."""
    before = {"state": item.state}
    item.state, item.state_reason, item.state_by, item.state_at = State.DONE, "", by, now
    item.version += 1
    item.save(update_fields=["state", "state_reason", "state_by", "state_at", "version"])
    release.forget()
    events.record(release, "item.done", by=by, on=item, before=before, after={"state": State.DONE.value})


@transaction.atomic
def cancel(release: Release, reason: str, *, by: User) -> Release:
    """End a release that will not go out, before its start. Everyone is told to stop."""
    release = Release.objects.lock(release)
    permissions.require(by, "cancel", release)
    if release.status not in BEFORE_START:
        raise DomainError(
            f"{release.key} is {release.state.label.lower()}; only a release before its start is cancelled"
        )
    if not reason.strip():
        raise DomainError("Say why it is cancelled")
    now = timezone.now()
    clearance.void_poll(release, reason.strip(), by=by, now=now)
    clearance.end_decision(release, reason.strip(), by=by, now=now)
    release.ended_at = now
    release.save(update_fields=["ended_at"])
    before, after = clearance.move(release, Status.CANCELLED)
    events.record(release, "release.cancelled", by=by, before=before, after=after, reason=reason.strip())
    clearance.supersede(release, "the release was cancelled", kinds=SPEAKS_OF_THE_PLAN)
    clearance.tell_everyone(release, Reminder.Kind.CANCELLED, now=now, reason=reason.strip(), by=by.name)
    tasks.look_on_commit()
    return release


@transaction.atomic
def edit_release(release: Release, *, by: User, **fields: Any) -> Release:
    """Change what the release is called and who sees it: title, notes, restricted, viewers."""
    release = Release.objects.lock(release)
    permissions.require(by, "edit_release", release)
    viewers = fields.pop("viewers", None)
    changed = [name for name, value in fields.items() if getattr(release, name) != value]
    before = {name: getattr(release, name) for name in changed}
    if not str(fields.get("title", release.title)).strip():
        raise DomainError("A release needs a title")
    for name in changed:
        setattr(release, name, fields[name])
    if changed:
        release.save(update_fields=changed)
    after = {name: fields[name] for name in changed}
    if viewers is not None:
        named = sorted(person.name for person in release.viewers.all())
        release.viewers.set(viewers)
        wanted = sorted(person.name for person in viewers)
        if named != wanted:
            before, after = before | {"viewers": named}, after | {"viewers": wanted}
    if after:
        events.record(release, "release.edited", by=by, before=before, after=after)
    return release
