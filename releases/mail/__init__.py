"""What each mail says. A row of the ledger comes in, a message goes out; who and what is decided now, at send.

`build` raises `NothingToSay` when nobody needs this mail any more. Mails of the kind *know* share one subject a
release, so that programs thread them; those of the kind *act* carry their own and stand alone. Rollback is *know*
with a subject of its own: it must break out of a muted thread.

`asking` and `news` hold one function a mail, `words` what they share, `invites` what goes to calendars,
`templates/emails/<name>/` the text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from relcoord.lib.mail import compose
from relcoord.models import User
from releases import duty, optout
from releases.mail import asking, invites, news, words
from releases.mail.words import Letter, NothingToSay
from releases.models import Release, Reminder

__all__ = ["NothingToSay", "build", "message_id"]

K = Reminder.Kind
WRITERS: dict[Reminder.Kind, Callable[[Reminder, datetime], Letter]] = {
    K.MARK: asking.mark,
    K.ALARM: asking.alarm,
    K.ESCALATION: asking.overdue,
    K.ASSIGNED: asking.assigned,
    K.ASKED: asking.asked,
    K.SPOKEN: asking.spoken,
    K.DECISION: news.decision,
    K.RESCHEDULED: news.rescheduled,
    K.REVOKED: news.told("revoked"),
    K.WITHDRAWN: news.told("withdrawn", to="decision"),
    K.HELD: news.told("held"),
    K.RESUMED: news.told("resumed"),
    K.CANCELLED: news.told("cancelled"),
    K.TAKEN_OVER: news.taken_over,
    K.ROLLBACK_STARTED: news.rollback_started,
    K.ROLLBACK_ENDED: news.rollback_ended,
    K.CLOSED: news.closed,
    K.INVITATION: news.invitation,
}


def message_id(row: Reminder) -> str:
    """Derived from the row alone, so that the rare second copy carries the same one.

    The moment of the row is in it: after a restored backup numbers are given again, and must not look like copies.
    """
    return f"<reminder-{row.pk}.{int(row.created_at.timestamp())}@{settings.SITE_HOST}>"


def build(row: Reminder, now: datetime) -> EmailMultiAlternatives:
    """Write the mail of `row` as things are at `now`. Raises NothingToSay."""
    letter = WRITERS[Reminder.Kind(row.kind)](row, now)
    release, person = row.release, row.recipient
    home = release.get_absolute_url() if release else "/"
    context = common(person, release, now) | letter.facts
    unsubscribe = optout.path(person, row.kind)
    context["unsubscribe"] = words.url(unsubscribe) if unsubscribe else ""
    context |= {"why": letter.why, "mark": row.mark, "url": words.url(letter.path or home)}
    moments = invites.brought(row, now)
    context["calendar"] = invites.words(moments)
    lead = _leading(release, now)
    message = compose(
        letter.name,
        (person.name, person.email),
        context,
        message_id=row.message_id or message_id(row),
        sender=release.title if release else "",
        reply_to=(lead.name, lead.email) if lead and lead.pk != person.pk else None,
        headers=_headers(release, letter) | _one_click(context["unsubscribe"]),
    )
    invites.attach(message, moments, person, now)
    return message


def _leading(release: Release | None, now: datetime) -> User | None:
    """Whom an answer to the mail reaches: the coordinator, or who stands in for them today."""
    return next(iter(duty.on_duty(release, [release.coordinator], now)), None) if release else None


def common(person: User, release: Release | None, now: datetime) -> dict[str, Any]:
    """What every mail can say of its reader and its release."""
    context: dict[str, Any] = {"person": person, "release": release, "site": settings.SITE_URL}
    if release is None:
        return context
    items = [item for moments in release.plan for item in moments.phase.items.all()]
    return context | {
        "t_zero": words.said(release.t_zero, person),
        "clock": words.clock(release, now),
        "settled": sum(item.settled for item in items),
        "total": len(items),
        "coordinator": release.coordinator,
    }


def _one_click(address: str) -> dict[str, str]:
    """RFC 8058: the mail program may post to `address` by itself, without a log-in."""
    return (
        {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if address else {}
    )


def _headers(release: Release | None, letter: Letter) -> dict[str, str]:
    found = {"X-Relcoord-Reason": letter.reason}
    if release is not None:
        thread = f"<release-{release.pk}.{int(release.created_at.timestamp())}@{settings.SITE_HOST}>"
        found["References"] = thread
        found["List-Id"] = f"{release.key} <{release.key.lower().replace('.', '-')}.{settings.SITE_HOST}>"
        if not letter.act:
            found |= {"In-Reply-To": thread, "Thread-Topic": f"{release.key} {release.title}"}
        if release.restricted:
            found["Sensitivity"] = "Company-Confidential"
    if letter.urgent:
        found["Importance"] = "high"
    return found
