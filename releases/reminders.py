"""The rules of the ledger: which marks a release has, what is owed to whom, and when a row may still be sent.

The schedule is a query, not a queue: what is owed follows from the release, its people and the clock, as often as
it is asked. Writing the rows down and working them off is in `ledger`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from checklists.tminus import Anchor, Offset, due_at
from releases import duty, readiness
from releases.models import (
    BEFORE_START,
    OPTIONAL,
    PROJECT_MANAGER,
    STILL_NEWS,
    ActionItem,
    Heartbeat,
    OptOut,
    Poll,
    Release,
    Reminder,
    Status,
    assignments_of,
    holders,
)
from releases.models.kept import Kept

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from relcoord.models import User

AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
STATE = Reminder.State
OF_THE_PLAN = (Reminder.Kind.MARK, Reminder.Kind.ALARM)
UNDECIDED = ("T-1h", "T-0")  # the alarms that ask for a decision
LAPSED = "window end"
EMPTY_ROLE = "empty role"
EMPTY_AGAIN = "empty role, T-3d"
SAID_AGAIN = Offset.parse("T-3d")  # when an empty role alarms for the second time

Refusal = tuple[str, str]  # the state a row ends in, and why


@dataclass(frozen=True)
class Mark:
    """A moment at which mail goes out. It is worth sending until `not_after`: for a mark, the next one's moment."""

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


def alarms(release: Release) -> list[Mark]:
    """Undecided an hour before T-0 and at T-0; cleared but not started when the window ends."""
    before, t_zero, end = release.t_zero - AN_HOUR, release.t_zero, release.window_end
    return [
        Mark(UNDECIDED[0], before, t_zero, 100),
        Mark(UNDECIDED[1], t_zero, end, 101),
        Mark(LAPSED, end, end + A_DAY, 102),
    ]


# What is owed


@dataclass
class Standing:
    """What the ledger holds of a release already, as `owed` needs to know it."""

    rows: set[tuple[str, int, str]] = field(default_factory=set)  # (kind, recipient, mark) of this schedule version
    sent: set[tuple[int, str]] = field(default_factory=set)  # (recipient, mark) sent or sending, in any version
    told: set[tuple[int, frozenset[int]]] = field(default_factory=set)  # (recipient, empty roles they were told of)
    told_at: dict[int, datetime] = field(default_factory=dict)  # when each recipient was last told of empty roles
    asked: set[tuple[int, str]] = field(default_factory=set)  # (recipient, poll they were asked to vote in)


def owed(release: Release, now: datetime, standing: Standing) -> Iterator[Reminder]:
    """The rows that `release` still lacks. While its clock is stopped it lacks none."""
    if release.clock_stopped or release.status not in BEFORE_START:
        return
    for mark in marks(release):
        if mark.not_after <= now:
            continue  # of marks already past only the newest is still valid; the others get no row
        for person in recipients(release, max(mark.due_at, now)):
            again = mark.due_at <= now and (person.pk, mark.name) in standing.sent
            if not again and (Reminder.Kind.MARK, person.pk, mark.name) not in standing.rows:
                yield _row(release, Reminder.Kind.MARK, person, now, mark)
    for alarm in alarms(release):
        for person in leads(release, max(alarm.due_at, now)):
            if alarm.not_after > now and (Reminder.Kind.ALARM, person.pk, alarm.name) not in standing.rows:
                yield _row(release, Reminder.Kind.ALARM, person, now, alarm)
    yield from _empty_roles(release, now, standing)
    if release.status == Status.POLLING:
        yield from _asked_since(release, now, standing)


def recipients(release: Release, at: datetime | None = None) -> list[User]:
    """Whom a mark at `at` is planned for: who holds a role or an open action item, or stands in for them that day.

    What they get, and who is away, is decided at send.
    """
    return duty.on_duty(release, concerned(release), at)


def concerned(release: Release) -> list[User]:
    """Who holds a role or an open action item, away or not."""
    people = {row.user_id: row.user for row in assignments_of(release)}
    people |= {row.owner_id: row.owner for row in open_actions(release)}
    return [person for person in people.values() if person.is_active]


def open_actions(release: Release) -> list[ActionItem]:
    return [row for row in release.action_items.all() if row.state == ActionItem.State.OPEN]


def leads(release: Release, at: datetime | None = None) -> list[User]:
    """The coordinator and the Project Managers, whom alarms go to; on a day they are away, who stands in."""
    managers = [row.user for row in assignments_of(release) if row.role.slug == PROJECT_MANAGER]
    return duty.on_duty(release, [release.coordinator, *managers], at)


