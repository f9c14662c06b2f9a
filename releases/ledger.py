"""The rows of the ledger: plan, lease, look again, send, mark. Safe for any number of drivers at once.

A row is claimed under its release's lock by one conditional UPDATE that gives it a lease and a fresh token; only the
holder of the token may renew, send and mark. A death between hand-over and mark may repeat one mail under the same
Message-ID, and can never lose one (RELIABILITY: "Why lease, send, mark").
"""

from __future__ import annotations

import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence, Set
from datetime import datetime, timedelta
from datetime import time as datetime_time
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.mail import EmailMultiAlternatives
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet, prefetch_related_objects
from django.utils import timezone

from checklists.models import TemplateRole
from relcoord.lib import logs
from relcoord.lib.mail import Courier, NotNow, Refused, Unreachable
from releases import escalation, events, mail, permissions, reminders
from releases.errors import DomainError
from releases.models import (
    BEFORE_START,
    ActionItem,
    Assignment,
    Delegation,
    Hold,
    Planning,
    Poll,
    Release,
    Reminder,
    Seat,
    Status,
)
from releases.models.kept import Kept, KeptUpdate

if TYPE_CHECKING:
    from relcoord.models import User

    Clock = Callable[[], datetime]

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=120)
BACK_OFF = (30, 60, 120, 240, 480, 900)  # seconds after the first, second, ... temporary failure
STILL_FRESH = timedelta(seconds=4)  # a claim; nothing of an old plan leaves later than 5 s after its end
LAST_TRY = timedelta(minutes=1)  # before `not_after`, when a longer wait would pass it
LOOK_ANYWAY = timedelta(hours=1)  # at a release to which nothing happens
LOOKS = 3  # at a row whose release changes while its mail is written; then it is put off
BATCH = 50  # rows looked up at once; each is claimed by itself
LONGEST_TICK = 25  # seconds; then the next tick, which also plans and frees leases, goes on
STATE = Reminder.State
OVER: dict[str, Any] = {"lease_until": None, "lease_token": ""}


class Due(NamedTuple):
    """A row to send now."""

    pk: int
    release: int | None
    attempts: int


def tick(now: datetime | None = None) -> int:
    """Look once at everything that is owed; returns how many mails were handed over.

    `now` stands still for the whole tick when given; else it is the present at each step. A step that fails is logged
    and keeps no other from its work.
    """
    clock: Clock = (lambda: now) if now else timezone.now
    steps: tuple[Callable[[datetime], object], ...] = (follow_clock, free_leases, plan, retire, miss)
    failed = [step.__name__ for step in steps if not _succeeds(step, clock())]
    reminders.beat(clock(), failed)
    return deliver(clock)


def _succeeds(step: Callable[[datetime], object], now: datetime) -> bool:
    try:
        step(now)
    except Exception:
        log.exception("the ledger could not %s; the next tick tries again", step.__name__)
        return False
    return True


def follow_clock(now: datetime) -> int:
    """After a clock that was set back: waits and leases counted by it would last too long; returns how many ended.

    That it was set back shows in the last tick, which lies ahead. What happened before is still due at once; marks
    follow T-0, so they wait for the clock on the wall.
    """
    age = reminders.scheduler_age(now)
    if age is None or age >= -LEASE:
        return 0
    told = Reminder.objects.planned().filter(due_at__gt=now, created_at__gt=now)
    told = told.exclude(kind__in=reminders.OF_THE_PLAN, resend_of=None)
    leased = Reminder.objects.filter(state=STATE.SENDING, lease_until__gt=now + LEASE)
    waiting = Reminder.objects.planned().filter(next_attempt_at__gt=now)
    Planning.objects.forget()  # marks that seemed past may be to come
    ended = told.update(due_at=now) + leased.update(lease_until=now) + waiting.update(next_attempt_at=None)
    log.warning("the clock was set back by about %s; %d rows wait no longer", -age, ended)
    return ended


