"""Plays a history against the real application: its verbs, its ledger, its mails; time is travelled, never waited for.

The SMTP server alone is a stand-in, at the border Django gives for it (a mail backend), because ten thousand histories
have to fit into an hour; the courier above it, which reads the server's answers, is the real one. Ticks that could
change nothing are left out: after each tick the next one is at the first moment that something happens, a mark or T-0
comes, a lease or a wait is over, or 30 seconds later while anything due has not gone.
"""

from __future__ import annotations

import random
import re
import smtplib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest import mock

import time_machine
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.test import override_settings

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage
from checklists.tminus import Anchor, Offset
from relcoord.models import User
from releases import birth, gonogo, ledger, mail, people, reminders, ticking, workflow
from releases.models import Call, Product, Release, Reminder
from releases.workflow import Window
from tests.factories import UserFactory, item, role, saved
from tests.reliability.history import Happening, History, Start
from tests.reliability.model import LEAD, QA, Account, Sent, marks

NEVER = timedelta.max
LONG = timedelta(days=365)
NUMBERS = count(1)
LOOK = 30  # seconds between two ticks of a driver
OTHERS_FLOW = 5  # in one history of so many the other mails flow as well; they take half of the time
PATIENT = 16  # ticks with something due and nothing going; then they may come less often


class Died(BaseException):
    """The sender is no more; nothing of ours may catch this."""


# The server


@dataclass
class Server:
    """The mail server as the history has it, and what it took."""

    down: int = 0
    answers: dict[str, list[str]] = field(default_factory=dict)  # by first name
    take: Callable[[EmailMultiAlternatives], None] = lambda message: None


SERVER = Server()


class Backend(BaseEmailBackend):
    """Answers as smtplib would raise it."""

    def open(self) -> bool:
        if SERVER.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return True

    def send_messages(self, messages: Sequence[EmailMultiAlternatives]) -> int:  # type: ignore[override]
        for message in messages:
            if SERVER.down:
                raise smtplib.SMTPServerDisconnected("please run connect() first")
            if answers := SERVER.answers.get(name_of(message)):
                raise _failure(answers[-1], message.to[0])
            SERVER.take(message)
        return len(messages)


def _failure(answer: str, address: str) -> Exception:
    if answer == "line breaks":
        return smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
    code = int(answer[:3])
    if answer.endswith("RCPT"):
        return smtplib.SMTPRecipientsRefused({address: (code, b"not this one")})
    if answer.endswith("DATA"):
        return smtplib.SMTPDataError(code, b"not this mail")
    return smtplib.SMTPSenderRefused(code, b"not you", "relcoord@localhost")


def name_of(message: EmailMultiAlternatives) -> str:
    return message.to[0].split()[0].strip('"')


# The release


def blueprint(plan: Sequence[str]) -> Blueprint:
    """A checklist with two or three marks, one item for the one role, and the least a release needs."""
    first, *_, last = marks = [Offset.parse(mark) for mark in plan]
    return Blueprint(
        name=f"Reliability {' '.join(plan)}",
        phases=(
            PhasePlan("Readiness", opens=first, items=(ItemPlan("Tests pass", role="QA Lead"),)),
            *(PhasePlan("Staging", opens=mark, items=(ItemPlan("Deploy to staging"),)) for mark in marks[1:-1]),
            PhasePlan("Go/No-Go", Stage.DECISION, opens=last, items=(ItemPlan("Decision", kind=Kind.DECISION),)),
            PhasePlan("Production", Stage.PRODUCTION, opens=Offset.parse("T-0"), items=(ItemPlan("Deploy"),)),
            PhasePlan("After", Stage.POST_DEPLOYMENT, opens=Offset(Anchor.DEPLOYED), items=(ItemPlan("Say so"),)),
        ),
        roles=(RolePlan("Release Coordinator", required=True), RolePlan("QA Lead")),
        seats=(SeatPlan("Release Coordinator"),),
    )


def born(start: Start) -> Release:
    """The release of a history, made as in life, at the moment of its birth."""
    cast = {name: UserFactory(name=f"{name} {name}son") for name in (LEAD, *QA)}
    with time_machine.travel(start.begins, tick=False):
        return birth.create_release(
            saved(blueprint(start.plan)),
            by=cast[LEAD],
            key=f"REL-{next(NUMBERS)}",
            title="Payments",
            product=Product.objects.get_or_create(slug="pay", name="Payments")[0],
            window=_window(start.t_zero, start.zone),
            coordinator=cast[LEAD],
            holders={role("QA Lead"): [cast[QA[0]]]},
        )