def _empty_roles(release: Release, now: datetime, standing: Standing) -> Iterator[Reminder]:
    """Required roles nobody holds alarm the coordinator from creation; once, until another falls empty, and at T-3d."""
    empty = frozenset(empty_required_roles(release))
    if not empty:
        return
    again = due_at(SAID_AGAIN, release.t_zero, release.zone)
    for person in duty.on_duty(release, [release.coordinator], now):
        if not any(who == person.pk and empty <= roles for who, roles in standing.told):
            mark = Mark(EMPTY_ROLE, now, max(release.t_zero, now + AN_HOUR), 0)
            yield _row(release, Reminder.Kind.ALARM, person, now, mark, about=about_roles(empty))
    for person in duty.on_duty(release, [release.coordinator], max(again, now)):
        known = (Reminder.Kind.ALARM, person.pk, EMPTY_AGAIN) in standing.rows
        if not known and standing.told_at.get(person.pk, now) < again and release.t_zero > now:
            yield _row(release, Reminder.Kind.ALARM, person, now, Mark(EMPTY_AGAIN, again, release.t_zero, 99))


def _asked_since(release: Release, now: datetime, standing: Standing) -> Iterator[Reminder]:
    """An absence that begins or ends while the poll is open changes whom it asks: who is on duty now, once a poll.

    Who was given a seat's role since then is asked in the mail about the role.
    """
    poll = next((poll for poll in release.polls.all() if poll.state == Poll.State.OPEN), None)
    if poll is None:
        return
    given_since = {row.user_id for row in assignments_of(release) if row.at > poll.opened_at}
    about, mark = about_poll(poll), Mark("", now, now + STILL_NEWS, 0)
    for person in voters(release, now):
        if person.pk not in given_since and (person.pk, about) not in standing.asked:
            row = _row(release, Reminder.Kind.ASKED, person, now, mark, about=about)
            row.data = {"by": poll.opened_by.name}
            yield row


def voters(release: Release, now: datetime | None = None) -> list[User]:
    """Whom an open poll asks: the holders of its seats, or who stands in for them today."""
    asked = [person for seat in release.seats.all() for person in holders(release, seat.role)]
    return duty.on_duty(release, asked, now)


def about_poll(poll: Poll) -> str:
    return f"poll:{poll.pk}"


def empty_required_roles(release: Release) -> dict[int, str]:
    """The required roles nobody holds: name by id."""
    held = {row.role_id for row in assignments_of(release)}
    entries = release.template_version.roles.all()
    return {entry.role_id: entry.name for entry in entries if entry.required and entry.role_id not in held}


def about_roles(roles: frozenset[int]) -> str:
    return "roles:" + ",".join(str(pk) for pk in sorted(roles))


def roles_about(about: str) -> frozenset[int]:
    """The roles that `about_roles` wrote down."""
    return frozenset(int(pk) for pk in about.removeprefix("roles:").split(",") if pk.isdigit())


def _row(release: Release, kind: str, person: User, now: datetime, mark: Mark, about: str = "") -> Reminder:
    return Reminder(
        kind=kind,
        release=release,
        recipient=person,
        about=about,
        mark=mark.name,
        rank=mark.rank,
        schedule_version=release.schedule_version,
        due_at=mark.due_at,
        not_after=mark.not_after,
        created_at=now,
    )


# Looking again


def refusal(row: Reminder, now: datetime | None = None) -> Refusal | None:
    """Look again, before the claim and before the hand-over: how this row ends unsent, None when it may go out."""
    release = row.release
    if not row.recipient.is_active:
        return STATE.SUPPRESSED, "no longer has an account"
    if row.kind in OPTIONAL and _opted_out(row.recipient_id, str(row.kind)):
        return STATE.SUPPRESSED, "opted out"
    if release is None:
        return None
    if row.kind != Reminder.Kind.TAKEN_OVER and not _may_see(row.recipient, release):
        return STATE.SUPPRESSED, "may no longer see this release"
    if row.resend_of_id is not None:
        return None
    if row.kind == Reminder.Kind.ASKED:
        return _away(row, release, now)
    if row.kind not in OF_THE_PLAN:
        return None
    of_its_kind = _mark_refusal if row.kind == Reminder.Kind.MARK else _alarm_refusal
    return outdated(row, release, now) or of_its_kind(row, release)


_opted_out = Kept(lambda person, kind: OptOut.objects.filter(user=person, kind=kind), int, str)


def _may_see(person: User, release: Release) -> bool:
    return not release.restricted or Release.objects.visible_to(person).filter(pk=release.pk).exists()


def outdated(row: Reminder, release: Release, now: datetime | None = None) -> Refusal | None:
    """Has the plan this row came from gone: another schedule, another state, a stopped clock, another holder?"""
    readiness.load_people(release)
    if row.schedule_version != release.schedule_version:
        return STATE.SUPERSEDED, "the release moved"
    if release.status not in BEFORE_START:
        return STATE.SUPERSEDED, f"the release is {release.state.label.lower()}"
    if release.clock_stopped:
        return STATE.SUPERSEDED, "the clock is stopped"
    if away := _away(row, release, now):
        return away
    at = max(row.due_at, now or timezone.now())
    people = recipients(release, at) if row.kind == Reminder.Kind.MARK else leads(release, at)
    if row.recipient_id not in {person.pk for person in people}:
        return STATE.CANCELLED, "no longer holds a role"
    return None


