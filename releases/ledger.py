"""Working the ledger off: lease, look again, send, mark. Safe for any number of drivers at once.

A row is claimed by one conditional UPDATE that gives it a lease and a fresh token; only the holder of the token
may renew, send and mark. A death between hand-over and mark may repeat one mail under the same Message-ID,
and can never lose one (RELIABILITY: "Why lease, send, mark").
"""

from __future__ import annotations

import logging
import random
import secrets
import smtplib
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from releases import mail, reminders
from releases.models import Release, Reminder

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=120)
BACK_OFF = (30, 60, 120, 240, 480, 900)  # seconds after the first, second, ... temporary failure
BATCH = 50
STATE = Reminder.State


def tick(now: datetime | None = None) -> int:
    """Look once at everything that is owed; returns how many mails were handed over.

    `now` is the moment looked from (the present by default); what is sent in this tick is marked with the present.
    """
    moment = now or timezone.now()
    reminders.beat(moment)
    release_leases(moment)
    reminders.plan(moment)
    reminders.retire(moment)
    reminders.miss(moment)
    return deliver(moment)


def release_leases(now: datetime) -> int:
    """Rows whose lease is over go back to planned and keep their Message-ID."""
    over = Reminder.objects.filter(state=STATE.SENDING, lease_until__lte=now)
    return over.update(state=STATE.PLANNED, lease_until=None, lease_token="")


def deliver(now: datetime) -> int:
    """Send until nothing is due; returns how many were sent."""
    sent = 0
    while True:
        claimed = list(claim(now))
        if not claimed:
            return sent
        sent += sum(send(row, now) for row in claimed)


def claim(now: datetime) -> Iterator[Reminder]:
    """Lease up to BATCH rows that are due, the longest due first."""
    ready = Reminder.objects.planned().filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now))
    due = ready.filter(due_at__lte=now, not_after__gt=now).order_by("due_at", "-rank", "pk")
    for pk in list(due.values_list("pk", flat=True)[:BATCH]):
        token = secrets.token_hex(16)
        taken = (
            Reminder.objects.planned()
            .filter(pk=pk)
            .update(
                state=STATE.SENDING,
                lease_until=now + LEASE,
                lease_token=token,
                attempts=F("attempts") + 1,
                message_id=mail.message_id(pk),
            )
        )
        if taken:
            rows = Reminder.objects.select_related("release__coordinator", "recipient")
            yield rows.get(pk=pk)


def send(row: Reminder, now: datetime) -> bool:
    """Look again, renew, hand over, mark. True when this call handed the mail over."""
    refused = reminders.refusal(row)
    if refused is not None:
        return _end(row, *refused)
    try:
        message = mail.build(row, now)
    except mail.NothingToSay as silence:
        return _end(row, STATE.SUPPRESSED, str(silence))
    if not _renew(row):
        return False
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as failure:
        code, words = next(iter(failure.recipients.values()))
        return _failed(row, code, words, now)
    except smtplib.SMTPDataError as failure:
        return _failed(row, failure.smtp_code, failure.smtp_error, now)
    except (smtplib.SMTPException, OSError) as failure:
        return _later(row, str(failure), now)
    return _sent(row, str(message.subject))


def _mine(row: Reminder) -> QuerySet[Reminder]:
    return Reminder.objects.filter(pk=row.pk, state=STATE.SENDING, lease_token=row.lease_token)


def _renew(row: Reminder) -> bool:
    """Hold the lease from now on; False when it is over and another has the row."""
    return bool(_mine(row).update(lease_until=timezone.now() + LEASE))


def _sent(row: Reminder, subject: str) -> bool:
    done = _mine(row).update(
        state=STATE.SENT,
        sent_at=timezone.now(),
        lease_until=None,
        lease_token="",
        subject=subject[:300],
        smtp_reply="accepted",
        reason="",
    )
    return bool(done)


def _end(row: Reminder, state: str, reason: str) -> bool:
    _mine(row).update(state=state, reason=reason[:300], lease_until=None, lease_token="")
    return False


def _failed(row: Reminder, code: int, words: bytes | str, now: datetime) -> bool:
    """5xx after RCPT or DATA is for good; 4xx is tried again."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    if code < 500:
        return _later(row, f"{code} {text}", now)
    _mine(row).update(
        state=STATE.FAILED,
        reason=f"refused for good: {code} {text}"[:300],
        smtp_reply=f"{code} {text}"[:500],
        lease_until=None,
        lease_token="",
    )
    log.warning("reminder %s was refused for good: %s", row.pk, code)
    return False


def _later(row: Reminder, words: str, now: datetime) -> bool:
    """Back off with jitter, inside the window; past it the row is missed with these words."""
    wait = BACK_OFF[min(row.attempts, len(BACK_OFF)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
    _mine(row).update(
        state=STATE.PLANNED,
        next_attempt_at=now + timedelta(seconds=wait),
        reason=f"not yet accepted: {words}"[:300],
        smtp_reply=words[:500],
        lease_until=None,
        lease_token="",
    )
    log.warning("reminder %s is tried again in %d s: %s", row.pk, wait, words)
    return False


def send_again(row: Reminder, release: Release, now: datetime) -> Reminder:
    """Owe the same mail once more: a new row, because final rows never change."""
    return Reminder.objects.create(
        kind=row.kind,
        release=release,
        recipient=row.recipient,
        about=row.about,
        mark=row.mark,
        rank=row.rank,
        schedule_version=release.schedule_version,
        data=row.data,
        due_at=now,
        not_after=now + timedelta(days=1),
        created_at=now,
        resend_of=row,
    )
