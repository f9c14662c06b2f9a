"""The rules of the ledger: which marks a release has, what is owed to whom, and when a row may still be sent.

The schedule is a query, not a queue: `plan` inserts the rows that are missing, `retire` ends those that no
longer hold. Sending is in `ledger`. Everything takes `now` and is idempotent; any number may run at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Prefetch, Q

from checklists.models import TemplateRole
from checklists.tminus import Anchor, Offset, due_at
from releases import events
from releases.models import (
    BEFORE_START,
    PROJECT_MANAGER,
    Assignment,
    Heartbeat,
    Hold,
    Release,
    Reminder,
    Status,
)

if TYPE_CHECKING:
    from relcoord.models import User

HORIZON = timedelta(days=45)  # rows of releases further away are planned later; no checklist opens earlier
AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
STATE = Reminder.State
OF_THE_PLAN = (Reminder.Kind.MARK, Reminder.Kind.ALARM)


@dataclass(frozen=True)
class Mark:
    """A moment at which reminders go out. A mail of it is worth sending until `not_after`, the next mark's moment."""

    name: str
    due_at: datetime
    not_after: datetime
    rank: int


def marks(release: Release) -> list[Mark]:
    """The distinct opening offsets before T-0, in order of instant; equal instants are one, named by the nearer."""
    moments: dict[datetime, Offset] = {}
    for phase in release.phases.all():
        offset = phase.opens_offset
        if offset is None or offset.anchor is not Anchor.T_ZERO:
            continue
        at = due_at(offset, release.t_zero, release.zone)
        if at < release.t_zero and (at not in moments or offset.rank > moments[at].rank):
            moments[at] = offset
    ordered = sorted(moments.items())
    ends = [at for at, _ in ordered[1:]] + [release.t_zero]
    return [
        Mark(str(offset), at, until, rank)
        for rank, ((at, offset), until) in enumerate(zip(ordered, ends, strict=True), start=1)
    ]


# What is owed


def plan(now: datetime) -> int:
    """Insert the rows that are missing for all live releases; returns how many were looked at."""
    live = (
        Release.objects.filter(status__in=BEFORE_START, t_zero__lt=now + HORIZON)
        .select_related("coordinator")
        .prefetch_related(
            "phases",
            Prefetch("holds", Hold.objects.filter(ended_at=None)),
            Prefetch("assignments", Assignment.objects.select_related("user", "role")),
            Prefetch("template_version__roles", TemplateRole.objects.select_related("role")),
        )
    )
    sent = _sent_marks(live.values("pk"))
    rows = [row for release in live for row in owed(release, now, sent)]
    Reminder.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def _sent_marks(releases: Any) -> set[tuple[int, int, str]]:
    """(release, recipient, mark) of what went out already, in whatever schedule version."""
    rows = Reminder.objects.filter(kind=Reminder.Kind.MARK, state=STATE.SENT, release__in=releases)
    return set(rows.values_list("release", "recipient", "mark"))


def owed(release: Release, now: datetime, sent: set[tuple[int, int, str]]) -> Iterator[Reminder]:
    """The marks and alarms of one release. While its clock is stopped there are none."""
    if release.clock_stopped:
        return
    people = {row.user_id: row.user for row in release.assignments.all() if row.user.is_active}
    for mark in marks(release):
        if mark.not_after <= now:
            continue  # only the newest of the past marks is still valid; the others get no row
        for person in people.values():
            if mark.due_at <= now and (release.pk, person.pk, mark.name) in sent:
                continue
            yield _row(release, Reminder.Kind.MARK, person, now, mark)
    for alarm in alarms(release):
        if alarm.not_after > now:
            for person in _leads(release):
                yield _row(release, Reminder.Kind.ALARM, person, now, alarm)
    yield from _empty_roles(release, now)


def alarms(release: Release) -> list[Mark]:
    """Undecided an hour before T-0 and at T-0; cleared but not started when the window ends."""
    before, t_zero, end = release.t_zero - AN_HOUR, release.t_zero, release.window_end
    return [
        Mark("T-1h", before, t_zero, 100),
        Mark("T-0", t_zero, end, 101),
        Mark("window end", end, end + A_DAY, 102),
    ]


def _leads(release: Release) -> list[User]:
    """The coordinator and the Project Managers."""
    managers = [row.user for row in release.assignments.all() if row.role.slug == PROJECT_MANAGER]
    return list({person.pk: person for person in [release.coordinator, *managers]}.values())


def _empty_roles(release: Release, now: datetime) -> Iterator[Reminder]:
    """A required role nobody holds alarms the coordinator from creation."""
    held = {row.role_id for row in release.assignments.all()}
    if any(entry.required and entry.role_id not in held for entry in release.template_version.roles.all()):
        mark = Mark("empty role", release.created_at, max(release.t_zero, release.created_at + AN_HOUR), 0)
        yield _row(release, Reminder.Kind.ALARM, release.coordinator, now, mark)


