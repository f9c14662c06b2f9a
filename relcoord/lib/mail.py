"""The one way a mail leaves: three small files, both parts written by hand, headers that filters and threads need.

emails/<name>/subject.txt   one line; escaping off
emails/<name>/body.txt      what people read in terminals and on watches; escaping off
emails/<name>/body.html     the same in HTML; inline styles, no images; escaping on
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formataddr, parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

LONGEST_SUBJECT = 200

AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


class HeaderInjection(ValueError):
    """A header would hold a line break. Nothing was sent."""


def compose(
    name: str,
    to: tuple[str, str],
    context: Mapping[str, Any],
    *,
    message_id: str,
    sender: str = "",
    reply_to: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> EmailMultiAlternatives:
    """Make the mail `emails/<name>/` for `to` (name, address).

    `sender` is the name shown before the site's constant address. `message_id` is what a repeat after a crash
    carries again. HeaderInjection when a header would hold a line break.
    """
    subject = " ".join(render_to_string(f"emails/{name}/subject.txt", dict(context)).split())[:LONGEST_SUBJECT]
    context = {**context, "subject": subject}
    extra = {"Message-ID": message_id, **AUTOMATIC, **(headers or {})}
    for value in (*extra.values(), sender, *to, *(reply_to or ())):
        if "\n" in value or "\r" in value:
            raise HeaderInjection(f"A mail header may not hold a line break: {value[:80]!r}")
    message = EmailMultiAlternatives(
        subject=subject,
        body=_tidy(render_to_string(f"emails/{name}/body.txt", context)),
        from_email=_from(sender),
        to=[formataddr(to)],
        reply_to=[formataddr(reply_to)] if reply_to else None,
        headers=extra,
    )
    message.attach_alternative(render_to_string(f"emails/{name}/body.html", context), "text/html")
    return message


def _tidy(text: str) -> str:
    """At most one empty line at a time: conditions in a template leave many."""
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"


def _from(sender: str) -> str:
    own, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return formataddr((f"{sender} via {own or 'relcoord'}" if sender else own, address))
