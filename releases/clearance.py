"""Taking a GO back, voiding a poll, reopening what no longer holds. The smallest verbs, used by several above.

Everything here expects the release locked by its caller.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from checklists.blueprints import Kind, Stage
from releases import events
from releases.errors import DomainError
from releases.models import MOVES, SETTLED, Decision, Item, Poll, Release, Reminder, State, Status

if TYPE_CHECKING:
    from relcoord.models import User


def move(release: Release, to: Status) -> tuple[dict[str, str], dict[str, str]]:
    """Change the status; returns (before, after) for the event. DomainError for a move the drawing does not have."""
    if to not in MOVES[release.status]:
        raise DomainError(f"{release.key} is {release.state.label}; it cannot become {to.label} from there")
    before = {"status": release.status}
    release.status = to
    release.save(update_fields=["status"])
    release.forget()
    return before, {"status": to.value}


def standing_decision(release: Release) -> Decision | None:
    return release.decisions.filter(standing=True).order_by("-at").first()


def end_decision(release: Release, reason: str, *, by: User, now: datetime) -> Decision | None:
    """The standing decision no longer stands. It is not edited: when and why it ended is written beside it."""
    decision = standing_decision(release)
    if decision is None:
        return None
    decision.standing, decision.ended_at, decision.ended_reason = False, now, reason
    decision.save(update_fields=["standing", "ended_at", "ended_reason"])
    events.record(
        release,
        "decision.ended",
        by=by,
        on=decision,
        before={"standing": True},
        after={"standing": False},
        call=decision.call,
        reason=reason,
    )
    return decision


def void_poll(release: Release, reason: str, *, by: User, now: datetime) -> Poll | None:
    """The open poll, if any, counts no more; its ballots stay as history."""
    poll = release.polls.filter(state=Poll.State.OPEN).first()
    if poll is None:
        return None
    poll.state, poll.closed_at, poll.void_reason = Poll.State.VOID, now, reason
    poll.save(update_fields=["state", "closed_at", "void_reason"])
    events.record(
        release,
        "poll.voided",
        by=by,
        on=poll,
        before={"state": "open"},
        after={"state": "void"},
        round=poll.round,
        reason=reason,
    )
    return poll


def revoke_go(release: Release, reason: str, *, by: User, now: datetime, because: str) -> None:
    """A gate item came open after GO: back to `preparing`, everyone told. `because` names what came open."""
    end_decision(release, reason, by=by, now=now)
    reopen_decision_items(release, by=by, now=now, kinds=(Kind.DECISION,))
    before, after = move(release, Status.PREPARING)
    events.record(release, "release.go_revoked", by=by, before=before, after=after, reason=reason, because=because)
    tell_everyone(release, Reminder.Kind.REVOKED, now=now, reason=reason, because=because, by=by.name)


def reopen_items(release: Release, items: list[Item], why: str, *, by: User | None, now: datetime) -> list[Item]:
    """Set settled `items` open again, each with its event; returns those that changed."""
    changed = [item for item in items if item.state != State.OPEN]
    for item in changed:
        before = {"state": item.state}
        item.state, item.state_reason, item.state_at, item.state_by, item.state_for = State.OPEN, "", now, by, ""
        item.version += 1
        item.save(update_fields=["state", "state_reason", "state_at", "state_by", "state_for", "version"])
        events.record(
            release, "item.reopened", by=by, on=item, before=before, after={"state": State.OPEN.value}, reason=why
        )
    release.forget()
    return changed


def reopen_decision_items(
    release: Release, *, by: User, now: datetime, kinds: tuple[Kind, ...] | None = None
) -> list[Item]:
    """Reopen the decision phase's items (all of them on leaving a NO-GO), or only those of `kinds`."""
    return reopen_items(release, decision_items(release, kinds), "the decision has to be made anew", by=by, now=now)


def decision_items(release: Release, kinds: tuple[Kind, ...] | None = None) -> list[Item]:
    """The settled items of the decision phase that have to be answered anew, or those of them that are of `kinds`."""
    items = Item.objects.of(release).filter(phase__stage=Stage.DECISION, state__in=SETTLED)
    return list(items.filter(kind__in=kinds) if kinds else items.exclude(kind=Kind.COMPUTED))


def reopen_bound_items(release: Release, *, by: User, now: datetime) -> list[Item]:
    """Reopen what is bound to the window: its answers were for the old one."""
    return reopen_items(release, bound_items(release), "the window has moved", by=by, now=now)


def bound_items(release: Release) -> list[Item]:
    """The settled items bound to the window that a reschedule reopens."""
    early = (Stage.PREPARATION, Stage.DECISION)
    found = Item.objects.of(release).filter(bound_to_window=True, phase__stage__in=early)
    return list(found.filter(state__in=SETTLED))


def everyone(release: Release) -> list[User]:
    """All who hold a role in the release, once each."""
    rows = release.assignments.select_related("user")
    people = {row.user_id: row.user for row in rows} | {release.coordinator_id: release.coordinator}
    return list(people.values())


def tell_everyone(release: Release, kind: str, *, now: datetime, about: str = "", **data: Any) -> None:
    """Owe one mail of `kind` to everybody on the release."""
    Reminder.objects.owe(kind, everyone(release), now=now, release=release, about=about, **data)


def supersede(release: Release, reason: str, *, kinds: tuple[str, ...]) -> int:
    """Planned rows of `kinds` that speak of what is no longer so are superseded; returns how many."""
    rows = Reminder.objects.planned().filter(release=release, kind__in=kinds)
    return rows.update(state=Reminder.State.SUPERSEDED, reason=reason)