def _row(release: Release, kind: str, person: User, now: datetime, mark: Mark) -> Reminder:
    return Reminder(
        kind=kind,
        release=release,
        recipient=person,
        mark=mark.name,
        rank=mark.rank,
        schedule_version=release.schedule_version,
        due_at=mark.due_at,
        not_after=mark.not_after,
        created_at=now,
    )


# What no longer holds


def retire(now: datetime) -> None:
    """End the planned rows whose release, schedule version or holder no longer matches."""
    rows = Reminder.objects.planned().filter(kind__in=OF_THE_PLAN, resend_of=None)
    for release in Release.objects.filter(pk__in=rows.values("release").distinct()).prefetch_related("holds"):
        mine = rows.filter(release=release)
        mine.exclude(schedule_version=release.schedule_version).update(
            state=STATE.SUPERSEDED, reason="the release moved"
        )
        if release.status not in BEFORE_START:
            mine.update(state=STATE.SUPERSEDED, reason=f"the release is {release.state.label.lower()}")
        elif release.clock_stopped:
            mine.update(state=STATE.SUPERSEDED, reason="the clock is stopped")
        held = Assignment.objects.filter(release=release).values("user")
        mine.filter(kind=Reminder.Kind.MARK).exclude(recipient__in=held).update(
            state=STATE.CANCELLED, reason="no longer holds a role"
        )


def miss(now: datetime) -> int:
    """Rows past their time become missed, each with an event; returns how many."""
    late = Reminder.objects.planned().filter(not_after__lte=now).select_related("release", "recipient")
    return sum(_miss(row, now) for row in late.order_by("pk")[:500])


@transaction.atomic
def _miss(row: Reminder, now: datetime) -> bool:
    release = Release.objects.lock(row.release) if row.release else None
    reason = row.reason or "no sender ran, or no mail server answered, while it was worth sending"
    gone = Reminder.objects.planned().filter(pk=row.pk).update(state=STATE.MISSED, reason=reason[:300])
    if gone and release is not None:
        events.record(
            release, "reminder.missed", by=None, on=row, after={"state": "missed"}, to=row.recipient.name, mark=row.mark
        )
    return bool(gone)


def refusal(row: Reminder) -> tuple[str, str] | None:
    """Look again at the claim: (state, reason) when this row must not be sent any more, None when it may."""
    release = row.release
    if release is None or row.kind not in OF_THE_PLAN:
        return None
    if row.resend_of_id is not None:
        return None
    if release.status not in BEFORE_START:
        return STATE.SUPERSEDED, f"the release is {release.state.label.lower()}"
    if row.schedule_version != release.schedule_version:
        return STATE.SUPERSEDED, "the release moved"
    if release.clock_stopped:
        return STATE.SUPERSEDED, "the clock is stopped"
    return _mark_refusal(row, release) if row.kind == Reminder.Kind.MARK else _alarm_refusal(row, release)


def _mark_refusal(row: Reminder, release: Release) -> tuple[str, str] | None:
    if not Assignment.objects.filter(release=release, user=row.recipient_id).exists():
        return STATE.CANCELLED, "no longer holds a role"
    later = Reminder.objects.filter(
        Q(state=STATE.SENT) | Q(state=STATE.SENDING),
        kind=row.kind,
        release=release,
        recipient=row.recipient_id,
        schedule_version=row.schedule_version,
        rank__gt=row.rank,
        resend_of=None,
    )
    return (STATE.SUPERSEDED, "a later mark has gone out") if later.exists() else None


def _alarm_refusal(row: Reminder, release: Release) -> tuple[str, str] | None:
    if row.mark in ("T-1h", "T-0") and release.status not in (Status.PREPARING, Status.POLLING):
        return STATE.SUPPRESSED, "it is decided"
    if row.mark == "window end" and release.status != Status.CLEARED:
        return STATE.SUPPRESSED, "it has no GO that could lapse"
    if row.mark == "empty role" and not empty_required_roles(release):
        return STATE.SUPPRESSED, "every required role is held"
    return None


def empty_required_roles(release: Release) -> list[str]:
    """The names of the required roles nobody holds."""
    held = Assignment.objects.filter(release=release).values("role")
    entries = release.template_version.roles.filter(required=True).exclude(role__in=held)
    return list(entries.values_list("name", flat=True))


# For pages


def next_for(release: Release) -> Reminder | None:
    """The next planned reminder of `release`."""
    return Reminder.objects.planned().filter(release=release).order_by("due_at").first()


def beat(now: datetime) -> None:
    """Note that a driver looked; every page shows the age of this."""
    Heartbeat.objects.update_or_create(name="reminders", defaults={"at": now})


def scheduler_age(now: datetime) -> timedelta | None:
    """How long ago a driver last looked; None before the first time."""
    at = Heartbeat.objects.filter(name="reminders").values_list("at", flat=True).first()
    return now - at if at else None


def tick(now: datetime | None = None) -> None:
    """One look at the whole ledger (see `ledger.tick`)."""
    from releases import ledger

    ledger.tick(now)