def free_leases(now: datetime) -> int:
    """Rows whose lease is over go back to planned and keep their Message-ID; returns how many."""
    over = Reminder.objects.filter(state=STATE.SENDING, lease_until__lte=now)
    found = list(over.values_list("pk", "release"))
    pks = [pk for pk, _ in found]
    if found:  # what was planned since took them for sent
        Planning.objects.filter(release__in={release for _, release in found if release}).forget()
    return sum(over.filter(pk=pk).update(state=STATE.PLANNED, lease_until=None, lease_token="") for pk in pks)


# Planning


def plan(now: datetime) -> int:
    """Insert the rows that live releases lack; returns how many. Two at once insert each row once.

    Only releases with a new event are looked at, and those for which time alone may have changed what is owed.
    """
    live = _live(_to_plan(now))
    if not live:
        return 0
    permissions.load_absences(live, now)
    known, own = _standing(live), escalation.with_moments_of_their_own(live)
    rows: list[Reminder] = []
    planned: list[Release] = []
    late: list[Release] = []
    for release in live:
        try:
            rows += reminders.owed(release, now, known[release.pk])
            planned.append(release)
            if release.pk in own or escalation.may_owe(release, now):
                late.append(release)
        except Exception:  # one release that cannot be planned keeps no other from it, and is tried again
            log.exception("the marks of %s could not be planned", release.key)
    rows += _escalations(late, now)
    Reminder.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    _note_planned(planned, {release.pk for release in late}, now)
    return len(rows)


def _to_plan(now: datetime) -> Q:
    changed = ~Q(planning__event_sequence=F("event_sequence"))
    return Q(planning=None) | changed | Q(planning__holds_until__lte=now)


def _note_planned(releases: list[Release], late: Set[int], now: datetime) -> None:
    """Leave `releases` alone for a while; not those that something happened to since they were read."""
    first: list[Planning] = []
    for release in releases:
        until = _holds_until(release, now, with_items=release.pk in late)
        before: Planning | None = getattr(release, "planning", None)
        if before is None:
            first.append(Planning(release=release, event_sequence=release.event_sequence, holds_until=until))
        elif (before.event_sequence, before.holds_until) != (release.event_sequence, until):
            same = {"event_sequence": before.event_sequence, "holds_until": before.holds_until}
            found = Planning.objects.filter(release=release, **same)
            found.update(event_sequence=release.event_sequence, holds_until=until)
    Planning.objects.bulk_create(first, ignore_conflicts=True, batch_size=500)


def _holds_until(release: Release, now: datetime, *, with_items: bool) -> datetime:
    """Until when what is owed by `release` follows from its events: the next due moment, or the next day of an absence.

    `with_items`: its items were read, because one has a moment of its own or may be overdue.
    """
    if with_items and escalation.late(release, now):
        return now
    due = [moments.due_at for moments in release.plan]
    if with_items:
        due += [moments.due_of(item) for moments in release.plan for item in moments.phase.items.all() if item.due]
    ends = [now + LOOK_ANYWAY, *(moment for moment in due if moment and moment >= now)]
    if permissions.knows_absences(release):
        tomorrow = timezone.localtime(now, release.zone).date() + timedelta(days=1)
        ends.append(datetime.combine(tomorrow, datetime_time.min, tzinfo=release.zone))
    return min(ends)


def _escalations(releases: list[Release], now: datetime) -> list[Reminder]:
    """The rows about overdue items that `releases` lack."""
    escalation.load(releases)
    told = _told(releases)
    rows: list[Reminder] = []
    for release in releases:
        try:
            rows += escalation.owed(release, now, told[release.pk])
        except Exception:  # as above
            log.exception("the overdue items of %s could not be planned", release.key)
    return rows


