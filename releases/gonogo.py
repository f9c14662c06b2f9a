"""The go/no-go: open a poll, cast ballots, decide, withdraw, and the action items that follow.

The decision is the coordinator's, apart from the tally; it is never edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from checklists.blueprints import Kind
from releases import ballots, clearance, events, permissions, readiness, reminders, tasks, workflow
from releases.errors import DomainError, NotReady
from releases.models import (
    ActionItem,
    Ballot,
    Call,
    Choice,
    Decision,
    Item,
    Override,
    Poll,
    Release,
    Reminder,
    Seat,
    Status,
    holders,
    seats_of,
)
from releases.readiness import Readiness

if TYPE_CHECKING:
    from relcoord.models import User


@dataclass(frozen=True)
class FollowUp:
    """An action item as a form gives it. `blocks`: a value of `ActionItem.Blocks`."""

    title: str
    owner: User
    due_at: datetime
    blocks: str = ActionItem.Blocks.POLL


@dataclass(frozen=True)
class Next:
    """What a NO-GO says of T-0: a new window, the same T-0 again, or (neither) not yet."""

    window: workflow.Window | None = None
    same: bool = False


@transaction.atomic
def open_poll(release: Release, *, by: User) -> Poll:
    """Ask every seat for its GO or NO-GO. Refused while an action item blocks the next poll."""
    release = Release.objects.lock(release)
    permissions.require(by, "open_poll", release)
    if release.status != Status.PREPARING:
        raise DomainError(f"{release.key} is {release.state.label}; a poll opens while it is being prepared")
    ready = readiness.before_decision(release)
    if blocking := ready.of_kind("action_item"):
        raise NotReady(f"The poll cannot open: {blocking[0].words}. Settle or waive it first", ready)
    if not release.seats.exists():
        raise DomainError(f"{release.key} has no seats; its checklist names nobody to ask")
    now = timezone.now()
    last = release.polls.aggregate(last=Max("round"))["last"] or 0
    poll = Poll.objects.create(
        release=release, round=last + 1, schedule_version=release.schedule_version, opened_at=now, opened_by=by
    )
    before, after = clearance.move(release, Status.POLLING)
    events.record(release, "poll.opened", by=by, before=before, after=after, poll=poll.pk, round=poll.round)
    readiness.load(release)
    voters, about = reminders.voters(release, now), reminders.about_poll(poll)
    Reminder.objects.owe(Reminder.Kind.ASKED, voters, now=now, release=release, about=about, by=by.name)
    tasks.look_on_commit()
    return poll


@transaction.atomic
def cast_ballot(
    release: Release,
    seat: Seat,
    choice: Choice,
    *,
    by: User,
    statement: str = "",
    spoken_by_holder: User | None = None,
) -> Ballot:
    """Answer for `seat`; changeable until the decision, history kept.

    With `spoken_by_holder` the coordinator records what that holder said in the meeting: the holder is
    mailed and may correct it. What the voter was shown is kept with the ballot.
    """
    release = Release.objects.lock(release)
    seat = Seat.objects.select_related("role").get(pk=seat.pk, release=release)
    permissions.require(by, "record_spoken" if spoken_by_holder else "vote", release, on=seat)
    poll = _open_poll(release)
    if choice == Choice.NO_GO and not statement.strip():
        raise DomainError("A NO-GO needs its statement: what speaks against it")
    readiness.load(release)
    voter, deputy = _voter(release, seat, by, spoken_by_holder)
    shown = ballots.shown(release)
    poll.ballots.filter(seat=seat, standing=True).update(standing=False)
    ballot = Ballot.objects.create(
        poll=poll,
        seat=seat,
        voter=voter,
        deputy=deputy,
        choice=choice,
        statement=statement.strip(),
        cast_at=timezone.now(),
        spoken_by=by if spoken_by_holder else None,
        schedule_version=release.schedule_version,
        seen=shown,
        seen_hash=ballots.hash_of(shown),
    )
    events.record(
        release,
        "ballot.cast",
        by=by,
        on=ballot,
        after={"seat": seat.role.slug, "choice": ballot.choice, "voter": voter.pk, "standing": True},
        poll=poll.pk,
        round=poll.round,
        seat_name=seat.role.name,
        voter=voter.name,
        statement=ballot.statement,
        spoken=ballot.spoken,
        deputy=deputy.name if deputy else "",
        seen=ballot.seen_hash,
    )
    if spoken_by_holder:
        Reminder.objects.owe(
            Reminder.Kind.SPOKEN, [voter], now=ballot.cast_at, release=release, about=f"ballot:{ballot.pk}", by=by.name
        )
    tasks.look_on_commit()
    return ballot


def _voter(release: Release, seat: Seat, by: User, spoken_by_holder: User | None) -> tuple[User, User | None]:
    """Who answers, and the deputy who does it for them."""
    people = holders(release, seat.role)
    if spoken_by_holder is not None:
        if all(person.pk != spoken_by_holder.pk for person in people):
            raise DomainError(f"{spoken_by_holder.name} does not hold {seat.role.name}; choose its holder")
        return spoken_by_holder, None
    absent = permissions.acting_for(by, release, seat.role)
    return (absent, by) if absent else (by, None)


def _open_poll(release: Release) -> Poll:
    poll = readiness.open_poll_of(release)
    if poll is None or release.status != Status.POLLING:
        raise DomainError(f"{release.key} has no open go/no-go poll")
    return poll


@transaction.atomic
def decide(
    release: Release,
    call: Call,
    *,
    by: User,
    rationale: str,
    override: str = "",
    conditions: Sequence[FollowUp] = (),
    action_items: Sequence[FollowUp] = (),
    then: Next | None = None,
) -> Decision:
    """Record the coordinator's call on the open poll.

    A GO needs the gate, or an `override` that says why not; a CONDITIONAL_GO also its `conditions`. A NO-GO
    takes its reasons as `rationale`, its `action_items`, and `then`, all in this one transaction.
    NotReady names what is open. Nothing is written when it raises.
    """
    release = Release.objects.lock(release)
    permissions.require(by, "decide", release)
    poll = _open_poll(release)
    if release.open_hold:
        raise DomainError(f"{release.key} is on hold: {release.open_hold.reason}. Resume the clock before deciding")
    if not rationale.strip():
        raise DomainError("A decision needs its rationale: what spoke for it, what against")
    ready = readiness.go(release, poll)
    _check_call(release, call, ready, override, conditions)
    decision = _record(release, poll, call, ready, by=by, rationale=rationale.strip())
    if call == Call.NO_GO:
        return _no_go(release, decision, by=by, action_items=action_items, then=then or Next())
    if ready.hindrances:
        _record_override(release, decision, ready, override.strip(), by=by)
    for condition in conditions:
        _follow_up(release, condition, ActionItem.Source.CONDITION, by=by, decision=decision)
    _tell_decision(release, decision, by=by)
    return decision


def _check_call(release: Release, call: Call, ready: Readiness, override: str, conditions: Sequence[FollowUp]) -> None:
    if call == Call.NO_GO:
        return
    if timezone.now() >= release.window_end:
        raise DomainError("The window has ended; a GO now needs a new one. Record NO-GO and reschedule")
    if call == Call.CONDITIONAL_GO and not conditions:
        raise DomainError("A conditional GO needs at least one condition, with an owner and a due date")
    allowed = (ActionItem.Blocks.START, ActionItem.Blocks.FINISH, ActionItem.Blocks.CLOSE)
    if any(condition.blocks not in allowed for condition in conditions):
        raise DomainError("A condition holds the start, the end of the deployment or the closing: choose which")
    if not ready.gate_passed and not (ready.overridable and override.strip()):
        raise NotReady(f"The gate does not hold: {ready.sentence}. A GO needs an override that says why", ready)


def _record(release: Release, poll: Poll, call: Call, ready: Readiness, *, by: User, rationale: str) -> Decision:
    """Close the poll with its decision, settle the decision item, move the release."""
    now = timezone.now()
    tally = [
        {
            "seat": ballot.seat.role.name,
            "voter": ballot.voter.name,
            "choice": ballot.choice,
            "statement": ballot.statement,
            "spoken": ballot.spoken,
            "stale": ballots.staleness(ballot, release),
        }
        for ballot in readiness.standing_ballots(poll).values()
    ]
    gate = {"passed": ready.gate_passed, "hindrances": [hindrance.as_data() for hindrance in ready.hindrances]}
    poll.state, poll.closed_at = Poll.State.DECIDED, now
    poll.save(update_fields=["state", "closed_at"])
    decision = Decision.objects.create(
        release=release,
        poll=poll,
        call=call,
        rationale=rationale,
        by=by,
        at=now,
        schedule_version=release.schedule_version,
        gate=gate,
        tally=tally,
    )
    for item in Item.objects.of(release).filter(kind=Kind.DECISION):
        workflow.settle(item, release, by=by, now=now)
    before, after = clearance.move(release, Status.NO_GO if call == Call.NO_GO else Status.CLEARED)
    events.record(
        release,
        "decision.recorded",
        by=by,
        on=decision,
        before=before,
        after=after | {"call": call.value},
        round=poll.round,
        poll=poll.pk,
        rationale=rationale,
        tally=tally,
        gate=gate,
    )
    clearance.supersede(release, "the decision was made", kinds=(Reminder.Kind.ASKED,))
    return decision


def _record_override(release: Release, decision: Decision, ready: Readiness, reason: str, *, by: User) -> None:
    named = [hindrance.as_data() for hindrance in ready.hindrances]
    row = Override.objects.create(
        release=release, decision=decision, verb="decide", overrides=named, reason=reason, by=by, at=decision.at
    )
    events.record(release, "override.recorded", by=by, on=row, verb="decide", overrides=named, reason=reason)


def _no_go(release: Release, decision: Decision, *, by: User, action_items: Sequence[FollowUp], then: Next) -> Decision:
    """What follows a NO-GO, in the same transaction: action items, the mail, and T-0 anew, the same, or not yet."""
    for entry in action_items:
        _follow_up(release, entry, ActionItem.Source.NO_GO, by=by, decision=decision)
    _tell_decision(release, decision, by=by)
    _then(release, then, by=by, reason=decision.rationale)
    return decision


def _then(release: Release, then: Next, *, by: User, reason: str) -> None:
    if then.window is not None:
        workflow.reschedule(release, then.window, by=by, reason=reason)
    elif then.same:
        same = workflow.Window(release.t_zero, release.window_end, release.time_zone, release.t_zero_wall)
        workflow.reschedule(release, same, by=by, reason=reason)


def _tell_decision(release: Release, decision: Decision, *, by: User) -> None:
    """The mail carries the chain's sequence and head, so that a record can be checked against it years later."""
    clearance.tell_everyone(
        release,
        Reminder.Kind.DECISION,
        now=decision.at,
        about=f"decision:{decision.pk}",
        decision=decision.pk,
        by=by.name,
        sequence=release.event_sequence,
        head=release.event_head,
    )
    tasks.look_on_commit()


