"""What each mail says. A row of the ledger comes in, a message goes out; who and what is decided now, at send.

`build` raises `NothingToSay` when nobody needs this mail any more. Mails of the kind *know* share one subject a
release, so that programs thread them; those of the kind *act* carry their own and stand alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from relcoord.lib.mail import compose
from relcoord.models import User
from releases import readiness, reminders
from releases.models import (
    Ballot,
    Decision,
    Invitation,
    Item,
    PhaseMoments,
    Release,
    Reminder,
    Rollback,
    Seat,
    Status,
    holders,
)
from releases.permissions import roles_held


class NothingToSay(Exception):
    """The mail is not needed any more; the words say why, for the ledger."""


@dataclass
class Letter:
    """What a kind of mail adds to what all have in common."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    act: bool = True  # the reader must do something; else they should know
    reason: str = "owner"  # X-Relcoord-Reason
    urgent: bool = False
    path: str = ""  # where the button leads; the release's page by default
    why: str = "you hold a role in this release"


def message_id(pk: int) -> str:
    """Derived from the row alone, so that the rare second copy carries the same one."""
    return f"<reminder-{pk}@{settings.SITE_HOST}>"


def build(row: Reminder, now: datetime) -> EmailMultiAlternatives:
    """Write the mail of `row` as things are at `now`. Raises NothingToSay."""
    letter = _WRITERS[Reminder.Kind(row.kind)](row, now)
    release = row.release
    context = common(row.recipient, release, now) | letter.facts | {"why": letter.why, "mark": row.mark}
    context["url"] = settings.SITE_URL + (letter.path or (release.get_absolute_url() if release else "/"))
    lead = release.coordinator if release else None
    return compose(
        letter.name,
        (row.recipient.name, row.recipient.email),
        context,
        message_id=row.message_id or message_id(row.pk),
        sender=release.title if release else "",
        reply_to=(lead.name, lead.email) if lead and lead.pk != row.recipient_id else None,
        headers=_headers(release, letter) | {"X-Relcoord-Reason": letter.reason},
    )


def _headers(release: Release | None, letter: Letter) -> dict[str, str]:
    found: dict[str, str] = {}
    if release is not None:
        thread = f"<release-{release.pk}@{settings.SITE_HOST}>"
        found["References"] = thread
        found["List-Id"] = f"{release.key} <{release.key.lower().replace('.', '-')}.{settings.SITE_HOST}>"
        if not letter.act and not letter.urgent:
            found |= {"In-Reply-To": thread, "Thread-Topic": f"{release.title} release"}
    if letter.urgent:
        found["Importance"] = "high"
    return found


# Times and addresses in words


def zone_of(person: User) -> ZoneInfo:
    return ZoneInfo(person.time_zone or settings.TIME_ZONE)


def said(moment: datetime, person: User, *, with_utc: bool = True) -> str:
    """`Thu 26 Nov 14:00 CET (13:00 UTC)`, in the reader's zone."""
    here, there = moment.astimezone(zone_of(person)), moment.astimezone(UTC)
    words = f"{here:%a} {here.day} {here:%b %H:%M} {here.tzname()}"
    if not with_utc or here.utcoffset() == timedelta(0):
        return words
    day = "" if here.date() == there.date() else f"{there:%a} "
    return f"{words} ({day}{there:%H:%M} UTC)"


def short(moment: datetime, person: User) -> str:
    """`Thu 14:00`, for subjects."""
    return f"{moment.astimezone(zone_of(person)):%a %H:%M}"


