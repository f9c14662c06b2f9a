"""The mails that tell what has happened, and the one that lets a new person in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.core import signing
from django.urls import reverse
from django.utils import timezone

from releases import reminders
from releases.mail.words import Letter, NothingToSay, page, release_of, roles_words, said
from releases.models import ActionItem, Choice, Decision, Invitation, Release, Reminder, Rollback, Status


def _why(row: Reminder, release: Release) -> str:
    if row.recipient_id == release.coordinator_id:
        return "you coordinate this release"
    return f"you are {roles_words(release, row.recipient)}"


def told(name: str, to: str = "") -> Callable[[Reminder, datetime], Letter]:
    """A mail whose facts stand in its row: who, why, what. `to` is the page its button opens."""

    def write(row: Reminder, now: datetime) -> Letter:
        release = release_of(row)
        facts = {"by": "", "reason": "", **row.data}
        path = page(to, release.key) if to else ""
        return Letter(name, facts, act=False, reason="watcher", path=path, why=_why(row, release))

    return write


def decision(row: Reminder, now: datetime) -> Letter:
    """The call, its rationale, ballots with dissent, overrides, action items; sequence and head of the chain."""
    release, person = release_of(row), row.recipient
    made = Decision.objects.select_related("by", "poll").get(pk=row.data["decision"])
    actions = [(action, said(action.due_at, person)) for action in made.action_items.select_related("owner")]
    mine = [action for action, _ in actions if action.owner_id == person.pk and action.state == ActionItem.State.OPEN]
    facts = {
        "decision": made,
        "call": made.get_call_display(),
        "go": made.is_go,
        "at": said(made.at, person),
        "tally": [{**entry, "words": Choice(entry["choice"]).label} for entry in made.tally],
        "overrides": list(made.overrides.filter(verb="decide")),
        "actions": actions,
        "mine": mine,
        "sequence": row.data["sequence"],
        "head": row.data["head"],
        "ended": made.ended_reason if not made.standing else "",
        "set_anew": not made.is_go and release.status != Status.NO_GO,
    }
    reason = "owner" if mine else "watcher"
    path = page("decision", release.key)
    return Letter("decision", facts, act=False, reason=reason, path=path, why=_why(row, release))


def rescheduled(row: Reminder, now: datetime) -> Letter:
    """From when to when, why, and when the reminders come now."""
    release, person = release_of(row), row.recipient
    was, is_at = datetime.fromisoformat(row.data["was"]), datetime.fromisoformat(row.data["now_at"])
    facts = {
        "was": said(was, person),
        "is_at": said(is_at, person),
        "window_end": said(release.window_end, person),
        "same": was == is_at,
        "outdated": is_at != release.t_zero,
        "reason": row.data["reason"],
        "by": row.data["by"],
        "marks": [(m.name, said(m.due_at, person)) for m in reminders.marks(release) if m.due_at > now],
    }
    return Letter("rescheduled", facts, act=False, reason="watcher", why=_why(row, release))


def closed(row: Reminder, now: datetime) -> Letter:
    release = release_of(row)
    facts = {**row.data, "at": said(release.ended_at or now, row.recipient)}
    path = page("record", release.key)
    return Letter("closed", facts, act=False, reason="watcher", path=path, why=_why(row, release))


def rollback_started(row: Reminder, now: datetime) -> Letter:
    release, run = release_of(row), _rollback(row)
    facts = {
        "rollback": run,
        "at": said(run.triggered_at, row.recipient),
        "over": run.ended_at is not None,
        "next_update": said(run.next_update_at, row.recipient) if run.next_update_at else "",
        "in_charge": run.in_charge_id == row.recipient_id,
    }
    return _urgent("rollback_started", facts, row, release)


def rollback_ended(row: Reminder, now: datetime) -> Letter:
    release, run = release_of(row), _rollback(row)
    facts = {
        "rollback": run,
        "at": said(run.ended_at or now, row.recipient),
        "status": release.state.label.lower(),
        "review_is_yours": run.review_owner_id == row.recipient_id,
    }
    return _urgent("rollback_ended", facts, row, release)


def _rollback(row: Reminder) -> Rollback:
    people = ("triggered_by", "in_charge", "review_owner", "ended_by")
    return Rollback.objects.select_related("release", *people).get(pk=row.data["rollback"])


def _urgent(name: str, facts: dict[str, object], row: Reminder, release: Release) -> Letter:
    path = page("rollback", release.key)
    return Letter(name, facts, act=False, urgent=True, reason="watcher", path=path, why=_why(row, release))


def taken_over(row: Reminder, now: datetime) -> Letter:
    release_of(row)
    facts = {"by": row.data["by"], "reason": row.data["reason"]}
    return Letter("taken_over", facts, reason="coordinator", why="you coordinated this release until then")


def invitation(row: Reminder, now: datetime) -> Letter:
    """The link is signed here, at send; no token is stored anywhere."""
    held = Invitation.objects.select_related("by").filter(pk=int(row.about.partition(":")[2])).first()
    if held is None or not held.is_open(timezone.now()):
        raise NothingToSay("the invitation is used or over")
    token = signing.dumps({"invitation": held.pk}, salt="invitation")
    facts = {"invitation": held, "until": said(held.expires_at, row.recipient)}
    return Letter("invitation", facts, path=reverse("invitation", args=[token]), why=f"{held.by.name} invited you")
