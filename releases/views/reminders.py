"""The ledger of a release: every mail owed, to whom, what became of it and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone

from relcoord.lib.htmx import HtmxRequest, say
from releases import ledger, permissions, reminders, tasks
from releases.errors import DomainError
from releases.models import Release, Reminder
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame

STATE = Reminder.State
TROUBLE = (STATE.FAILED, STATE.MISSED)
MOST = 500  # rows on the page; a release owes a hundred or so


@shows("view")
def reminders_page(request: HtmxRequest, release: Release) -> HttpResponse:
    """Answers at a glance: did the QA Lead get the T-1d mail?"""
    rows = list(
        Reminder.objects.filter(release=release)
        .select_related("recipient", "resend_of")
        .order_by("due_at", "pk")[:MOST]
    )
    context = frame(request, release, "reminders") | {
        "marks": [_mark(mark, rows, release) for mark in reminders.marks(release)],
        "rows": _wanted(request, rows),
        "state": request.GET.get("state", ""),
        "person": request.GET.get("person", ""),
        "states": [(value, label, n) for value, label, n in _counts(rows) if n],
        "people": sorted({row.recipient.pk: row.recipient for row in rows}.values(), key=lambda person: person.name),
        "trouble": [row for row in rows if row.state in TROUBLE],
        "next": next((row for row in rows if row.state == STATE.PLANNED), None),
        "may_send": permissions.may(who(request), "send_now", release),
        "resendable": (*TROUBLE, STATE.SENT, STATE.SUPPRESSED),
    }
    return render(request, "releases/reminders.html", context)


def _counts(rows: list[Reminder]) -> list[tuple[str, str, int]]:
    counts = Counter(row.state for row in rows)
    return [(value, str(label), counts[value]) for value, label in STATE.choices]


def _wanted(request: HtmxRequest, rows: list[Reminder]) -> list[Reminder]:
    state, person = request.GET.get("state", ""), request.GET.get("person", "")
    if state:
        rows = [row for row in rows if row.state == state]
    return [row for row in rows if str(row.recipient_id) == person] if person.isdigit() else rows


def _mark(mark: reminders.Mark, rows: list[Reminder], release: Release) -> dict[str, Any]:
    """One mark with what each person got of it in this schedule."""
    mine = [
        row
        for row in rows
        if row.kind == Reminder.Kind.MARK and row.mark == mark.name and row.schedule_version == release.schedule_version
    ]
    return {"mark": mark, "rows": sorted(mine, key=lambda row: row.recipient.name)}


@acts("send_now")
def send_now(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """Owe a mail once more, as a row of its own; the old one stays as it is."""
    permissions.require(who(request), "send_now", release)
    row = get_object_or_404(Reminder, pk=pk, release=release)
    if row.state in (STATE.PLANNED, STATE.SENDING):
        raise DomainError("That mail is still planned; it goes out by itself")
    ledger.send_again(row, release, timezone.now())
    tasks.look_on_commit()
    say(request, f"The mail to {row.recipient} is sent once more")
    return to(request, reverse("releases:reminders", args=[release.key]))