def _told(releases: list[Release]) -> dict[int, escalation.Told]:
    """What the ledger has told already of overdue items."""
    versions = {release.pk: release.schedule_version for release in releases}
    found = {pk: escalation.Told() for pk in versions}
    rows = Reminder.objects.filter(kind=Reminder.Kind.ESCALATION, release__in=versions, resend_of=None)
    rows = rows.exclude(state__in=(STATE.SUPERSEDED, STATE.CANCELLED))
    names = ("release", "recipient", "mark", "schedule_version", "created_at", "data")
    for pk, who, stage, version, at, data in rows.values_list(*names):
        for item in data["items"] if version == versions[pk] else ():
            found[pk].note(stage, who, item, at)
    return found


def _live(only: Q) -> list[Release]:
    """The releases that may owe mails, with what says which; polls and seats only where a poll is open."""
    live = list(
        Release.objects.filter(only, status__in=(*BEFORE_START, *escalation.RUNNING))
        .select_related("coordinator", "template_version", "planning")
        .prefetch_related(
            "phases",
            "holds",
            Prefetch("assignments", Assignment.objects.select_related("user", "role")),
            Prefetch("action_items", ActionItem.objects.filter(state="open").select_related("owner")),
            Prefetch("template_version__roles", TemplateRole.objects.select_related("role")),
        )
    )
    prefetch_related_objects(
        [release for release in live if release.status == Status.POLLING],
        Prefetch("polls", Poll.objects.filter(state=Poll.State.OPEN).select_related("opened_by")),
        Prefetch("seats", Seat.objects.select_related("role")),
    )
    return live


def _standing(live: list[Release]) -> dict[int, reminders.Standing]:
    """What the ledger holds of each release already."""
    versions = {release.pk: release.schedule_version for release in live}
    found = {pk: reminders.Standing() for pk in versions}
    kinds = (*reminders.OF_THE_PLAN, Reminder.Kind.ASKED)
    rows = Reminder.objects.filter(kind__in=kinds, release__in=versions, resend_of=None)
    rows = rows.exclude(state__in=(STATE.SUPERSEDED, STATE.CANCELLED))
    names = ("release", "kind", "recipient", "mark", "schedule_version", "state", "about")
    for pk, kind, who, mark, version, state, about in rows.values_list(*names):
        if kind == Reminder.Kind.MARK and state in (STATE.SENT, STATE.SENDING):
            found[pk].sent.add((who, mark))
        if kind == Reminder.Kind.ASKED:
            found[pk].asked.add((who, about))
        elif version == versions[pk]:
            found[pk].rows.add((kind, who, mark))
            found[pk].told.add((who, reminders.roles_about(about)))
    _note_empty_roles(rows.filter(release__in=[one for one in live if reminders.empty_required_roles(one)]), found)
    return found


def _note_empty_roles(rows: QuerySet[Reminder], found: dict[int, reminders.Standing]) -> None:
    """Moments take long to read: only of the few rows whose moment matters."""
    of_roles = rows.filter(kind=Reminder.Kind.ALARM, mark=reminders.EMPTY_ROLE)
    of_roles = of_roles.filter(schedule_version=F("release__schedule_version"))
    for pk, who, at in of_roles.values_list("release", "recipient", "created_at"):
        found[pk].told_at[who] = max(at, found[pk].told_at.get(who, at))


def retire(now: datetime) -> int:
    """End the planned rows whose release, schedule version, clock or holder no longer matches; returns how many."""
    held = Hold.objects.filter(release=OuterRef("release"), ended_at=None)
    role = Assignment.objects.filter(release=OuterRef("release"), user=OuterRef("recipient"))
    action = ActionItem.objects.filter(release=OuterRef("release"), owner=OuterRef("recipient"), state="open")
    absences = Delegation.objects.filter(ends_on__gte=(now - reminders.A_DAY).date())
    pairs = list(absences.values_list("user", "deputy"))
    deputies = {deputy for _, deputy in pairs}
    stale = _planned().filter(
        ~Q(release__status__in=BEFORE_START)
        | Q(release__status=Status.NO_GO)
        | ~Q(schedule_version=F("release__schedule_version"))
        | Exists(held)
        | Q(kind=Reminder.Kind.MARK) & ~Exists(role) & ~Exists(action) & ~Q(recipient__in=deputies)
    )
    ended = sum(_end_if_outdated(pk, now) for pk in list(stale.values_list("pk", flat=True)))
    if pairs:
        ended += _retire_the_absent(_planned().filter(recipient__in=deputies.union(user for user, _ in pairs)), now)
    return ended + _retire_the_settled(now)


