"""What a mail server can do to a mail, stage by stage, and the state each row ends in (RELIABILITY: "Failure").

A real server and the real courier. Only 5xx after RCPT or DATA is for good; everything else is tried again, later, and
one bad address keeps nobody else from their mail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from releases import ledger, workflow
from releases.models import Release, Reminder
from tests.factories import Cast, ReleaseFactory, UserFactory, role
from tests.releases.mailing import at
from tests.smtp import AUTH, CONNECT, DATA, DROP, EHLO, END, HANG, MAIL, PASSWORD, RCPT, TAKEN, Sink, sink

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
BEN = "ben@example.org"
PATIENCE, SHORT = 10, 0.4  # seconds until the courier gives up waiting: in production, and here where a server hangs
EVERYBODY, BEN_ALONE = {"Ada", "Ben", "Gus"}, {"Ben"}


@pytest.fixture(scope="module")
def _server() -> Iterator[Sink]:
    with sink(SimpleNamespace()) as server:
        yield server


@pytest.fixture
def smtp(_server: Sink, settings: Any) -> Sink:
    """The one server of this module, which has forgotten what it was told before."""
    _server.taken, _server.at, _server.only_for, _server.connections = [], {}, "", 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", _server.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "relcoord", PASSWORD.decode()
    return _server


@pytest.fixture
def now() -> datetime:
    """The moment of T-1d, at which Ada, Ben and Gus are owed a mail, and nobody else."""
    release = ReleaseFactory()
    ledger.plan(at(release, "T-3d"))
    wanted = ("ada@example.org", BEN, "gus@example.org")
    Reminder.objects.exclude(mark="T-1d", recipient__email__in=wanted).delete()
    return at(release, "T-1d")


def work(now: datetime) -> int:
    """Work off what is due at `now`, without planning more."""
    return ledger.deliver(lambda: now)


def states() -> dict[str, str]:
    """The state of each row, by the recipient's first name."""
    rows = Reminder.objects.values_list("recipient__name", "state")
    return {name.split()[0]: state for name, state in rows}


# What happens at which stage; who is not served meanwhile; does it ever end; what the row says of it.
LATER, FOR_GOOD = "planned", "failed"
TABLE = [
    (CONNECT, "421 4.3.2 too busy", EVERYBODY, LATER, "421 4.3.2 too busy"),
    (CONNECT, "554 5.7.1 not from here", EVERYBODY, LATER, "554 5.7.1 not from here"),
    (CONNECT, HANG, EVERYBODY, LATER, "timed out"),
    (CONNECT, DROP, EVERYBODY, LATER, "Connection"),
    (EHLO, "451 4.3.0 later", EVERYBODY, LATER, "451 4.3.0 later"),
    (EHLO, "550 5.7.1 not you", EVERYBODY, LATER, "550 5.7.1 not you"),
    (EHLO, HANG, EVERYBODY, LATER, "timed out"),
    (EHLO, DROP, EVERYBODY, LATER, "Connection"),
    (AUTH, "454 4.7.0 no log-in just now", EVERYBODY, LATER, "454 4.7.0 no log-in just now"),
    (AUTH, "535 5.7.8 wrong password", EVERYBODY, LATER, "535 5.7.8 wrong password"),
    (AUTH, HANG, EVERYBODY, LATER, "timed out"),
    (AUTH, DROP, EVERYBODY, LATER, "Connection"),
    (MAIL, "451 4.3.0 later", EVERYBODY, LATER, "451 4.3.0 later"),
    (MAIL, "550 5.7.1 not from you", EVERYBODY, LATER, "550 5.7.1 not from you"),
    (MAIL, HANG, EVERYBODY, LATER, "timed out"),
    (MAIL, DROP, EVERYBODY, LATER, "Connection"),
    (RCPT, "450 4.2.0 greylisted", BEN_ALONE, LATER, "450 4.2.0 greylisted"),
    (RCPT, "550 5.1.1 no such mailbox", BEN_ALONE, FOR_GOOD, "550 5.1.1 no such mailbox"),
    (RCPT, "421 4.3.2 going down", BEN_ALONE, LATER, "421 4.3.2 going down"),
    (RCPT, HANG, BEN_ALONE, LATER, "timed out"),
    (RCPT, DROP, BEN_ALONE, LATER, "Connection"),
    (DATA, "451 4.3.0 later", BEN_ALONE, LATER, "451 4.3.0 later"),
    (DATA, "554 5.7.1 no mail today", BEN_ALONE, FOR_GOOD, "554 5.7.1 no mail today"),
    (DATA, HANG, BEN_ALONE, LATER, "timed out"),
    (DATA, DROP, BEN_ALONE, LATER, "Connection"),
    (TAKEN, "452 4.2.2 mailbox full", BEN_ALONE, LATER, "452 4.2.2 mailbox full"),
    (TAKEN, "552 5.2.3 too long", BEN_ALONE, FOR_GOOD, "552 5.2.3 too long"),
    (TAKEN, HANG, BEN_ALONE, LATER, "timed out"),
    (TAKEN, DROP, BEN_ALONE, LATER, "Connection"),
]