def _follow_up(
    release: Release, entry: FollowUp, source: ActionItem.Source, *, by: User, decision: Decision | None = None
) -> ActionItem:
    if not entry.title.strip():
        raise DomainError("Each action item says what has to happen")
    row = ActionItem.objects.create(
        release=release,
        source=source,
        blocks=entry.blocks,
        title=entry.title.strip()[:300],
        owner=entry.owner,
        due_at=entry.due_at,
        decision=decision,
    )
    release.forget()
    events.record(
        release,
        "action.created",
        by=by,
        on=row,
        after={"state": "open"},
        source=source.value,
        blocks=row.blocks,
        owner=entry.owner,
        due_at=row.due_at,
    )
    return row


@transaction.atomic
def add_action(release: Release, entry: FollowUp, *, by: User) -> ActionItem:
    """Add an action item to a NO-GO that stands."""
    release = Release.objects.lock(release)
    permissions.require(by, "decide", release)
    if release.status != Status.NO_GO:
        raise DomainError(f"{release.key} is {release.state.label}; action items belong to a NO-GO")
    return _follow_up(release, entry, ActionItem.Source.NO_GO, by=by)


@transaction.atomic
def settle_action(row: ActionItem, state: ActionItem.State, *, by: User, reason: str = "") -> ActionItem:
    """Mark it done (its owner or the coordinator), waived (the coordinator, with a reason) or open again."""
    release = Release.objects.lock(row.release)
    row = ActionItem.objects.select_related("owner").get(pk=row.pk)
    permissions.require(by, "waive_action" if state == "waived" else "settle_action", release, on=row)
    if row.state == state:
        return row
    if state == ActionItem.State.WAIVED and not reason.strip():
        raise DomainError("Say why it is waived")
    before, row.state = {"state": row.state}, state
    row.state_by, row.state_at, row.state_reason = by, timezone.now(), reason.strip()
    row.save(update_fields=["state", "state_by", "state_at", "state_reason"])
    events.record(
        release, "action.settled", by=by, on=row, before=before, after={"state": str(state)}, reason=reason.strip()
    )
    return row


