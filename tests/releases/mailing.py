"""What the tests of reminders and mails share: the moment of a mark, a look at the ledger, what went out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core import mail as outbox
from django.core.mail import EmailMultiAlternatives

from releases import ledger, reminders
from releases.models import Release, Reminder
from tests.factories import fresh


def at(release: Release, name: str) -> datetime:
    """The moment of a mark of `release`."""
    return next(mark.due_at for mark in reminders.marks(fresh(release)) if mark.name == name)


def look(now: datetime) -> list[Any]:
    """Tick at `now`; returns the mails that went out."""
    outbox.outbox.clear()
    ledger.tick(now)
    return list(outbox.outbox)


def names(mails: list[Any], words: str = "") -> set[str]:
    """First names of those who got a mail with `words` in its subject."""
    return {message.to[0].split()[0] for message in mails if words in message.subject}


def marked(release: Release, mark: str) -> set[str]:
    """First names of those who got the mail of `mark` when the ledger is looked at in its moment."""
    return names(look(at(release, mark)), f" {mark}:")


def one(mails: list[Any], name: str, words: str = "") -> EmailMultiAlternatives:
    """The one mail to `name` with `words` in its subject."""
    found = [message for message in mails if message.to[0].startswith(name) and words in message.subject]
    assert len(found) == 1, [message.subject for message in found]
    return found[0]


def html(message: EmailMultiAlternatives) -> str:
    return str(message.alternatives[0].content)  # type: ignore[attr-defined]


def row(release: Release, mark: str, name: str) -> Reminder:
    """The row of `mark` for the person called `name`, in the schedule as it is."""
    version = fresh(release).schedule_version
    rows = release.reminders.filter(mark=mark, recipient__name__startswith=name, schedule_version=version)
    return rows.exclude(state__in=("superseded", "cancelled")).get(resend_of=None)


def state(release: Release, mark: str, name: str) -> tuple[str, str]:
    found = row(release, mark, name)
    return found.state, found.reason
