"""Mail kept as files instead of sent: what the embedded default shows at /outbox/.

Each message is one .eml in `settings.OUTBOX_DIR`, written whole or not at all.
"""

import email
import email.policy
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage as ParsedMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

NAME = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}\.eml")


@dataclass(frozen=True)
class Mail:
    """One kept message. `sent_at` is aware; `html` is empty for a mail that is text alone."""

    name: str
    sent_at: datetime
    subject: str
    sender: str
    recipients: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class EmailBackend(BaseEmailBackend):
    """Write each message into the outbox folder."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        kept = [message for message in email_messages if message.recipients()]
        for message in kept:
            _write(message.message().as_bytes())
        return len(kept)


def messages(limit: int = 200) -> list[Mail]:
    """The newest messages, newest first."""
    names = sorted((path.name for path in _folder().glob("*.eml") if NAME.fullmatch(path.name)), reverse=True)
    return [read(name) for name in names[:limit]]


def read(name: str) -> Mail:
    """The message called `name`. Raises FileNotFoundError when there is none, whatever `name` holds."""
    if not NAME.fullmatch(name):
        raise FileNotFoundError(name)
    parsed = email.message_from_bytes((_folder() / name).read_bytes(), policy=email.policy.default)
    return Mail(
        name=name,
        sent_at=_sent_at(parsed, name),
        subject=str(parsed["Subject"] or ""),
        sender=str(parsed["From"] or ""),
        recipients=tuple(str(parsed[field]) for field in ("To", "Cc") if parsed[field]),
        headers=tuple((key, str(value)) for key, value in parsed.items()),
        text=_part(parsed, "plain"),
        html=_part(parsed, "html"),
    )


def _write(content: bytes) -> None:
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.eml"
    draft = folder / f".{name}.draft"
    with draft.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / name)


def _folder() -> Path:
    return Path(settings.OUTBOX_DIR)


def _part(parsed: ParsedMessage, subtype: str) -> str:
    body = parsed.get_body(preferencelist=(subtype,))
    return str(body.get_content()) if body is not None else ""


def _sent_at(parsed: ParsedMessage, name: str) -> datetime:
    try:
        return parsedate_to_datetime(str(parsed["Date"])).astimezone(UTC)
    except ValueError:
        return datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