def duration(length: timedelta) -> str:
    minutes = int(abs(length).total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def link(name: str, *args: Any) -> str:
    return str(settings.SITE_URL) + reverse(name, args=args)


def common(person: User, release: Release | None, now: datetime) -> dict[str, Any]:
    """What every mail can say of its reader and its release."""
    context: dict[str, Any] = {"person": person, "release": release, "site": settings.SITE_URL}
    if release is None:
        return context
    readiness.load(release)
    items = [item for moments in release.plan for item in moments.phase.items.all()]
    clock = "on hold" if release.open_hold else "NO-GO" if release.clock_stopped else t_words(release, now)
    return context | {
        "t_zero": said(release.t_zero, person),
        "window_end": said(release.window_end, person, with_utc=False),
        "date": f"{release.t_zero.astimezone(release.zone):%-d %b}",
        "clock": clock,
        "settled": sum(item.settled for item in items),
        "total": len(items),
        "coordinator": release.coordinator,
    }


def t_words(release: Release, now: datetime) -> str:
    """`T-1d`, `T-4h`, `T-20 min`, `T+5 min`: how far T-0 is."""
    away = release.t_zero - now
    sign = "T-" if away > timedelta(0) else "T+"
    return sign + duration(away).replace(" h", "h").replace(" d", "d")


# T-reminders


@dataclass(frozen=True)
class Line:
    """One open item as a mail lists it."""

    title: str
    phase: str
    due: str
    late: str
    blocked: str
    wants: str
    url: str


def _lines(release: Release, person: User, roles: frozenset[str], now: datetime) -> tuple[list[Line], list[Line]]:
    """(late, open): what `person` holds of the phases that have opened, unsettled."""
    late: list[Line] = []
    still: list[Line] = []
    for moments in release.plan:
        for item in moments.phase.items.all():
            if not (moments.has_opened(now) and _open_for(item, release, person, roles)):
                continue
            is_late = moments.is_late(item, now)
            (late if is_late else still).append(_line(moments, item, person, now, is_late))
    return late, still


def _open_for(item: Item, release: Release, person: User, roles: frozenset[str]) -> bool:
    mine = item.role.slug in roles if item.role else release.coordinator_id == person.pk
    by_hand = item.kind not in (Kind.COMPUTED, Kind.DECISION)
    return mine and by_hand and item.required and not item.settled and not item.is_locked


def _line(moments: PhaseMoments, item: Item, person: User, now: datetime, is_late: bool) -> Line:
    due = moments.due_of(item)
    return Line(
        title=item.title,
        phase=moments.phase.name,
        due=f"due {short(due, person)}" if due else "",
        late=f"late {duration(now - due)}" if due and is_late else "",
        blocked=item.state_reason if item.state == "blocked" else "",
        wants="needs evidence" if item.evidence_wanted else item.condition,
        url=settings.SITE_URL + item.get_absolute_url(),
    )


def held_now(person: User, release: Release) -> frozenset[str]:
    """The roles `person` holds in person, deputizing apart."""
    return frozenset(row.role.slug for row in release.assignments.all() if row.user_id == person.pk)


def mark(row: Reminder, now: datetime) -> Letter:
    """One mail a person and mark, across their roles: your ballot, your items, and for the coordinator the summary."""
    release, person = _release(row), row.recipient
    readiness.load(release)
    roles = roles_held(person, release)
    late, still = _lines(release, person, roles, now)
    seats, asked_now = _votes(release, roles, now)
    leads = person.pk == release.coordinator_id
    summary = _summary(release, now) if leads else None
    if not (late or still or seats or summary):
        raise NothingToSay("nothing open")
    lag = now - row.due_at
    facts = {
        "late": late,
        "still": still,
        "seats": " and ".join(seat.role.name for seat in seats),
        "asked_now": asked_now,
        "summary": summary,
        "count": len(late) + len(still),
        "by": _deadline(release, now, person),
        "delayed": duration(lag) if lag > timedelta(minutes=10) else "",
    }
    why = "coordinator" if leads else "voter" if seats and not (late or still) else "owner"
    words = "you coordinate this release" if leads else f"you hold {_roles_words(release, person)}"
    path = f"{release.get_absolute_url()}decision/" if seats and not facts["count"] else ""
    return Letter("mark", facts, reason=why, why=words, path=path)


def _release(row: Reminder) -> Release:
    if row.release is None:
        raise NothingToSay("its release is gone")
    return row.release


def _roles_words(release: Release, person: User) -> str:
    names = [row.role.name for row in release.assignments.all() if row.user_id == person.pk]
    return " and ".join(names) or "a role here for an absent colleague"


def _deadline(release: Release, now: datetime, person: User) -> str:
    following = next((m.opens_at for m in release.plan if m.opens_at and m.opens_at > now), release.t_zero)
    return short(following, person)


def _votes(release: Release, roles: frozenset[str], now: datetime) -> tuple[list[Seat], bool]:
    """The seats the reader still has to answer for, and whether the poll is open already."""
    if release.status == Status.POLLING:
        return _unanswered(release, roles), True
    deciding = any(m.has_opened(now) for m in release.plan if m.phase.stage == Stage.DECISION)
    if release.status == Status.PREPARING and deciding:
        return [seat for seat in release.seats.all() if seat.role.slug in roles], False
    return [], False


def _unanswered(release: Release, roles: frozenset[str]) -> list[Seat]:
    """The seats of `roles` that have not answered the open poll."""
    poll = readiness.open_poll_of(release)
    if poll is None:
        return []
    answered = readiness.standing_ballots(poll)
    return [seat for seat in release.seats.all() if seat.role.slug in roles and seat.pk not in answered]


def _summary(release: Release, now: datetime) -> dict[str, Any]:
    """Who is waited on, what is late or blocked, which required roles are empty: for the coordinator."""
    waiting: dict[str, int] = {}
    blocked, late = 0, 0
    for moments in release.plan:
        for item in moments.phase.items.all():
            if not moments.has_opened(now) or item.settled or item.is_locked or not item.required:
                continue
            if item.kind in (Kind.COMPUTED, Kind.DECISION):
                continue
            blocked += item.state == "blocked"
            late += moments.is_late(item, now)
            for person in holders(release, item.role):
                waiting[person.name] = waiting.get(person.name, 0) + 1
    return {
        "waiting": sorted(waiting.items(), key=lambda entry: (-entry[1], entry[0])),
        "blocked": blocked,
        "late": late,
        "empty": reminders.empty_required_roles(release),
    }


def alarm(row: Reminder, now: datetime) -> Letter:
    """Undecided at T-1h or T-0, lapsed at the end of the window, a required role without a holder."""
    release = _release(row)
    facts = {"empty": reminders.empty_required_roles(release), "poll_open": release.status == "polling"}
    path = f"{release.get_absolute_url()}{'people' if row.mark == 'empty role' else 'decision'}/"
    return Letter("alarm", facts, reason="coordinator", path=path, why="you lead this release")


# Events


def assigned(row: Reminder, now: datetime) -> Letter:
    release, person = _release(row), row.recipient
    readiness.load(release)
    roles = held_now(person, release)
    if release.is_final:
        raise NothingToSay(f"the release is {release.state.label.lower()}")
    if not roles:
        raise NothingToSay("no longer holds a role")
    mine = [
        item.title
        for moments in release.plan
        for item in moments.phase.items.all()
        if item.role and item.role.slug in roles and not item.settled
    ]
    facts = {"roles": _roles_words(release, person), "items": mine, "by": row.data.get("by", "")}
    return Letter("assigned", facts)


def asked(row: Reminder, now: datetime) -> Letter:
    release = _release(row)
    readiness.load(release)
    seats = _unanswered(release, roles_held(row.recipient, release))
    if not seats:
        raise NothingToSay("has answered, or the poll is over")
    ready = readiness.before_decision(release)
    facts = {"seats": " and ".join(seat.role.name for seat in seats), "gate": ready.sentence, "by": row.data["by"]}
    path = f"{release.get_absolute_url()}decision/"
    return Letter("asked", facts, reason="voter", path=path, why=f"you vote as {facts['seats']}")


def spoken(row: Reminder, now: datetime) -> Letter:
    ballot = Ballot.objects.select_related("seat__role", "spoken_by").filter(pk=_about(row)).first()
    if ballot is None or not ballot.standing:
        raise NothingToSay("the ballot was changed since")
    path = f"{_release(row).get_absolute_url()}decision/"
    return Letter(
        "spoken",
        {"ballot": ballot, "choice": ballot.get_choice_display()},
        reason="voter",
        path=path,
        why="a ballot was recorded in your name",
    )


def _about(row: Reminder) -> int:
    return int(row.about.partition(":")[2])


def decision(row: Reminder, now: datetime) -> Letter:
    made = Decision.objects.select_related("by", "poll").get(pk=row.data["decision"])
    release = _release(row)
    facts = {
        "decision": made,
        "call": made.get_call_display(),
        "at": said(made.at, row.recipient),
        "dissent": [entry for entry in made.tally if entry["choice"] == "no_go"],
        "tally": [{**entry, "words": _choice(entry["choice"])} for entry in made.tally],
        "overrides": list(made.overrides.filter(verb="decide")),
        "actions": [(a, said(a.due_at, row.recipient)) for a in made.action_items.select_related("owner")],
        "sequence": row.data["sequence"],
        "head": row.data["head"],
        "stands": made.standing,
        "moved": not made.is_go and not release.clock_stopped,
    }
    path = f"{release.get_absolute_url()}decision/"
    return Letter("decision", facts, act=False, reason="watcher", path=path)


def _choice(value: str) -> str:
    return {"go": "GO", "no_go": "NO-GO", "abstain": "ABSTAIN"}[value]


def rescheduled(row: Reminder, now: datetime) -> Letter:
    person = row.recipient
    facts = {
        "was": said(datetime.fromisoformat(row.data["was"]), person),
        "is_at": said(datetime.fromisoformat(row.data["now_at"]), person),
        "same": row.data["was"] == row.data["now_at"],
        "reason": row.data["reason"],
        "by": row.data["by"],
        "marks": [
            (m.name, said(m.due_at, person, with_utc=False)) for m in reminders.marks(_release(row)) if m.due_at > now
        ],
    }
    return Letter("rescheduled", facts, act=False, reason="watcher")


def _news(name: str, *, act: bool = False, urgent: bool = False) -> Callable[[Reminder, datetime], Letter]:
    """A mail whose facts stand in its row: reason, who, what."""

    def write(row: Reminder, now: datetime) -> Letter:
        return Letter(name, {"by": "", "reason": "", **row.data}, act=act, urgent=urgent, reason="watcher")

    return write


def closed(row: Reminder, now: datetime) -> Letter:
    release = _release(row)
    facts = {**row.data, "at": said(release.ended_at or now, row.recipient)}
    return Letter("closed", facts, act=False, reason="watcher", path=f"{release.get_absolute_url()}record/")


def rollback_started(row: Reminder, now: datetime) -> Letter:
    run = Rollback.objects.select_related("triggered_by", "in_charge").get(pk=row.data["rollback"])
    facts = {"rollback": run, "at": said(run.triggered_at, row.recipient)}
    path = f"{_release(row).get_absolute_url()}rollback/"
    return Letter("rollback_started", facts, act=False, urgent=True, reason="watcher", path=path)


def rollback_ended(row: Reminder, now: datetime) -> Letter:
    run = Rollback.objects.select_related("review_owner", "ended_by", "release").get(pk=row.data["rollback"])
    facts = {"rollback": run, "at": said(run.ended_at or now, row.recipient), "status": run.release.state.label}
    path = f"{_release(row).get_absolute_url()}rollback/"
    return Letter("rollback_ended", facts, act=False, urgent=True, reason="watcher", path=path)


def invitation(row: Reminder, now: datetime) -> Letter:
    """The link is signed here, at send; no token is stored anywhere."""
    held = Invitation.objects.select_related("by").filter(pk=_about(row)).first()
    if held is None or not held.is_open(timezone.now()):
        raise NothingToSay("the invitation is used or over")
    token = signing.dumps({"invitation": held.pk}, salt="invitation")
    facts = {"invitation": held, "until": said(held.expires_at, row.recipient, with_utc=False)}
    return Letter("invitation", facts, path=reverse("invitation", args=[token]), why=f"{held.by.name} invited you")


K = Reminder.Kind
_WRITERS: dict[Reminder.Kind, Callable[[Reminder, datetime], Letter]] = {
    K.MARK: mark,
    K.ALARM: alarm,
    K.ASSIGNED: assigned,
    K.ASKED: asked,
    K.SPOKEN: spoken,
    K.DECISION: decision,
    K.RESCHEDULED: rescheduled,
    K.REVOKED: _news("revoked"),
    K.WITHDRAWN: _news("withdrawn"),
    K.HELD: _news("held"),
    K.RESUMED: _news("resumed"),
    K.CANCELLED: _news("cancelled"),
    K.TAKEN_OVER: _news("taken_over"),
    K.ROLLBACK_STARTED: rollback_started,
    K.ROLLBACK_ENDED: rollback_ended,
    K.CLOSED: closed,
    K.INVITATION: invitation,
}
