"""The rollback nobody wants: triggered, assessed, executed, verified, told, reviewed; strictly in order."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from checklists.models import TemplateItem
from releases import clearance, events, permissions, tasks
from releases.errors import DomainError
from releases.models import (
    ON_CALL,
    PROJECT_MANAGER,
    ActionItem,
    Item,
    Part,
    Path,
    Release,
    Reminder,
    Rollback,
    RollbackStep,
    Severity,
    Status,
    Watch,
)

if TYPE_CHECKING:
    from relcoord.models import User

FROM = (Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED)

# What a step is for, told from its title; the first that fits.
_PARTS = (
    (Part.REVIEW, r"review|retrospect|post-?mortem"),
    (Part.ASSESS, r"assess|severity|decide"),
    (Part.VERIFY, r"verif|confirm|check"),
    (Part.COMMUNICATE, r"communicat|inform|status|announce"),
    (Part.TRIGGER, r"trigger|incident|notify|alert"),
    (Part.EXECUTE, r"execut|roll\s?back|revert|restore"),
)


def part_of(title: str) -> Part:
    """Tell from its title what a step is for; rules hang on that."""
    return next((part for part, words in _PARTS if re.search(words, title, re.IGNORECASE)), Part.OTHER)


@transaction.atomic
def trigger(release: Release, seen: str, *, by: User, noticed_at: datetime | None = None) -> Rollback:
    """Start a rollback: the steps are copied from the template, on-call and Project Manager are told at once.

    `noticed_at` is when it was seen (now by default); the times to detect, decide and restore count from it.
    """
    release = Release.objects.lock(release)
    permissions.require(by, "trigger_rollback", release)
    if release.status not in FROM:
        raise DomainError(f"{release.key} is {release.state.label}; a rollback starts once a deployment has")
    if not seen.strip():
        raise DomainError("Say what you saw; everyone who is told reads it first")
    now = timezone.now()
    noticed_at = noticed_at or now
    if noticed_at > now or (release.started_at and noticed_at < release.started_at):
        raise DomainError("It was noticed between the start of the deployment and now")
    came_from = release.status
    before, after = clearance.move(release, Status.ROLLING_BACK)
    row = Rollback.objects.create(
        release=release,
        number=release.rollbacks.count() + 1,
        came_from=came_from,
        seen=seen.strip(),
        noticed_at=noticed_at,
        triggered_at=now,
        triggered_by=by,
        in_charge=by,
    )
    _copy_steps(row)
    events.record(
        release,
        "rollback.triggered",
        by=by,
        on=row,
        before=before,
        after=after,
        seen=row.seen,
        number=row.number,
        steps=[step.title for step in row.steps.all()],
    )
    _end_watches(release, by=by, now=now)
    told = _tell_start(release, row, by=by, now=now)
    first = row.current_step
    if first is not None and first.part == Part.TRIGGER:
        _settle(first, RollbackStep.State.DONE, f"Told at once: {told}", by=by, now=now)
    return row


def _copy_steps(row: Rollback) -> None:
    version = row.release.template_version
    plans = TemplateItem.objects.filter(phase__version=version, phase__stage=Stage.CONTINGENCY)
    ordered = plans.select_related("role").order_by("phase__position", "position")
    steps = [
        RollbackStep(
            rollback=row,
            position=number,
            title=plan.title,
            guidance=plan.guidance,
            role=plan.role,
            kind=Kind.STEP,
            part=part_of(plan.title),
        )
        for number, plan in enumerate(ordered, start=1)
    ]
    # A checklist without a contingency must not leave people alone at the worst moment.
    bare = [part for part in Part if part != Part.OTHER]
    RollbackStep.objects.bulk_create(
        steps
        or [
            RollbackStep(rollback=row, position=number, title=part.label, kind=Kind.STEP, part=part)
            for number, part in enumerate(bare, start=1)
        ]
    )


def _end_watches(release: Release, *, by: User, now: datetime) -> None:
    for watch in Watch.objects.filter(item__phase__release=release, ended_at=None).select_related("item"):
        watch.ended_at, watch.ended_by, watch.verdict = now, by, "rollback"
        watch.save(update_fields=["ended_at", "ended_by", "verdict"])
        events.record(release, "watch.ended", by=by, on=watch.item, verdict="rollback")


def _tell_start(release: Release, row: Rollback, *, by: User, now: datetime) -> str:
    """Owe the mail to everyone on the release; returns the names of on-call and Project Manager for the log."""
    clearance.tell_everyone(
        release, Reminder.Kind.ROLLBACK_STARTED, now=now, about=f"rollback:{row.pk}", rollback=row.pk, by=by.name
    )
    tasks.look_on_commit()
    urgent = release.assignments.filter(role__slug__in=(ON_CALL, PROJECT_MANAGER)).select_related("user", "role")
    return ", ".join(f"{a.user.name} ({a.role.name})" for a in urgent) or "nobody is on call or Project Manager"


@transaction.atomic
def record_severity(row: Rollback, severity: Severity, path: Path, *, by: User, note: str = "") -> Rollback:
    """Record how bad it is and which way: roll back, or hotfix, which marks the execution as not needed."""
    row = _take(row, by)
    step = _current(row, Part.ASSESS)
    now = timezone.now()
    row.severity, row.path, row.decided_at = severity, path, now
    row.save(update_fields=["severity", "path", "decided_at"])
    events.record(
        row.release, "rollback.assessed", by=by, on=row, after={"severity": str(severity), "path": str(path)}, note=note
    )
    _settle(step, RollbackStep.State.DONE, note.strip(), by=by, now=now)
    execute = row.steps.filter(part=Part.EXECUTE)
    if path == Path.HOTFIX:
        for other in execute.filter(state=RollbackStep.State.OPEN):
            _settle(other, RollbackStep.State.NOT_NEEDED, "Hotfix instead", by=by, now=now)
    else:
        for other in execute.filter(state=RollbackStep.State.NOT_NEEDED):
            _settle(other, RollbackStep.State.OPEN, "", by=by, now=now)
    return row


@transaction.atomic
def complete_step(step: RollbackStep, *, by: User, note: str = "", failed: bool = False) -> RollbackStep:
    """Complete the current step; no other may be. A `failed` verification reopens the step before it."""
    row = _take(step.rollback, by)
    step = _current(row, None, step)
    now = timezone.now()
    if step.part == Part.ASSESS:
        raise DomainError("Record the severity and whether to roll back or to hotfix")
    if step.part == Part.REVIEW:
        raise DomainError("Finish the rollback with the date of its review and who owns it")
    if failed:
        return _failed(row, step, note, by=by, now=now)
    if step.part == Part.VERIFY:
        row.restored_at = now
        row.save(update_fields=["restored_at"])
    _settle(step, RollbackStep.State.DONE, note.strip(), by=by, now=now)
    return step


def _failed(row: Rollback, step: RollbackStep, note: str, *, by: User, now: datetime) -> RollbackStep:
    if step.part != Part.VERIFY:
        raise DomainError("Only a verification can fail; block and write in the log what goes wrong")
    if not note.strip():
        raise DomainError("Say what the verification showed")
    done = row.steps.filter(position__lt=step.position, state=RollbackStep.State.DONE)
    before = done.order_by("-position").first()
    if before is None:
        raise DomainError("There is no step before this one to go back to")
    events.record(row.release, "rollback.verification_failed", by=by, on=row, step=step.title, note=note.strip())
    _settle(before, RollbackStep.State.OPEN, f"Opened again: {note.strip()}", by=by, now=now)
    return before


@transaction.atomic
def promise_update(row: Rollback, at: datetime, *, by: User) -> Rollback:
    """Say when the next status will be told; the page counts down to it."""
    row = _take(row, by)
    row.next_update_at = at
    row.save(update_fields=["next_update_at"])
    events.record(row.release, "rollback.update_promised", by=by, on=row, after={"next_update_at": at})
    return row


@transaction.atomic
def take_charge(row: Rollback, *, by: User) -> Rollback:
    """Become the one in charge of a running rollback."""
    row = _take(row, by)
    if row.in_charge_id == by.pk:
        return row
    before, row.in_charge = {"in_charge": row.in_charge}, by
    row.save(update_fields=["in_charge"])
    events.record(row.release, "rollback.taken_charge", by=by, on=row, before=before, after={"in_charge": by})
    return row


@transaction.atomic
def finish(row: Rollback, *, by: User, review_on: date, review_owner: User) -> Rollback:
    """End the rollback with the date and owner of its review.

    Rolled back: the release ends there. Hotfix: it returns to the state it came from and its watch restarts.
    """
    row = _take(row, by)
    release, now = row.release, timezone.now()
    step = row.current_step
    if step is not None:
        _current(row, Part.REVIEW)
    if review_on < timezone.localdate(now, timezone=release.zone):
        raise DomainError("The review lies in the past; choose a day to come")
    if step is not None:
        _settle(step, RollbackStep.State.DONE, f"Review on {review_on:%d %b %Y}", by=by, now=now)
    row.review_on, row.review_owner, row.ended_at, row.ended_by = review_on, review_owner, now, by
    row.save(update_fields=["review_on", "review_owner", "ended_at", "ended_by"])
    _owe_review(release, row, review_on, review_owner, by=by)
    _leave(release, row, by=by, now=now)
    clearance.tell_everyone(
        release, Reminder.Kind.ROLLBACK_ENDED, now=now, about=f"rollback:{row.pk}", rollback=row.pk, by=by.name
    )
    tasks.look_on_commit()
    return row


def _owe_review(release: Release, row: Rollback, review_on: date, owner: User, *, by: User) -> None:
    due = datetime.combine(review_on + timedelta(days=1), time.min, tzinfo=release.zone)
    action = ActionItem.objects.create(
        release=release,
        rollback=row,
        source=ActionItem.Source.REVIEW,
        blocks=ActionItem.Blocks.NOTHING,
        title=f"Post-incident review of rollback {row.number}",
        owner=owner,
        due_at=due,
    )
    events.record(
        release,
        "action.created",
        by=by,
        on=action,
        after={"state": "open"},
        source="review",
        blocks="nothing",
        owner=owner,
        due_at=due,
    )


def _leave(release: Release, row: Rollback, *, by: User, now: datetime) -> None:
    to = Status(row.came_from) if row.path == Path.HOTFIX else Status.ROLLED_BACK
    if to == Status.ROLLED_BACK:
        release.ended_at = now
        release.save(update_fields=["ended_at"])
    before, after = clearance.move(release, to)
    events.record(
        release,
        "rollback.finished",
        by=by,
        on=row,
        before=before,
        after=after,
        path=row.path,
        review_on=row.review_on,
        review_owner=row.review_owner,
        minutes_to_detect=row.minutes_to_detect,
        minutes_to_decide=row.minutes_to_decide,
        minutes_to_restore=row.minutes_to_restore,
    )
    if to in (Status.DEPLOYING, Status.DEPLOYED):
        restart_watch(release, by=by, now=now)


def restart_watch(release: Release, *, by: User, now: datetime) -> None:
    """After a hotfix the system is watched again, for the whole minimum."""
    watched = Item.objects.of(release).filter(kind=Kind.WATCH, phase__stage=Stage.PRODUCTION, watches__isnull=False)
    for item in watched.distinct():
        clearance.reopen_items(release, [item], "a hotfix went out", by=by, now=now)
        Watch.objects.create(item=item, started_at=now, started_by=by)
        events.record(release, "watch.started", by=by, on=item, minutes=item.watch_min)


def _take(row: Rollback, by: User) -> Rollback:
    """Lock the release, read the rollback fresh, check the right to run it and that it runs."""
    release = Release.objects.lock(row.release)
    fresh = Rollback.objects.select_related("in_charge").get(pk=row.pk)
    fresh.release = release
    permissions.require(by, "run_rollback", release)
    if fresh.ended_at is not None:
        raise DomainError(f"Rollback {fresh.number} of {release.key} has ended")
    return fresh


def _current(row: Rollback, part: Part | None, step: RollbackStep | None = None) -> RollbackStep:
    """The current step, or DomainError when that is not `step`, or not of `part`: strictly in order."""
    current = row.current_step
    if current is None or (step and current.pk != step.pk) or (part and current.part != part):
        words = f"“{current.title}” comes first" if current else "every step is settled"
        raise DomainError(f"The steps go strictly in order: {words}")
    return current


def _settle(step: RollbackStep, state: RollbackStep.State, note: str, *, by: User, now: datetime) -> None:
    before = {"state": step.state}
    step.state, step.state_by, step.state_at, step.note = state, by, now, note
    step.save(update_fields=["state", "state_by", "state_at", "note"])
    events.record(
        step.rollback.release,
        "rollback.step",
        by=by,
        on=step,
        before=before,
        after={"state": state.value},
        note=note,
    )