def _retire_the_absent(rows: QuerySet[Reminder], now: datetime) -> int:
    """End what is planned for those who are away in its moment, and for deputies whom that moment needs no more.

    Which day that is depends on each release's zone, so it is looked at here; only what ends is locked.
    """
    found = list(rows.select_related("recipient"))
    releases = {release.pk: release for release in _live(Q(pk__in={row.release_id for row in found}))}
    permissions.load_absences(list(releases.values()), now)
    known = ((row, releases[row.release_id]) for row in found if row.release_id in releases)
    ended = [row.pk for row, release in known if reminders.outdated(row, release, now)]
    return sum(_end_if_outdated(pk, now) for pk in ended)


def _retire_the_settled(now: datetime) -> int:
    """End the mails about overdue items that wait for another try, and whose items need nobody told any more."""
    planned = Reminder.objects.planned().filter(kind=Reminder.Kind.ESCALATION, resend_of=None, due_at__lt=now)
    waiting = list(planned)
    releases = Release.objects.in_bulk({row.release_id for row in waiting if row.release_id})
    found = [(row, releases.get(row.release_id or 0)) for row in waiting]
    ended = [row.pk for row, release in found if release and escalation.refusal(row, release, now)]
    return sum(_end_if_outdated(pk, now) for pk in ended)


def _planned() -> QuerySet[Reminder]:
    return Reminder.objects.planned().filter(kind__in=reminders.OF_THE_PLAN, resend_of=None)


@transaction.atomic
def _end_if_outdated(pk: int, now: datetime) -> int:
    row = _locked(pk)
    if row is None or row.release is None:
        return 0
    if row.kind == Reminder.Kind.ESCALATION:
        ends = escalation.refusal(row, row.release, now)
    else:
        ends = reminders.outdated(row, row.release, now)
    return _end_planned(row, *ends) if ends else 0


def miss(now: datetime) -> int:
    """Rows past their time become missed, each with an event; returns how many. Never while the clock is stopped."""
    late = Reminder.objects.planned().filter(not_after__lte=now, due_at__lt=now).order_by("not_after", "pk")
    return sum(_miss(pk, now) for pk in list(late.values_list("pk", flat=True)[:500]))


@transaction.atomic
def _miss(pk: int, now: datetime) -> int:
    row = _locked(pk)
    if row is None:
        return 0
    if ends := refusal(row, now):
        return _end_planned(row, *ends)
    missed = _end_planned(row, STATE.MISSED, row.reason or "no sender ran while it was worth sending")
    if missed and row.release is not None:
        _note_missed(row, row.release)
    return missed


def _note_missed(row: Reminder, release: Release) -> None:
    events.record(
        release,
        "reminder.missed",
        by=None,
        on=row,
        after={"state": STATE.MISSED.value},
        kind=row.kind,
        mark=row.mark,
        to=row.recipient.name,
    )


class Desk:
    """The release that the last mail was about, with all that was read of it: mails due together are mostly of one.

    Every change of a release is an event, so under the lock its sequence says whether that still stands. Accounts and
    names are no part of it, so it is for a moment only; the row, its recipient, absences and opt-outs are read anew.
    """

    def __init__(self) -> None:
        self._known: Release | None = None
        self.ends = 0.0  # on the monotonic clock

    def take(self, held: Release) -> Release:
        """`held` as it was locked, or the same with what is known of it."""
        known = self._known
        same = known is not None and (known.pk, known.event_sequence) == (held.pk, held.event_sequence)
        if known is None or not same or time.monotonic() > self.ends:
            self._known, self.ends = held, time.monotonic() + STILL_FRESH.total_seconds()
            return held
        known.coordinator = held.coordinator
        permissions.forget_absences(known)
        return known


