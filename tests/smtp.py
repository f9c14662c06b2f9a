"""A real SMTP server for tests: it keeps what it took, and answers as a test tells it to.

`sink.at[CONNECT]`, `[EHLO]`, `[AUTH]`, `[MAIL]`, `[RCPT]`, `[DATA]` (before the mail) and `[TAKEN]` (after it) are what
the server does there instead of what it should: a reply, HANG or DROP; at TAKEN also END. With `sink.only_for` it does so for that one
recipient, where it knows the recipient.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from queue import Empty
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.provision import end_with_parent, free_port

CONNECT, EHLO, AUTH, MAIL, RCPT, DATA, TAKEN = "connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "taken"
HANG, DROP, END = "hangs", "drops the line", "ends the line after its answer"
PASSWORD = b"open sesame"
LONG = 60  # seconds, and longer than any time-out of a test


class Server(SMTP):
    """aiosmtpd, which does at each stage what `Sink.at` says."""

    event_handler: Sink

    def connection_made(self, transport: Any) -> None:
        self.event_handler.lines.append(transport)
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        greets = self.session is not None and not self.session.host_name and str(status).startswith("220 ")
        if not (greets and await self._instead(CONNECT)):
            await super().push(status)

    async def smtp_EHLO(self, hostname: str) -> None:
        if not await self._instead(EHLO):
            await super().smtp_EHLO(hostname)

    async def smtp_HELO(self, hostname: str) -> None:  # what smtplib says where EHLO was refused
        if not await self._instead(EHLO):
            await super().smtp_HELO(hostname)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self._instead(AUTH):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if not await self._instead(MAIL):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not await self._instead(RCPT, to=arg or ""):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if not await self._instead(DATA, to=str(self.envelope and self.envelope.rcpt_tos)):
            await super().smtp_DATA(arg)

    async def _instead(self, stage: str, to: str = "") -> bool:
        """Do what the sink says for this stage; False when it says nothing."""
        act = self.event_handler.act(stage, to)
        if act == HANG:
            await asyncio.sleep(LONG)
        elif act == DROP:
            self.transport.abort()  # type: ignore[union-attr]
        elif act:
            await super().push(act)
        return bool(act)


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

    at: dict[str, str] = field(default_factory=dict)  # what happens at a stage instead
    lines: list[asyncio.Transport] = field(default_factory=list)
    only_for: str = ""  # the one address it happens to, where the address is known

    def act(self, stage: str, to: str) -> str:
        known = stage in (RCPT, DATA, TAKEN)
        return self.at.get(stage, "") if not (known and self.only_for) or self.only_for in to else ""

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
        act = self.act(TAKEN, to)
        if reply := self.data.get(to, "") or ("" if act in (HANG, DROP, END) else act):
            return reply
        content: Any = envelope.content
        self.taken.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]
        self.before_answer(to)
        if act == HANG:
            await asyncio.sleep(LONG)
        elif act == DROP:
            server.transport.abort()  # type: ignore[union-attr]
        elif act == END:
            asyncio.get_running_loop().call_soon(server.transport.close)  # type: ignore[union-attr]
        return f"250 2.0.0 taken as number {len(self.taken)}"

    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]

    def to(self, name: str) -> list[str]:
        """The subjects of what came for `name`."""
        return [str(message["Subject"]) for message in self.taken if name in str(message["To"])]


class Gatekeeper(Controller):
    def factory(self) -> SMTP:
        return Server(self.handler, authenticator=_authenticator, auth_require_tls=False, **self.SMTP_kwargs)


def _authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and given.password == PASSWORD
    return AuthResult(success=right, handled=False)


@contextmanager
def sink(settings: Any) -> Iterator[Sink]:
    """Run a server on this machine and let Django send to it."""
    server = Sink(free_port())
    controller = Gatekeeper(server, hostname="127.0.0.1", port=server.port, ready_timeout=30)
    controller.start()
    server.connections = 0  # the controller knocks once itself
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    try:
        yield server
    finally:
        for line in server.lines:
            controller.loop.call_soon_threadsafe(line.abort)
        controller.stop()


@dataclass
class Apart:
    """A sink in a process of its own: what this one is busy with keeps no answer waiting."""

    port: int
    _letters: multiprocessing.Queue[bytes]
    _read: list[EmailMessage] = field(default_factory=list)

    @property
    def taken(self) -> list[EmailMessage]:
        """What came in, in its order; the list grows in place."""
        while True:
            try:
                letter = self._letters.get_nowait()
            except Empty:
                return self._read
            self._read.append(email.message_from_bytes(letter, policy=email.policy.default))  # type: ignore[arg-type]


@contextmanager
def sink_apart(answers_after: float = 0.0) -> Iterator[Apart]:
    """Run a server in a process of its own; it answers so many seconds after it took a mail."""
    fresh = multiprocessing.get_context("spawn")  # a fork would share what this process has open
    letters, up = fresh.Queue(), fresh.Event()
    server = Apart(free_port(), letters)
    process = fresh.Process(target=_serve, args=(server.port, letters, up, answers_after), daemon=True)
    process.start()
    try:
        assert up.wait(timeout=60), "the SMTP server did not start"
        yield server
    finally:
        process.terminate()
        process.join()


@dataclass
class _Forwarding(Sink):
    """Passes on what it takes before it answers."""

    letters: Any = None
    answers_after: float = 0.0  # seconds

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.letters.put(envelope.content)
        await asyncio.sleep(self.answers_after)
        return "250 2.0.0 taken"


def _serve(port: int, letters: Any, up: Any, answers_after: float) -> None:
    end_with_parent(signal.SIGKILL)()
    server = _Forwarding(port, letters=letters, answers_after=answers_after)
    Gatekeeper(server, hostname="127.0.0.1", port=port, ready_timeout=30).start()
    up.set()
    threading.Event().wait()  # until this process is terminated


class Gate:
    """Lets a test hold a thread at a point until it says go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self, *_: Any) -> None:
        self.reached.set()
        assert self.opened.wait(timeout=30)
