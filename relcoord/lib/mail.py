"""The one way a mail leaves: three small files, both parts written by hand, headers that filters and threads need.

emails/<name>/subject.txt   one line; escaping off
emails/<name>/body.txt      what people read in terminals and on watches; escaping off
emails/<name>/body.html     the same in HTML; inline styles, no images; escaping on
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Mapping
from email.utils import formataddr, parseaddr
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends import smtp
from django.template.loader import render_to_string

from relcoord.lib.sockets import has_news

LONGEST_SUBJECT = 200

AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


# Writing


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
        if len(value.splitlines()) > 1 or value.endswith(("\n", "\r")):
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
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines) + "\n"


def _from(sender: str) -> str:
    own, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return formataddr((f"{sender} via {own or 'relcoord'}" if sender else own, address))


# Handing over


class Undelivered(Exception):
    """The mail was not taken; the words are the server's."""


class Refused(Undelivered):
    """For good: 5xx after RCPT or DATA. Another try would hear the same."""


class NotNow(Undelivered):
    """This mail, for now: 4xx, a time-out, a line that broke, anything at MAIL FROM."""


class Unreachable(Undelivered):
    """No mail at all, for now: the server did not answer, or did not let us in."""


class Courier:
    """Hands mails over, on one connection as long as it lasts. Use it as a context; the first mail connects."""

    def __init__(self) -> None:
        ours = settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
        self._backend = get_connection("relcoord.lib.mail.ListeningBackend" if ours else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hang_up()

    def hand_over(self, message: EmailMultiAlternatives) -> str:
        """Give `message` to the server; returns its reply. Raises Refused, NotNow or Unreachable."""
        self._connect()
        try:
            self._backend.send_messages([message])
        except smtplib.SMTPRecipientsRefused as failure:
            code, words = next(iter(failure.recipients.values()))
            raise self._answer(code, words) from failure
        except smtplib.SMTPDataError as failure:
            self._start_anew()
            raise self._answer(failure.smtp_code, failure.smtp_error) from failure
        except (smtplib.SMTPException, OSError) as failure:
            self._hang_up()
            raise NotNow(_words(failure)) from failure
        line = getattr(self._backend, "connection", None)
        return getattr(line, "reply", "") or "taken"

    def _connect(self) -> None:
        line = getattr(self._backend, "connection", None)
        try:
            if line is not None and not _is_alive(line):
                self._hang_up()
            self._backend.open()
        except (smtplib.SMTPException, OSError) as failure:
            self._hang_up()
            raise Unreachable(_words(failure)) from failure

    def _start_anew(self) -> None:
        """Drop the mail that was refused: when DATA itself was, smtplib does not, and the next mail would suffer."""
        line = getattr(self._backend, "connection", None)
        try:
            if line is not None and line.rset()[0] != 250:
                self._hang_up()
        except (smtplib.SMTPException, OSError):
            self._hang_up()

    def _answer(self, code: int, words: bytes | str) -> Undelivered:
        if code == 421:  # the server hangs up
            self._hang_up()
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        return (Refused if code >= 500 else NotNow)(f"{code} {text}")

    def _hang_up(self) -> None:
        try:
            self._backend.close()
        except (smtplib.SMTPException, OSError):
            if hasattr(self._backend, "connection"):
                self._backend.connection = None


def _is_alive(line: smtplib.SMTP) -> bool:
    """Servers end a line after so many mails, and one that is silent for long; that shows on the socket."""
    try:
        return line.sock is not None and (not has_news(line.sock.fileno()) or line.noop()[0] == 250)
    except (smtplib.SMTPException, OSError):
        return False


def _words(failure: Exception) -> str:
    """What went wrong, in one line; an SMTP error's code and words without Python's brackets."""
    if isinstance(failure, smtplib.SMTPResponseException):
        words = failure.smtp_error
        return f"{failure.smtp_code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"
    return " ".join(str(failure).split()) or type(failure).__name__


class _Listening:
    """Keeps what the server said to the mail, which smtplib forgets: its queue number finds the mail again."""

    reply = ""

    def data(self, msg: Any) -> tuple[int, bytes]:
        code, words = super().data(msg)  # type: ignore[misc]
        self.reply = f"{code} {words.decode(errors='replace')}"
        return code, words


class _Smtp(_Listening, smtplib.SMTP):
    pass


class _SmtpOverTls(_Listening, smtplib.SMTP_SSL):
    pass


class ListeningBackend(smtp.EmailBackend):
    """Django's SMTP backend, on a connection that keeps the reply."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _SmtpOverTls if self.use_ssl else _Smtp