def _locked(pk: int, desk: Desk | None = None) -> Reminder | None:
    """The planned row, read afresh under its release's lock, which every verb takes first; None when it is gone."""
    held = next(iter(_release_locked(pk)), None)
    row = next(iter(_planned_row(pk)), None)
    if row is not None:
        row.release = desk.take(held) if desk and held else held
    return row


def _release_of(pk: int) -> QuerySet[Release]:
    return Release.objects.select_for_update(of=("self",)).select_related("coordinator").filter(reminders=pk)


_release_locked = Kept(_release_of, int)
_planned_row = Kept(lambda pk: Reminder.objects.planned().filter(pk=pk).select_related("recipient"), int)


def _end_planned(row: Reminder, state: str, reason: str) -> int:
    if state in (STATE.CANCELLED, STATE.SUPERSEDED):  # another may be owed instead
        Planning.objects.filter(release=row.release_id).forget()
    return Reminder.objects.planned().filter(pk=row.pk).update(state=state, reason=reason[:300])


# Sending


def deliver(clock: Clock) -> int:
    """Send until nothing is due or the next tick is; returns how many were sent."""
    ends = time.monotonic() + LONGEST_TICK
    sent, left_alone, desk = 0, set[int](), Desk()
    with Courier() as courier:
        while (ready := due(clock(), but=left_alone)) and time.monotonic() < ends:
            for pk in itertools.takewhile(lambda _: time.monotonic() < ends, apart(ready)):
                try:
                    row = _claimed(pk, clock(), desk)
                    if row is None:
                        left_alone.add(pk)
                        break  # another driver is at these; what is due now is the next question
                    with logs.about(row.release.key if row.release else ""):
                        sent += send(row, courier, clock)
                except Unreachable as failure:
                    reminders.note_server(clock(), str(failure))
                    return sent
    if sent:
        reminders.note_server(clock(), "")
    return sent


def _claimed(pk: int, now: datetime, desk: Desk) -> Reminder | None:
    try:
        return claim(pk, now, desk)
    except DatabaseError as failure:  # its release is locked for long; the next tick finds it again
        log.warning("reminder %s could not be claimed: %s", pk, failure)
        return None


def due(now: datetime, *, but: Set[int] = frozenset()) -> list[Due]:
    """The rows to send now, the longest due first, and those that were tried before after all others.

    `but` are those this tick has to leave alone.
    """
    rows = _ready(now).exclude(pk__in=but).order_by("attempts", "due_at", "-rank", "pk")
    return [Due(*row) for row in rows.values_list("pk", "release", "attempts")[:BATCH]]


def apart(ready: Sequence[Due]) -> list[int]:
    """Release by release, in the order of `ready`, but from one of them on that chance names: two drivers that look
    in the same moment then do not wait for each other at each lock. What was tried before stays last."""
    releases = list(dict.fromkeys(row.release for row in ready))
    first = random.randrange(len(releases))  # noqa: S311
    place = {release: number for number, release in enumerate(releases[first:] + releases[:first])}
    return [row.pk for row in sorted(ready, key=lambda row: (row.attempts, place[row.release]))]


def _ready(now: datetime) -> QuerySet[Reminder]:
    rested = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    return Reminder.objects.planned().filter(rested, due_at__lte=now, not_after__gt=now)


def refusal(row: Reminder, now: datetime) -> reminders.Refusal | None:
    """Look again, before the claim and before the hand-over: how this row ends unsent, None when it may go out."""
    found = reminders.refusal(row, now)
    if found is None and row.kind == Reminder.Kind.ESCALATION and row.release is not None and row.resend_of_id is None:
        return escalation.refusal(row, row.release, now)
    return found


