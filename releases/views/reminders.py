"""The ledger of a release: every mail owed, to whom, what became of it and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from django.db.models import Count, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from relcoord.lib.htmx import HtmxRequest, say
from relcoord.models import User
from releases import duty, health, ledger, optout, permissions, reminders, tasks
from releases.models import Release, Reminder, assignments_of
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame
from releases.views.shell import heartbeats

STATE = Reminder.State
VOID = (STATE.SUPERSEDED, STATE.CANCELLED)  # of an older plan: shown when asked for
RESENDABLE = (STATE.FAILED, STATE.MISSED, STATE.SENT, STATE.SUPPRESSED)
MOST = 300  # rows on one page, the newest; filters reach the rest


@shows("view")
def reminders_page(request: HtmxRequest, release: Release) -> HttpResponse:
    """Answers at a glance: did the QA Lead get the T-1d mail?"""
    now, rows = timezone.now(), Reminder.objects.filter(release=release)
    chosen = Chosen.of(request.GET)
    found = list(chosen.among(rows).select_related("recipient").order_by("-due_at", "pk")[: MOST + 1])
    may_send = permissions.may(who(request), "send_now", release)
    context = frame(request, release, "reminders") | {
        "grid": Grid.of(release, rows, now),
        "groups": list(by_day(found[:MOST], release)),
        "cut": len(found) > MOST,
        "chosen": chosen,
        "counts": counts(rows),
        "people": User.objects.filter(pk__in=rows.values("recipient")).order_by("name"),
        "trouble": reminders.trouble(release),
        "opted_out": optout.of_release(release),
        "server": reminders.server_trouble(),
        "next": reminders.next_for(release),
        "may_send": may_send,
        # Staff read it on every page.
        "silent": health.silent_since(heartbeats(), now) if may_send and not who(request).is_staff else None,
        "resendable": RESENDABLE,
    }
    return render(request, "releases/reminders.html", context)


@dataclass(frozen=True)
class Chosen:
    """What the reader wants to see: one state or "", one person or 0."""

    state: str = ""
    person: int = 0

    @classmethod
    def of(cls, query: QueryDict) -> Chosen:
        state, person = query.get("state", ""), query.get("person", "")
        number = int(person) if person.isdecimal() and len(person) < 19 else 0
        return cls(state if state in STATE.values else "", number)

    def among(self, rows: QuerySet[Reminder]) -> QuerySet[Reminder]:
        rows = rows.filter(state=self.state) if self.state else rows.exclude(state__in=VOID)
        return rows.filter(recipient=self.person) if self.person else rows


def counts(rows: QuerySet[Reminder]) -> list[tuple[str, str, int]]:
    """(state, its word, how many) for each state that occurs."""
    known = dict(rows.order_by().values_list("state").annotate(number=Count("pk")))
    return [(value, str(word), known[value]) for value, word in STATE.choices if value in known]


@dataclass(frozen=True)
class Grid:
    """Who got which mark, in the schedule as it is: a row a person, a cell a mark."""

    marks: list[reminders.Mark]
    lines: list[tuple[User, str, list[Cell]]]  # person, their roles, one cell a mark

    @classmethod
    def of(cls, release: Release, rows: QuerySet[Reminder], now: datetime) -> Grid:
        marks = reminders.marks(release)
        mine = rows.filter(kind=Reminder.Kind.MARK, schedule_version=release.schedule_version, resend_of=None)
        known = {(row.recipient_id, row.mark): row for row in mine.exclude(state__in=VOID)}
        permissions.load_absences([release], min([now, *(mark.due_at for mark in marks)]))
        people = {person.pk: person for person in reminders.concerned(release)}
        for mark in marks:  # and who stands in for them then
            people |= {person.pk: person for person in reminders.recipients(release, mark.due_at)}
        lines = []
        for person in sorted(people.values(), key=lambda person: person.name):
            cells = [Cell.of(known.get((person.pk, mark.name)), person, mark, release, now) for mark in marks]
            lines.append((person, _standing(release, person), cells))
        return cls(marks, lines)


def _standing(release: Release, person: User) -> str:
    """Why `person` is reminded: their roles, else that they stand in or own an action item."""
    roles = [entry.role.name for entry in assignments_of(release) if entry.user_id == person.pk]
    owns = any(row.owner_id == person.pk for row in reminders.open_actions(release))
    return ", ".join(roles) or ("action items" if owns else "stands in")


@dataclass(frozen=True)
class Cell:
    """What became of one mark for one person: the word that gives the shape, what is said, when it was sent."""

    mark: str
    state: str
    words: str
    at: datetime | None = None

    @classmethod
    def of(cls, row: Reminder | None, person: User, mark: reminders.Mark, release: Release, now: datetime) -> Cell:
        if row is None:
            return cls(mark.name, *_without_row(person, mark, release, now))
        if row.state == STATE.SENT:
            return cls(mark.name, row.state, "sent", row.sent_at)
        if row.state == STATE.SUPPRESSED:
            return cls(mark.name, row.state, row.reason)
        if row.state == STATE.PLANNED and row.next_attempt_at:
            return cls(mark.name, "late", "tried again", row.next_attempt_at)
        due = row.state == STATE.PLANNED and row.due_at <= now
        return cls(mark.name, row.state, "goes out now" if due else row.get_state_display())


def _without_row(person: User, mark: reminders.Mark, release: Release, now: datetime) -> tuple[str, str]:
    if release.clock_stopped:
        return "hold", "the clock is stopped"
    if deputies := duty.stand_ins(release, person, mark.due_at):
        return "na", f"away, {' and '.join(one.name for one in deputies)} in their stead"
    if person not in reminders.recipients(release, mark.due_at):
        return "na", "not standing in then"
    past = mark.not_after <= now or release.started_at is not None or release.is_final
    return "na", "no mail" if past else "not planned yet"


@dataclass
class Group:
    """The rows of one day, or what is still to come."""

    name: str
    rows: list[Reminder] = field(default_factory=list)


def by_day(rows: list[Reminder], release: Release) -> Iterator[Group]:
    """What is to come, the next one first; then day by day, the newest first."""
    coming = [row for row in rows if row.state in (STATE.PLANNED, STATE.SENDING)]
    if coming:
        yield Group("To come", sorted(coming, key=lambda row: (row.due_at, row.pk)))
    done = [row for row in rows if row.state not in (STATE.PLANNED, STATE.SENDING)]
    done.sort(key=lambda row: (row.sent_at or row.due_at, row.pk), reverse=True)
    for day, entries in groupby(done, key=lambda row: timezone.localdate(row.sent_at or row.due_at)):
        yield Group(date_format(day, "D j M", use_l10n=False), list(entries))


@acts("send_now")
def send_now(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """Owe a mail once more, as a row of its own; the old one stays as it is."""
    row = get_object_or_404(Reminder.objects.select_related("recipient", "release"), pk=pk, release=release)
    ledger.send_again(row, by=who(request))
    tasks.look_on_commit()
    say(request, f"The mail to {row.recipient} is sent once more")
    return to(request, reverse("releases:reminders", args=[release.key]))
