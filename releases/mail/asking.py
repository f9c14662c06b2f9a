"""The mails that ask for something: the T-reminders, the alarms, a new role, the poll."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from checklists.blueprints import Stage
from relcoord.models import User
from releases import ballots, duty, escalation, permissions, readiness, reminders
from releases.mail.words import (
    Letter,
    Line,
    NothingToSay,
    counted,
    duration,
    is_open,
    item_line,
    lines,
    listed,
    page,
    release_of,
    roles_words,
    short,
    standing_in,
)
from releases.models import (
    COORDINATOR,
    Ballot,
    Item,
    PhaseMoments,
    Release,
    Reminder,
    Seat,
    State,
    Status,
    holders,
    seats_of,
)

LATE_MAIL = timedelta(minutes=10)  # from then on a mail says how late it is


def mark(row: Reminder, now: datetime) -> Letter:
    """One mail a person and mark, across their roles: your ballot, your items, and for the coordinator the summary."""
    release, person = release_of(row), row.recipient
    mine = lines(release, person, now)
    seats, asked_now = seats_to_answer(release, person, now)
    leads = person.pk == release.coordinator_id
    oversees = COORDINATOR in permissions.roles_held(person, release, now)
    summary = Summary.of(release, now) if oversees else None
    if not (mine or seats or summary):
        raise NothingToSay("nothing open")
    lag = now - row.due_at
    facts = {
        "ask": _ask(mine, seats, asked_now, summary, person, now),
        "lines": mine,
        "seats": listed([seat.role.name for seat in seats], most=9),
        "asked_now": asked_now,
        "summary": summary,
        "leads": leads,
        "delayed": duration(lag) if lag > LATE_MAIL else "",
        **standing_in(release, person, now),
    }
    why = "you coordinate this release" if leads else f"you are {roles_words(release, person, now)}"
    reason = "voter" if seats else "owner" if mine else "coordinator"
    path = page("decision", release.key) if seats and not mine else ""
    return Letter("mark", facts, reason=reason, why=why, path=path)


def _ask(
    mine: list[Line], seats: list[Seat], asked_now: bool, summary: Summary | None, person: User, now: datetime
) -> str:
    """The subject's last part: what the reader must do, by when; else, for the coordinator, how it stands."""
    parts = ["your GO or NO-GO" if asked_now else "your GO or NO-GO is next"] if seats else []
    late = [line for line in mine if line.late]
    due = [line.due_at for line in mine if line.due_at and not line.late]
    if mine:
        by = f" by {short(min(due), person, now)}" if due else ""
        overdue = f", {len(late)} late" if late else ""
        parts.append(f"{counted(len(mine), 'item')} to do{by}{overdue}" if due or not late else _all_late(late))
    if not parts and summary:
        waiting = listed([name for name, _ in summary.waiting])
        parts.append(f"{summary.settled} of {summary.total} done" + (f", waiting on {waiting}" if waiting else ""))
    return ", ".join(parts)


def _all_late(late: list[Line]) -> str:
    return f"{counted(len(late), 'item')} late"


def seats_to_answer(release: Release, person: User, now: datetime) -> tuple[list[Seat], bool]:
    """The seats `person` has to answer for, and whether the poll is open already."""
    roles = permissions.roles_held(person, release, now)
    if release.status == Status.POLLING:
        return [seat for seat in unanswered(release) if seat.role.slug in roles], True
    deciding = any(m.has_opened(now) for m in release.plan if m.phase.stage == Stage.DECISION)
    if release.status == Status.PREPARING and deciding:
        return [seat for seat in seats_of(release) if seat.role.slug in roles], False
    return [], False


def unanswered(release: Release) -> list[Seat]:
    """The seats without a ballot in the open poll, or with one that no longer counts."""
    poll = readiness.open_poll_of(release)
    if poll is None:
        return []
    cast, shown = readiness.standing_ballots(poll), ballots.shown(release)

    def counts(ballot: Ballot | None) -> bool:
        return ballot is not None and not ballots.staleness(ballot, release, shown)

    return [seat for seat in seats_of(release) if not counts(cast.get(seat.pk))]


@dataclass(frozen=True)
class Summary:
    """How the release stands, for the coordinator: who is waited on, what holds it, what nobody holds."""

    settled: int
    total: int
    late: int
    waiting: list[tuple[str, int]]  # by name, the busiest first
    blocked: list[str]
    unheld: list[str]  # open items whose role nobody holds
    empty: list[str]  # required roles nobody holds
    votes: list[str]  # required seats without a ballot while the poll is open
    poll_due: bool  # the decision phase has opened, and the poll has not

    @classmethod
    def of(cls, release: Release, now: datetime) -> Summary:
        items = [(moments, item) for moments in release.plan for item in moments.phase.items.all()]
        still = [(moments, item) for moments, item in items if item.required and is_open(item, moments, now)]
        waiting: dict[str, int] = {}
        for _, item in still:
            for person in holders(release, item.role):
                waiting[person.name] = waiting.get(person.name, 0) + 1
        deciding = any(m.has_opened(now) for m in release.plan if m.phase.stage == Stage.DECISION)
        return cls(
            settled=sum(item.settled for _, item in items),
            total=len(items),
            late=sum(moments.is_late(item, now) for moments, item in still),
            waiting=sorted(waiting.items(), key=lambda entry: (-entry[1], entry[0])),
            blocked=[f"{item.title}: {item.state_reason}" for _, item in still if item.state == State.BLOCKED],
            unheld=[f"{item.title} ({item.role})" for _, item in still if not holders(release, item.role)],
            empty=list(reminders.empty_required_roles(release).values()),
            votes=[seat.role.name for seat in unanswered(release) if seat.required],
            poll_due=deciding and release.status == Status.PREPARING,
        )