@transaction.atomic
def claim(pk: int, now: datetime, desk: Desk | None = None) -> Reminder | None:
    """Lease one row, looking again under its release's lock; None when it must not go out, or another driver has it."""
    row = _locked(pk, desk)
    if row is None or reminders.must_wait(row):
        return None
    if ends := refusal(row, now):
        _end_planned(row, *ends)
        return None
    until, token, message_id = now + LEASE, secrets.token_hex(16), mail.message_id(row)
    if not _lease(pk, row.attempts, now, until, token, row.attempts + 1, message_id):
        return None
    row.state, row.lease_until, row.lease_token = STATE.SENDING, until, token
    row.attempts, row.message_id = row.attempts + 1, message_id
    return row


def _leased(
    pk: int, tried: int, now: datetime, until: datetime, token: str, attempts: int, message_id: str
) -> tuple[QuerySet[Reminder], dict[str, Any]]:
    lease = {"state": STATE.SENDING, "lease_until": until, "lease_token": token}
    return _ready(now).filter(pk=pk, attempts=tried), lease | {"attempts": attempts, "message_id": message_id}


_lease = KeptUpdate(_leased, int, int, datetime, datetime, str, int, str)


def send(row: Reminder, courier: Courier, clock: Clock) -> bool:
    """Write, renew, hand over, mark. True when this call handed the mail over. Unreachable passes on.

    When the release has changed since the last look, or that is a while ago because this process slept, the row is
    looked at again and the mail written anew: what leaves was looked at a moment before.
    """
    for _ in range(LOOKS):
        message = _written(row, clock())
        if message is None:
            return False
        if _renew_unchanged(row, clock()):
            return _hand_over(row, message, courier, clock)
        if not _renew(row, clock()):
            return False
        again = _mine(row).select_related("release__coordinator", "recipient").first()
        if again is None:
            return False
        row = again
        if ends := refusal(row, clock()):
            return _end(row, *ends)
    return _later(row, "its release changed again and again while it was written", clock())


def _written(row: Reminder, now: datetime) -> EmailMultiAlternatives | None:
    """The mail of `row`; None, and the row ended or put off, when there is nothing to say or it cannot be written."""
    try:
        return mail.build(row, now)
    except mail.NothingToSay as silence:
        _end(row, STATE.SUPPRESSED, str(silence))
    except Exception as failure:
        log.exception("reminder %s could not be written", row.pk)
        _later(row, f"it could not be written: {failure!r}", now)
    return None


def _hand_over(row: Reminder, message: EmailMultiAlternatives, courier: Courier, clock: Clock) -> bool:
    try:
        reply = courier.hand_over(message)
    except Refused as failure:
        log.warning("reminder %s was refused for good: %s", row.pk, failure)
        return _end(row, STATE.FAILED, f"refused for good: {failure}", smtp_reply=str(failure)[:500])
    except NotNow as failure:
        return _later(row, f"not accepted yet: {failure}", clock(), smtp_reply=str(failure)[:500])
    except Unreachable as failure:
        _later(row, f"the mail server does not answer: {failure}", clock())
        raise
    except Exception as failure:
        log.exception("reminder %s could not be handed over", row.pk)
        return _later(row, f"it could not be handed over: {failure!r}", clock())
    return _sent(row, str(message.subject), reply, clock())


def _mine(row: Reminder) -> QuerySet[Reminder]:
    return _leased_by(row.pk, row.lease_token)


def _leased_by(pk: int, token: str) -> QuerySet[Reminder]:
    return Reminder.objects.filter(pk=pk, state=STATE.SENDING, lease_token=token)


def _renew_unchanged(row: Reminder, now: datetime) -> bool:
    """Hold the lease from now on, if what was looked at under it still stands: every change of a release is an event.

    Absences, opt-outs and accounts are no part of a release, so after a while they are looked at again.
    """
    claimed_at = row.lease_until - LEASE if row.lease_until else now
    if not timedelta(0) <= now - claimed_at < STILL_FRESH:
        return False
    if row.release is None:
        return _renew(row, now)
    release = row.release
    return bool(_hold_on_unchanged(row.pk, row.lease_token, now, now + LEASE, release.pk, release.event_sequence))


