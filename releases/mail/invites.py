"""Which mails bring something to the reader's calendar, or take it out, and how they carry it.

A role brings the window, and the poll to those with a seat: that mail reaches everybody, whatever they do without. The
last T-reminder before the poll brings the poll once more. Whatever moves the window, or makes it unsure, says so to
calendars too: reschedule, hold, resume, NO-GO; a cancellation takes all of it out.

iTIP wants one UID in a part, and programs act on one part of a mail. So the moment the mail is about is an alternative
of its text, which they act on by themselves; a second one is a file beside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from releases import ical
from releases.models import Release, Reminder, Status

if TYPE_CHECKING:
    from django.core.mail import EmailMultiAlternatives

    from relcoord.models import User

K = Reminder.Kind
TELL_OF_THE_PLAN = (K.ASSIGNED, K.RESCHEDULED, K.HELD, K.RESUMED, K.CANCELLED)
MAY_STOP_THE_CLOCK = (K.DECISION, K.WITHDRAWN)


def brought(row: Reminder, now: datetime) -> list[ical.Moment]:
    """The moments the mail of `row` brings, the one it is about first. Its release has been loaded."""
    release = row.release
    if release is None or not _speaks_of_it(row, release):
        return []
    found = ical.on_plan(release, row.recipient, now)
    if release.status != Status.CANCELLED:
        found = [moment for moment in found if not moment.is_over(now)]
    if row.kind != K.MARK:
        return found
    about = [moment for moment in found if moment.name == "poll" and row.due_at < moment.starts_at <= row.not_after]
    return about + [moment for moment in found if moment.name == "window"] if about else []


def _speaks_of_it(row: Reminder, release: Release) -> bool:
    if row.kind in MAY_STOP_THE_CLOCK:
        return release.status == Status.NO_GO
    return row.kind in TELL_OF_THE_PLAN or row.kind == K.MARK


def words(moments: list[ical.Moment]) -> str:
    """What the mail says of it: "For your calendar: the deployment window and the Go/No-Go"."""
    names = {"window": "the deployment window", "poll": "the Go/No-Go"}
    what = " and ".join(names[moment.name] for moment in moments)
    if not moments:
        return ""
    if moments[0].release.status == Status.CANCELLED:
        return f"Comes out of your calendar: {what}."
    return f"For your calendar: {what}{', as tentative' if moments[0].release.clock_stopped else ''}."


def attach(message: EmailMultiAlternatives, moments: list[ical.Moment], to: User, now: datetime) -> None:
    """Put `moments` into the mail: the first as an alternative of its text, others as files."""
    for place, moment in enumerate(moments):
        letter = ical.letter(moment, to, now)
        kind = f"text/calendar; method={letter.method}"
        if place == 0:
            message.attach_alternative(letter.text, kind)
        else:
            message.attach(letter.name, letter.text, kind)