@transaction.atomic
def withdraw_poll(release: Release, reason: str, *, by: User) -> Release:
    """Void the open poll and go back to preparing. Those who were asked are told."""
    release = Release.objects.lock(release)
    permissions.require(by, "withdraw", release)
    _open_poll(release)
    if not reason.strip():
        raise DomainError("Say why the poll is withdrawn")
    now = timezone.now()
    clearance.void_poll(release, reason.strip(), by=by, now=now)
    before, after = clearance.move(release, Status.PREPARING)
    events.record(release, "poll.withdrawn", by=by, before=before, after=after, reason=reason.strip())
    clearance.supersede(release, "the poll was withdrawn", kinds=(Reminder.Kind.ASKED,))
    readiness.load(release)
    asked = [person for seat in seats_of(release) for person in holders(release, seat.role)]
    asked += reminders.voters(release)
    Reminder.objects.owe(
        Reminder.Kind.WITHDRAWN, asked, now=now, release=release, what="poll", reason=reason.strip(), by=by.name
    )
    tasks.look_on_commit()
    return release


@transaction.atomic
def withdraw_go(
    release: Release, reason: str, *, by: User, action_items: Sequence[FollowUp] = (), then: Next | None = None
) -> Release:
    """Take a GO back: the release is NO-GO, with action items and T-0 anew, the same, or not yet, as for any NO-GO."""
    release = Release.objects.lock(release)
    permissions.require(by, "withdraw", release)
    if release.status != Status.CLEARED:
        raise DomainError(f"{release.key} is {release.state.label}; there is no GO to withdraw")
    if not reason.strip():
        raise DomainError("Say why the GO is withdrawn")
    now = timezone.now()
    clearance.end_decision(release, reason.strip(), by=by, now=now)
    before, after = clearance.move(release, Status.NO_GO)
    events.record(release, "release.go_withdrawn", by=by, before=before, after=after, reason=reason.strip())
    clearance.tell_everyone(release, Reminder.Kind.WITHDRAWN, now=now, what="GO", reason=reason.strip(), by=by.name)
    for entry in action_items:
        _follow_up(release, entry, ActionItem.Source.NO_GO, by=by)
    _then(release, then or Next(), by=by, reason=reason.strip())
    tasks.look_on_commit()
    return Release.objects.get(pk=release.pk)