def _away(row: Reminder, release: Release, now: datetime | None) -> Refusal | None:
    """Is the recipient away, in the moment of the row or by now, and somebody stands in? Cancelled: they come back."""
    deputies = duty.stand_ins(release, row.recipient, max(row.due_at, now or timezone.now()))
    if not deputies:
        return None
    names = " and ".join(person.name for person in deputies)
    return STATE.CANCELLED, f"away; {names} {'stands' if len(deputies) == 1 else 'stand'} in"


def _mark_refusal(row: Reminder, release: Release) -> Refusal | None:
    known = [other for other in row.other_marks if other.resend_of_id is None]
    if any(other.schedule_version == row.schedule_version and other.rank > row.rank for other in known):
        return STATE.SUPERSEDED, "a later mark has gone out"
    if row.due_at <= row.created_at and any(other.mark == row.mark for other in known):
        return STATE.SUPERSEDED, "had gone out before the release moved"
    return None


def _alarm_refusal(row: Reminder, release: Release) -> Refusal | None:
    if row.mark in UNDECIDED and release.status not in (Status.PREPARING, Status.POLLING):
        return STATE.SUPPRESSED, "it is decided"
    if row.mark == LAPSED and release.status != Status.CLEARED:
        return STATE.SUPPRESSED, "it has no GO that could lapse"
    if row.mark in (EMPTY_ROLE, EMPTY_AGAIN) and not empty_required_roles(release):
        return STATE.SUPPRESSED, "every required role is held"
    return None


def must_wait(row: Reminder) -> bool:
    """Is another mark on its way to this person for this release? The two must not overtake each other."""
    if row.kind != Reminder.Kind.MARK:
        return False
    return any(other.state == STATE.SENDING for other in row.other_marks)


# For pages


def next_for(release: Release) -> Reminder | None:
    """The next planned reminder of `release`."""
    return Reminder.objects.planned().filter(release=release).order_by("due_at", "pk").first()


def trouble(release: Release) -> QuerySet[Reminder]:
    """Mails that did not arrive and that nothing has made good: tell those people yourself.

    A mark is made good by a later one, sent or found to have nothing to say; what was for an older schedule is over.
    """
    rows = Reminder.objects.filter(release=release)
    again = rows.filter(resend_of=OuterRef("pk"), state=STATE.SENT)
    marks = rows.filter(kind=Reminder.Kind.MARK, recipient=OuterRef("recipient"), due_at__gt=OuterRef("due_at"))
    later = marks.filter(state__in=(STATE.SENT, STATE.SUPPRESSED))
    found = rows.filter(state__in=(STATE.FAILED, STATE.MISSED)).exclude(Exists(again))
    found = found.exclude(Q(kind=Reminder.Kind.MARK) & Exists(later))
    of_the_plan = Q(kind__in=(*OF_THE_PLAN, Reminder.Kind.ESCALATION))
    found = found.exclude(of_the_plan & ~Q(schedule_version=release.schedule_version))
    return found.select_related("recipient").order_by("due_at", "pk")


def beat(now: datetime, failed: list[str] | None = None) -> None:
    """Note that a driver looked, and which of its steps failed; every page shows the age of this."""
    noted = {"at": now, "data": {"failed": failed or []}}
    if not Heartbeat.objects.filter(name="reminders").update(**noted):
        Heartbeat.objects.update_or_create(name="reminders", defaults=noted)


def scheduler_age(now: datetime) -> timedelta | None:
    """How long ago a driver last looked; None before the first time."""
    at = Heartbeat.objects.filter(name="reminders").values_list("at", flat=True).first()
    return now - at if at else None


def note_server(now: datetime, trouble: str) -> None:
    """Note that the mail server takes nothing (since when, and its words), or with "" that it does again."""
    known = Heartbeat.objects.filter(name="mail").first()
    since = known.data.get("since") if known and known.data else None
    if trouble:
        data = {"since": since or now.isoformat(), "words": trouble[:300]}
        Heartbeat.objects.update_or_create(name="mail", defaults={"at": now, "data": data})
    elif since:
        Heartbeat.objects.filter(name="mail").update(at=now, data={})


def server_trouble() -> tuple[datetime, str] | None:
    """Since when the mail server takes nothing, and what it said; None while it does."""
    known = Heartbeat.objects.filter(name="mail").first()
    return (datetime.fromisoformat(known.data["since"]), known.data["words"]) if known and known.data else None
