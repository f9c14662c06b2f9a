"""A real SMTP server for tests: it keeps what it took, and answers as a test tells it to."""

from __future__ import annotations

import email
import email.policy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.provision import free_port


@dataclass
class Sink:
    """What came in, and what it says: `rcpt` and `data` map an address to a reply, "" takes the mail."""

    port: int
    taken: list[EmailMessage] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    sender: str = ""  # the reply to MAIL FROM; "" takes it
    connections: int = 0
    before_rcpt: Callable[[str], None] = lambda to: None  # called with the address before it is taken
    before_answer: Callable[[str], None] = lambda to: None  # called with the address once a mail has come in whole

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender:
            return self.sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.before_rcpt(address)
        if reply := self.rcpt.get(address, ""):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        to = envelope.rcpt_tos[0]
        if reply := self.data.get(to, ""):
            return reply
        content: Any = envelope.content
        self.taken.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]
        self.before_answer(to)
        return f"250 2.0.0 taken as number {len(self.taken)}"

    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]

    def to(self, name: str) -> list[str]:
        """The subjects of what came for `name`."""
        return [str(message["Subject"]) for message in self.taken if name in str(message["To"])]


@contextmanager
def sink(settings: Any) -> Iterator[Sink]:
    """Run a server on this machine and let Django send to it."""
    server = Sink(free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port, ready_timeout=30)
    controller.start()
    server.connections = 0  # the controller knocks once itself
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    try:
        yield server
    finally:
        controller.stop()


class Gate:
    """Lets a test hold a thread at a point until it says go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self, *_: Any) -> None:
        self.reached.set()
        assert self.opened.wait(timeout=30)