@pytest.mark.parametrize(
    ("stage", "act", "unserved", "state", "said"), TABLE, ids=[f"{stage} {act}" for stage, act, *_ in TABLE]
)
def test_what_a_server_does_at_each_stage_ends_as_the_rules_say(
    stage: str, act: str, unserved: set[str], state: str, said: str, now: datetime, smtp: Sink, settings: Any
) -> None:
    smtp.at[stage], smtp.only_for = act, BEN
    settings.EMAIL_TIMEOUT = SHORT if act == HANG else PATIENCE

    work(now)

    assert states() == {name: state if name in unserved else "sent" for name in ("Ada", "Ben", "Gus")}
    tried = Reminder.objects.filter(attempts=1, recipient__name__in=["Ada Lovelace", "Ben Osei", "Gus Rao"])
    assert any(said in entry.reason for entry in tried), [entry.reason for entry in tried]

    smtp.at.clear()
    settings.EMAIL_TIMEOUT = PATIENCE
    assert work(now) == len(unserved) - tried.exclude(state="sent").count(), "what was tried has to wait"
    work(now + MINUTE)
    assert states() == {name: FOR_GOOD if (name, state) == ("Ben", FOR_GOOD) else "sent" for name in states()}
    copies = Counter(smtp.ids())
    twice = stage == TAKEN and act in (HANG, DROP)  # it had taken the mail, and nobody could know
    assert sorted(copies.values()) == [1] * (3 - (state == FOR_GOOD) - twice) + [2] * twice


# Many at once


def held_with(*developers: str) -> Release:
    """A release with these developers beside the cast, all of whom are owed the mail about its hold and no other."""
    cast = Cast()
    team = [UserFactory(name=f"{name} Dev", email=f"{name}@example.org") for name in developers]
    release = ReleaseFactory(holders={**cast.holders(), role("Developers"): team})
    Reminder.objects.all().delete()
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    return release


def test_a_server_that_ends_the_line_after_each_mail_puts_none_off(smtp: Sink, now: datetime) -> None:
    smtp.at[TAKEN] = END
    assert work(now) == 3
    assert {row.attempts for row in Reminder.objects.filter(state="sent")} == {1}
    assert smtp.connections == 3


def test_one_poisoned_address_among_a_hundred_keeps_nobody_from_their_mail(smtp: Sink) -> None:
    held_with(*(f"dev{number}" for number in range(95)))
    smtp.at[RCPT], smtp.only_for = "550 5.1.1 no such mailbox", "dev7@"

    ticks = 1
    while work(timezone.now()) and Reminder.objects.filter(state="planned").exists():
        ticks += 1  # on a busy machine

    assert Counter(Reminder.objects.values_list("state", flat=True)) == {"sent": 99, "failed": 1}
    assert Reminder.objects.get(state="failed").recipient.email == "dev7@example.org"
    assert len(smtp.taken) == 99
    assert smtp.connections == ticks, "nor costs it the others a new line"


def test_thirteen_hanging_recipients_are_not_tried_again_before_all_others_were_tried(
    smtp: Sink, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick has time for three that hang; the others must not wait until those have been tried again and again."""
    settings.EMAIL_TIMEOUT = SHORT
    monkeypatch.setattr(ledger, "LONGEST_TICK", ledger.LONGEST_TICK * SHORT / PATIENCE)
    held_with(*(f"slow{number}" for number in range(13)))
    Reminder.objects.filter(recipient__email__startswith="slow").update(due_at=timezone.now() - MINUTE)
    smtp.at[RCPT], smtp.only_for = HANG, "slow"
    others, now = Reminder.objects.exclude(recipient__email__startswith="slow"), timezone.now()

    while others.exclude(state="sent").exists():
        work(now)
        now += timedelta(seconds=30)
        again = Reminder.objects.filter(attempts__gt=1)
        assert not (again.exists() and others.exclude(state="sent").exists())

    slow = Reminder.objects.filter(recipient__email__startswith="slow")
    assert set(slow.values_list("state", flat=True)) == {"planned"}
    assert all("timed out" in entry.reason for entry in slow)
    assert len(smtp.taken) == 5