def _window(t_zero: datetime, zone: str) -> Window:
    return Window(t_zero, t_zero + timedelta(hours=2), zone)


def play_all(histories: Iterable[History]) -> list[Account]:
    """Play histories that may begin alike; everything they write is undone."""
    start, release, accounts = None, None, []
    with transaction.atomic(), override_settings(EMAIL_BACKEND=f"{__name__}.Backend"):
        outside = transaction.savepoint()
        for history in histories:
            if history.start != start:
                transaction.savepoint_rollback(outside)
                outside = transaction.savepoint()
                start, release = history.start, born(history.start)
            assert release is not None
            before = transaction.savepoint()
            accounts.append(Play(history, release).run())
            transaction.savepoint_rollback(before)
        transaction.set_rollback(True)
    return accounts


# Playing


class Play:
    """One history, from the birth of the release to its end."""

    def __init__(self, history: History, release: Release) -> None:
        self.history, self.release = history, release
        self.account = Account()
        self.people = {person.name.split()[0]: person for person in User.objects.filter(email__in=ADDRESSES)}
        self.dice = random.Random(f"ticks {history.seed}")
        self.queue = deque(history.happenings)
        self.now, self.step = timedelta(0), timedelta(0)
        self.next_tick = timedelta(seconds=self.dice.uniform(0, LOOK))
        self.t_zero, self.holder = history.start.t_zero, QA[0]
        self.down = self.fruitless = 0
        self.others_flow = history.seed % OTHERS_FLOW == 0
        self.deaths: list[str] = []  # armed: the step at which the next sender dies
        self.sleeps: list[timedelta] = []
        self.marks = re.compile(rf"{re.escape(release.key)} ({'|'.join(history.start.plan)}): ")

    def run(self) -> Account:
        SERVER.down, SERVER.answers, SERVER.take = 0, {}, self.take
        random.seed(self.history.seed)  # the jitter of the application
        with time_machine.travel(self.wall, tick=False) as self.clock, self.faults():
            self.advance(self.history.ends)
        return self.account

    @property
    def wall(self) -> datetime:
        return self.history.start.begins + self.now + self.step

    def go_to(self, moment: timedelta) -> None:
        self.now = moment
        self.clock.move_to(self.wall)

    def advance(self, until: timedelta) -> None:
        """Let happen what happens until then, with the ticks of the drivers that are up."""
        while True:
            happens = self.queue[0].at if self.queue else NEVER
            if min(happens, self.next_tick) > until:
                break
            self.go_to(max(self.now, min(happens, self.next_tick)))
            if happens <= self.next_tick:
                self.happen(self.queue.popleft())
                self.next_tick = min(self.next_tick, self.soon())
            else:
                self.tick()
        self.go_to(max(self.now, until))

    def soon(self) -> timedelta:
        return self.now + timedelta(seconds=self.dice.uniform(0.01, LOOK))

    def tick(self) -> None:
        if self.down:
            self.next_tick = NEVER  # "up" sets it again
            return
        if not self.others_flow:
            Reminder.objects.planned().exclude(kind=Reminder.Kind.MARK).update(
                state=Reminder.State.SUPPRESSED, reason="this history is about marks alone"
            )
        before = len(self.queue)
        try:
            ledger.tick()
        except Died:
            self.next_tick = self.soon()
        else:  # what happened while it slept is for the next tick to see
            self.next_tick = self.first_need() if len(self.queue) == before else self.soon()

    def first_need(self) -> timedelta:
        """When a tick could next change something."""
        wall = self.wall
        plan = marks(self.history.start.zone, self.history.start.plan, self.t_zero)
        moments = [mark.due for mark in plan] + [self.t_zero]
        rows = Reminder.objects.filter(state__in=("planned", "sending"))
        for due, again, lease in rows.values_list("due_at", "next_attempt_at", "lease_until"):
            moments.append(lease or max(due, again or due))
        overdue = any(moment <= wall for moment in moments[len(plan) + 1 :])
        self.fruitless = self.fruitless + 1 if overdue else 0
        to_come = [moment for moment in moments if moment > wall]
        later = self.soon() + (min(to_come) - wall) if to_come else NEVER
        if not overdue:
            return later
        pause = LOOK * 2 ** max(0, min(self.fruitless - PATIENT, 8))
        return min(later, self.now + timedelta(seconds=pause))

    # What happens

    def happen(self, happening: Happening) -> None:
        deed = getattr(self, "do_" + re.sub(r"\W", "_", happening.what.lower()), None)
        assert deed is not None, happening.what
        deed(happening)

    @property
    def lead(self) -> User:
        return self.people[LEAD]

    def window(self, to: datetime) -> Window:
        self.t_zero = to
        return _window(to, self.history.start.zone)

    def do_moved(self, happening: Happening) -> None:
        assert happening.to is not None
        workflow.reschedule(self.release, self.window(happening.to), by=self.lead, reason="a holiday")

    def do_same_t_0(self, happening: Happening) -> None:
        workflow.reschedule(self.release, self.window(self.t_zero), by=self.lead, reason="as planned")

    def do_held(self, happening: Happening) -> None:
        workflow.hold(self.release, "an incident elsewhere", by=self.lead)

    def do_resumed(self, happening: Happening) -> None:
        workflow.resume(self.release, by=self.lead, window=self.window(happening.to) if happening.to else None)

    def do_no_go(self, happening: Happening) -> None:
        gonogo.open_poll(self.release, by=self.lead)
        gonogo.decide(self.release, Call.NO_GO, by=self.lead, rationale="two queries fail")

    def do_cancelled(self, happening: Happening) -> None:
        workflow.cancel(self.release, "not needed", by=self.lead)

    def do_holds(self, happening: Happening) -> None:
        qa = role("QA Lead")
        if self.holder:
            people.unassign(self.release, qa, self.people[self.holder], by=self.lead)
        if happening.who:
            people.assign(self.release, qa, self.people[happening.who], by=self.lead)
        self.holder = happening.who

    def do_done(self, happening: Happening) -> None:
        ticking.set_done(item(self.release, "Tests pass"), True, by=self.people[self.holder])

    def do_reopened(self, happening: Happening) -> None:
        ticking.reopen(item(self.release, "Tests pass"), by=self.lead)

    def do_down(self, happening: Happening) -> None:
        self.down += 1

    def do_up(self, happening: Happening) -> None:
        self.down -= 1

    def do_server_down(self, happening: Happening) -> None:
        SERVER.down += 1

    def do_server_up(self, happening: Happening) -> None:
        SERVER.down -= 1

    def do_busy(self, happening: Happening) -> None:
        SERVER.answers.setdefault(happening.who, []).append(happening.where)

    do_gone = do_busy

    def do_free(self, happening: Happening) -> None:
        SERVER.answers[happening.who].pop(0)

    do_found = do_free

    def do_clock_set(self, happening: Happening) -> None:
        self.step += happening.by
        self.go_to(self.now)

    def do_dies(self, happening: Happening) -> None:
        self.deaths.append(happening.where)

    def do_sleeps(self, happening: Happening) -> None:
        self.sleeps.append(happening.by)

    # What goes wrong with senders

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Places at which a sender can die or be stopped; the steps themselves are called through unchanged."""
        build, message_id, owed = mail.build, mail.message_id, reminders.owed

        def planning(*given: Any) -> Any:
            self.at("planning")
            return owed(*given)

        def claiming(row: Reminder) -> str:
            self.at("claiming")
            return message_id(row)

        def writing(row: Reminder, now: datetime) -> EmailMultiAlternatives:
            self.at("claimed")
            message = build(row, now)
            self.at("written")
            self.sleep()
            return message

        with (
            mock.patch.object(reminders, "owed", planning),
            mock.patch.object(mail, "message_id", claiming),
            mock.patch.object(mail, "build", writing),
        ):
            yield

    def at(self, step: str, message_id: str = "") -> None:
        if self.deaths and self.deaths[0] == step:
            self.deaths.pop(0)
            self.account.deaths.append((self.now, message_id))
            raise Died(step)

    def sleep(self) -> None:
        """The sender is stopped; another driver works on, and things happen."""
        if not self.sleeps:
            return
        wakes = self.now + self.sleeps.pop(0)
        self.next_tick = self.soon()
        self.advance(wakes)
        if self.down:
            raise Died("the drivers were switched off meanwhile")

    def take(self, message: EmailMultiAlternatives) -> None:
        self.at("handing over")
        number = str(message.extra_headers["Message-ID"])
        if found := self.marks.match(message.subject):
            self.account.sent.append(Sent(self.now, name_of(message), found[1], number))
        else:
            self.account.others += 1
        self.at("handed over", number)


ADDRESSES = [f"{name.lower()}@example.org" for name in (LEAD, *QA)]