def _held_on_unchanged(
    pk: int, token: str, now: datetime, until: datetime, release: int, sequence: int
) -> tuple[QuerySet[Reminder], dict[str, Any]]:
    unchanged = Exists(Release.objects.filter(pk=release, event_sequence=sequence))
    return _leased_by(pk, token).filter(unchanged, not_after__gt=now), {"lease_until": until}


_hold_on_unchanged = KeptUpdate(_held_on_unchanged, int, str, datetime, datetime, int, int)


def _renew(row: Reminder, now: datetime) -> bool:
    """Hold the lease from now on; False when it is over and another has the row, or when it is too late to send."""
    return bool(_mine(row).filter(not_after__gt=now).update(lease_until=now + LEASE))


def _let_go(row: Reminder, state: str, **fields: object) -> int:
    """Not sent, by us or for now."""
    Planning.objects.filter(release=row.release_id).forget()  # what was planned meanwhile took it for sent
    return _mine(row).update(state=state, **OVER, **fields)


def _sent(row: Reminder, subject: str, reply: str, now: datetime) -> bool:
    marked = _persistently(lambda: _mark_sent(row.pk, row.lease_token, now, subject[:300], reply[:500]))
    if not marked:
        log.warning("reminder %s was handed over after its lease; it may arrive twice with one Message-ID", row.pk)
    return True


def _marked_sent(
    pk: int, token: str, now: datetime, subject: str, reply: str
) -> tuple[QuerySet[Reminder], dict[str, Any]]:
    said = {"sent_at": now, "subject": subject, "smtp_reply": reply, "reason": ""}
    return _leased_by(pk, token), {"state": STATE.SENT, **OVER, **said}


_mark_sent = KeptUpdate(_marked_sent, int, str, datetime, str, str)


def _persistently(mark: Callable[[], int]) -> int:
    """Mark what has gone out; a database that is away for a moment must not make it go out again."""
    ends = time.monotonic() + LEASE.total_seconds() / 2
    while True:
        try:
            return mark()
        except (DatabaseError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > ends:
                raise
            connection.close()
            time.sleep(0.5)


def _end(row: Reminder, state: str, reason: str, **fields: object) -> bool:
    _let_go(row, state, reason=reason[:300], **fields)
    return False


def _later(row: Reminder, reason: str, now: datetime, **fields: object) -> bool:
    """Back off with jitter; past the window the row is missed with these words."""
    wait = BACK_OFF[min(row.attempts, len(BACK_OFF)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
    again = now + timedelta(seconds=wait)
    last = row.not_after - LAST_TRY
    if again > last > now + timedelta(seconds=BACK_OFF[0]):
        again = last
    log.warning("reminder %s is tried again at %s: %s", row.pk, again, reason)
    _let_go(row, STATE.PLANNED, next_attempt_at=again, reason=reason[:300], **fields)
    return False


@transaction.atomic
def send_again(row: Reminder, *, by: User) -> Reminder:
    """Owe the same mail once more: a new row, because final rows never change. It says what is so when it goes out."""
    if row.release is None:
        raise DomainError("That mail is about no release; invite the person again")
    release = Release.objects.lock(row.release)
    permissions.require(by, "send_now", release)
    row.refresh_from_db()
    if row.state in (STATE.PLANNED, STATE.SENDING):
        raise DomainError("That mail is still planned; it goes out by itself")
    if row.resends.filter(state__in=(STATE.PLANNED, STATE.SENDING)).exists():
        raise DomainError(f"The mail to {row.recipient} is on its way once more already")
    now = timezone.now()
    again = Reminder.objects.create(
        kind=row.kind,
        release=release,
        recipient=row.recipient,
        about=row.about,
        mark=row.mark,
        rank=row.rank,
        schedule_version=release.schedule_version,
        data=row.data,
        due_at=now,
        not_after=now + reminders.A_DAY,
        created_at=now,
        resend_of=row,
    )
    events.record(release, "reminder.resent", by=by, on=again, kind=row.kind, mark=row.mark, to=row.recipient.name)
    return again