def alarm(row: Reminder, now: datetime) -> Letter:
    """Undecided at T-1h or T-0, a GO that lapsed with its window, a required role without a holder."""
    release = release_of(row)
    empty = list(reminders.empty_required_roles(release).values())
    ready = readiness.go(release)
    unfilled = row.mark in (reminders.EMPTY_ROLE, reminders.EMPTY_AGAIN)
    facts = {
        "empty": listed(empty, most=9),
        "empty_briefly": listed(empty, most=2),
        "unfilled": unfilled,
        "again": row.mark == reminders.EMPTY_AGAIN,
        "poll_open": release.status == Status.POLLING,
        "gate": "" if ready.gate_passed else ready.sentence,
        **standing_in(release, row.recipient, now),
    }
    name = "release_people" if unfilled else "decision"
    path = page("schedule" if row.mark == reminders.LAPSED else name, release.key)
    leads = row.recipient_id == release.coordinator_id
    why = "you coordinate this release" if leads else f"you are {roles_words(release, row.recipient, now)}"
    return Letter("alarm", facts, reason="coordinator", path=path, why=why)


def overdue(row: Reminder, now: datetime) -> Letter:
    """What is past its due moment: to who must settle it, and when that was not enough to deputy and coordinator."""
    release, person = release_of(row), row.recipient
    found = escalation.for_reader(row, release, escalation.still_late(row, release, now), now)
    if not found:
        raise NothingToSay("settled in time")
    first = row.mark == escalation.FIRST
    waiting = {one.name: one for _, item in found for one in duty.on_duty(release, holders(release, item.role), now)}
    facts = {
        "lines": [_overdue_line(item, moments, row, now) for moments, item in found],
        "first": first,
        "waiting": listed(list(waiting), most=2),
        "deployed": all(item.phase.stage == Stage.POST_DEPLOYMENT for _, item in found),
        "waiting_many": len(waiting) > 1,
        "only_you": list(waiting.values()) == [person],
        **standing_in(release, person, now),
    }
    leads = person.pk == release.coordinator_id
    why = "you coordinate this release" if leads else f"you are {roles_words(release, person, now)}"
    return Letter("escalation", facts, reason="owner" if first else "coordinator", why=why)


def _overdue_line(item: Item, moments: PhaseMoments, row: Reminder, now: datetime) -> Line:
    """The line of an item; when it is told to others than those who must settle it, it says whose it is."""
    line, release = item_line(item, moments, row.recipient, now), item.phase.release
    others = [one.name for one in holders(release, item.role) if one.pk != row.recipient_id]
    if item.role and not holders(release, item.role):
        return replace(line, notes=(*line.notes, f"nobody is {item.role}"))
    return replace(line, notes=(*line.notes, listed(others))) if others else line


def assigned(row: Reminder, now: datetime) -> Letter:
    """What a sitting gave somebody: their roles as they are now, and the items that come with them."""
    release, person = release_of(row), row.recipient
    if release.is_final:
        raise NothingToSay(f"the release is {release.state.label.lower()}")
    held = {entry.role_id for entry in release.assignments.all() if entry.user_id == person.pk}
    if not held:
        raise NothingToSay("no longer holds a role")
    items = [
        (item.title, _due_words(moments.due_of(item), person, now))
        for moments in release.plan
        for item in moments.phase.items.all()
        if item.role_id in held and not item.settled
    ]
    seats, asked_now = seats_to_answer(release, person, now)
    facts = {
        "roles": roles_words(release, person),
        "items": items,
        "seats": listed([seat.role.name for seat in seats], most=9) if asked_now else "",
        "by": row.data.get("by", ""),
    }
    return Letter("assigned", facts, why=f"you are {facts['roles']}")


def _due_words(due: datetime | None, person: User, now: datetime) -> str:
    return f"due {short(due, person, now)}" if due else ""


def asked(row: Reminder, now: datetime) -> Letter:
    """The poll is open and waits for the reader."""
    release, person = release_of(row), row.recipient
    seats, asked_now = seats_to_answer(release, person, now)
    if not (seats and asked_now):
        raise NothingToSay("has answered, or the poll is over")
    ready = readiness.before_decision(release)
    words = listed([seat.role.name for seat in seats], most=9)
    facts = {"seats": words, "gate": ready.sentence, "passed": ready.gate_passed, "by": row.data["by"]}
    facts |= standing_in(release, person, now)
    return Letter("asked", facts, reason="voter", path=page("decision", release.key), why=f"you vote as {words}")


def spoken(row: Reminder, now: datetime) -> Letter:
    """The coordinator recorded what the reader said in the meeting."""
    release = release_of(row)
    number = int(row.about.partition(":")[2])
    ballot = Ballot.objects.select_related("seat__role", "spoken_by").filter(pk=number).first()
    if ballot is None or not ballot.standing:
        raise NothingToSay("the ballot was changed since")
    facts = {"ballot": ballot, "choice": ballot.get_choice_display(), "open": release.status == Status.POLLING}
    why = f"a ballot was recorded in your name as {ballot.seat.role.name}"
    return Letter("spoken", facts, reason="voter", path=page("decision", release.key), why=why)
