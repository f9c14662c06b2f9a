"""What the chaos does to the product, and what is owed for it: releases that are taken through their lives.

Each journey takes one release along a script of verbs, together mails of every kind. What each verb owes, and to whom,
is said here, from DOMAIN.md and UX.md, and not read from the ledger. A verb whose answer was lost (the database died
while it committed, the web server before it answered) is judged by the release's events, which are written in the
verb's own transaction: it owes its mails if its event is there, else it is done again. A verb that was acknowledged
and is gone afterwards is a fault of its own.

A mail is known again by what its reader sees: its kind by its words, its release by its subject, and where a kind
comes more than once to a release, by the number in its reason.
"""

from __future__ import annotations

import http.client
import random
import re
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from threading import Event as Signal
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils import timezone

from checklists.blueprints import Kind as ItemKind
from checklists.blueprints import Stage
from releases import amending, gonogo, items, people, rollback, ticking, workflow
from releases.models import Choice, Event, Item, Part, Release, Rollback, Severity, Watch
from tests.factories import Cast, ReleaseFactory, address, item, role, seat, settle, settle_gate, window

if TYPE_CHECKING:
    from relcoord.models import User
    from tests.smtp import Apart, Sink

ALL = ("Ada", "Ben", "Dana", "Eli", "Fay", "Gus")
VOTERS = ("Ada", "Dana", "Ben", "Fay")
WITHOUT_ADA = ALL[1:]

Owed = tuple[str, str]  # (what, to whom by first name)


# What came


KINDS = {  # by the subject; the mails that share one subject a release, by their first line
    "rollback started": r"^ROLLBACK started: ",
    "rollback ended": r"^ROLLBACK over: ",
    "invitation": r" invites you to relcoord$",
    "alarm": r": under an hour to T-0",
    "mark": r"^\S+ T-\w+: ",
    "asked": r": your GO or NO-GO, asks ",
    "spoken": r": your \S+ was recorded$",
    "assigned": r": you are ",
    "escalation": r": \d+ items? late$",
    "taken over": r" has taken over$",
    "cancelled": r"\n\S.* is cancelled$",
    "closed": r"\n\S.* is closed, ",
    "decision": r"\n.* decided by ",
    "held": r"\n\S.* is on hold$",
    "rescheduled": r"\n\S.* moved to ",
    "resumed": r"\n\S.*: the clock runs again$",
    "revoked": r"\n\S.*: the GO is revoked$",
    "withdrawn": r"\n\S.*: the (?:GO|poll) is withdrawn$",
}
_KINDS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_RELEASE = re.compile(r"^(?:Release: |ROLLBACK started: |ROLLBACK over: )(\S+) ", re.MULTILINE)
_NUMBER = re.compile(r"number (\d+) of the chaos")
NUMBERED = ("held", "rescheduled")  # what comes to one release more than once


def words(number: int) -> str:
    return f"number {number} of the chaos"


def what_is(message: EmailMessage) -> str:
    """What this mail is, as `Step.owes` names it."""
    body = message.get_body(("plain",))
    text = str(body.get_content()) if body else ""
    seen = f"{message['Subject']}\n{text.lstrip().splitlines()[0] if text.strip() else ''}"
    first = next((kind for kind, pattern in _KINDS.items() if any(map(pattern.search, _looks(seen)))), "unknown")
    key, number = _RELEASE.search(text), _NUMBER.search(" ".join(text.split()))
    name = f"{first} {key[1] if key else ''}".strip()
    return f"{name} {number[0]}" if number and first in NUMBERED else name


def _looks(seen: str) -> tuple[str, str]:
    subject, _, line = seen.partition("\n")
    return subject, f"\n{line}"


class Mailbox:
    """The Message-IDs of what came, by what it was and to whom; each mail is read once."""

    def __init__(self, sink: Sink | Apart) -> None:
        self._sink, self._read = sink, 0
        self.ids: dict[Owed, list[str]] = {}
        self.kinds: Counter[str] = Counter()

    def look(self) -> None:
        for message in self._sink.taken[self._read :]:
            self._read += 1
            name, what = str(message["To"]).split()[0].strip('"'), what_is(message)
            self.ids.setdefault((what, name), []).append(str(message["Message-ID"]))
            self.kinds[what.split(" R")[0]] += 1

    def has(self, owed: set[Owed]) -> bool:
        return owed <= self.ids.keys()


# What is done


@dataclass(frozen=True)
class Step:
    """One act. What it `owes` is expected once it is known to be done; `waits` until all before it has come.

    An act that is not one verb is done again from its beginning when it fails, and skips what is done.
    """

    act: Callable[[], object]
    owes: frozenset[Owed] = frozenset()
    waits: bool = False
    one_verb: bool = True


@dataclass
class Tally:
    """What all journeys have found."""

    expected: set[Owed] = field(default_factory=set)
    verbs: Counter[str] = field(default_factory=Counter)
    forgotten: list[str] = field(default_factory=list)  # acknowledged, and gone
    numbers: int = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers


class Journey:
    """One release on its way. `advance` does the next step, or finds out what became of the last."""

    def __init__(self, troupe: Troupe, tally: Tally, script: str) -> None:
        number = tally.number()
        self.troupe, self.tally, self.key = troupe, tally, f"R{number}"
        self.steps: Iterator[Step] = getattr(self, f"_{script}")()
        self.step: Step | None = next(self.steps)
        self.owed: set[Owed] = set()
        self.seen: int | None = 0  # the newest event, None when it has to be looked up
        self.least = 0  # so many there must be
        self.doubt = False  # was the last act's answer lost?

    def is_ready(self, mailbox: Mailbox) -> bool:
        return self.step is not None and (not self.step.waits or mailbox.has(self.owed))

    def advance(self) -> None:
        step = self.step
        assert step is not None
        try:
            self._look()
            if self.doubt and self._took_place(step):
                self.tally.verbs["answer lost, done all the same"] += 1
            else:
                self.doubt = True  # until the answer is here
                step.act()
                self.tally.verbs["acknowledged"] += 1
        except (DatabaseError, InterfaceError):
            connections.close_all()
            self.tally.verbs["failed, or their answer lost"] += 1
            return
        self._done(step)

    def _done(self, step: Step) -> None:
        self.owed |= step.owes
        self.tally.expected |= step.owes
        self.least = (self.seen or 0) + step.one_verb
        self.step, self.seen, self.doubt = next(self.steps, None), None, False

    def _look(self) -> None:
        """Read the newest event, unless it is known. What was acknowledged must be there."""
        if self.seen is None:
            self.seen = Release.objects.filter(key=self.key).values_list("event_sequence", flat=True).first() or 0
            if self.seen < self.least:
                self.tally.forgotten.append(f"{self.key}: {self.seen} events, where {self.least} were acknowledged")

    def _took_place(self, step: Step) -> bool:
        """A verb leaves an event, and what the drivers note by themselves is no verb."""
        if not step.one_verb:
            return False
        return Event.objects.filter(release__key=self.key, sequence__gt=self.seen, actor_id__isnull=False).exists()

    def find_out(self) -> None:
        """At the end: what became of the last act, and is everything there that was acknowledged?"""
        if self.step is not None and self.doubt and self._took_place(self.step):
            self.tally.verbs["answer lost, done all the same"] += 1
            self._done(self.step)
        self._look()

    # Scripts

    @property
    def release(self) -> Release:
        return Release.objects.select_related("coordinator").get(key=self.key)

    def _to(self, kind: str, names: tuple[str, ...], number: int = 0) -> frozenset[Owed]:
        what = f"{kind} {self.key} {words(number)}" if number else f"{kind} {self.key}"
        return frozenset((what, name) for name in names)

    def _born(self, in_: timedelta, *more: frozenset[Owed]) -> Step:
        cast = self.troupe.cast

        def act() -> None:
            ReleaseFactory(key=self.key, window=window(in_), holders=self.troupe.holders, coordinator=cast.ada)

        return Step(act, self._to("assigned", WITHOUT_ADA).union(*more))

    def _far(self) -> Step:
        return self._born(timedelta(days=30))

    def _near(self) -> Step:
        return self._born(timedelta(hours=3), self._to("mark", ALL))

    def _told(
        self, kind: str, verb: Callable[[str], object], names: tuple[str, ...] = ALL, *, waits: bool = True
    ) -> Step:
        number = self.tally.number()
        owed = self._to(kind, names, number if kind in NUMBERED else 0)
        return Step(lambda: verb(words(number)), owed, waits)

    def _moved(self) -> workflow.Window:
        return window(timedelta(days=30, minutes=self.troupe.dice.randint(1, 20_000)))

    def _cancelled(self, names: tuple[str, ...] = ALL) -> Step:
        return self._told(
            "cancelled", lambda why: workflow.cancel(self.release, why, by=self.release.coordinator), names
        )

    def _held(self) -> Iterator[Step]:
        """Held and moved, again and again; at last resumed as it was, and cancelled."""
        ada = self.troupe.cast.ada
        yield self._far()
        for _ in range(4):
            yield self._told("held", lambda why: workflow.hold(self.release, why, by=ada), waits=False)
            move = lambda why: workflow.resume(self.release, by=ada, window=self._moved(), reason=why)  # noqa: E731
            yield self._told("rescheduled", move, waits=False)
        yield self._told("held", lambda why: workflow.hold(self.release, why, by=ada))
        yield self._told("resumed", lambda why: workflow.resume(self.release, by=ada))
        yield self._cancelled()

    def _polled(self) -> Iterator[Step]:
        """Up to the poll: the marks are out, the gate is settled, everybody is asked."""
        yield self._near()
        yield self._settled()
        yield self._opened()

    def _settled(self) -> Step:
        return Step(lambda: settle_gate(self.release), waits=True, one_verb=False)

    def _opened(self) -> Step:
        return self._told("asked", lambda why: gonogo.open_poll(self.release, by=self.troupe.cast.ada), VOTERS)

    def _voted(self, names: tuple[str, ...] = ("Project Manager", "QA Lead", "Release Coordinator")) -> Step:
        cast = self.troupe.cast
        people_ = {"Project Manager": cast.dana, "QA Lead": cast.ben, "Release Coordinator": cast.ada}

        def act() -> None:
            for name in names:
                gonogo.cast_ballot(self.release, seat(self.release, name), Choice.GO, by=people_[name])

        return Step(act, waits=True, one_verb=False)

    def _decided(self, call: gonogo.Call) -> Step:
        ada = self.troupe.cast.ada
        return self._told("decision", lambda why: gonogo.decide(self.release, call, by=ada, rationale=why))

    def _no_go(self) -> Iterator[Step]:
        """Under an hour to T-0, and nothing decided; a spoken ballot, a NO-GO, a new T-0, another coordinator."""
        cast = self.troupe.cast
        yield self._born(timedelta(minutes=59), self._to("mark", ALL), self._to("alarm", ("Ada", "Dana")))
        yield self._settled()
        yield self._opened()

        def spoken(why: str) -> None:
            qa = seat(self.release, "QA Lead")
            gonogo.cast_ballot(self.release, qa, Choice.GO, by=cast.ada, spoken_by_holder=cast.ben)

        yield self._told("spoken", spoken, ("Ben",))
        yield self._voted(("Project Manager",))
        yield self._decided(gonogo.Call.NO_GO)
        yield self._told(
            "rescheduled", lambda why: workflow.reschedule(self.release, self._moved(), by=cast.ada, reason=why)
        )
        yield self._told("taken over", lambda why: people.take_over(self.release, why, by=cast.dana), ("Ada",))
        yield self._cancelled(WITHOUT_ADA)

    def _poll_withdrawn(self) -> Iterator[Step]:
        ada = self.troupe.cast.ada
        yield from self._polled()
        yield self._told("withdrawn", lambda why: gonogo.withdraw_poll(self.release, why, by=ada), VOTERS)
        yield self._cancelled()

    def _go_withdrawn(self) -> Iterator[Step]:
        ada = self.troupe.cast.ada
        yield from self._cleared()
        yield self._told("withdrawn", lambda why: gonogo.withdraw_go(self.release, why, by=ada))
        yield self._cancelled()

    def _cleared(self) -> Iterator[Step]:
        yield from self._polled()
        yield self._voted()
        yield self._decided(gonogo.Call.GO)

    def _revoked(self) -> Iterator[Step]:
        cast = self.troupe.cast
        yield from self._cleared()

        def reopen(why: str) -> None:
            ticking.reopen(item(self.release, "QA sign-off obtained"), by=cast.ben, reason=why, revoke=why)

        yield self._told("revoked", reopen)
        yield self._cancelled()

    def _started(self) -> Iterator[Step]:
        ada = self.troupe.cast.ada
        yield from self._cleared()
        yield Step(lambda: workflow.start_deployment(self.release, by=ada, override="agreed by phone"), waits=True)

    def _shipped(self) -> Iterator[Step]:
        ada = self.troupe.cast.ada
        yield from self._started()
        yield Step(lambda: self._work(Stage.PRODUCTION), one_verb=False)
        yield Step(lambda: workflow.finish_deployment(self.release, by=ada))
        yield Step(lambda: self._work(Stage.POST_DEPLOYMENT), one_verb=False)
        yield self._told("closed", lambda why: workflow.close(self.release, by=ada))

    def _work(self, stage: Stage) -> None:
        ada = self.troupe.cast.ada
        for row in Item.objects.of(self.release).filter(phase__stage=stage).exclude(kind=ItemKind.CLOSE).unsettled():
            if row.kind != ItemKind.WATCH:
                settle(row)
                continue
            if not Watch.objects.filter(item=row, ended_at=None).exists():
                items.start_watch(row, by=ada)
            begun = timezone.now() - timedelta(minutes=row.watch_min + 1)
            Watch.objects.filter(item=row, ended_at=None).update(started_at=begun)
            items.end_watch(row, items.Verdict.HEALTHY, by=ada)

    def _rolled_back(self) -> Iterator[Step]:
        cast = self.troupe.cast
        yield from self._started()
        yield self._told("rollback started", lambda why: rollback.trigger(self.release, why, by=cast.ada))
        yield Step(self._roll_back, waits=True, one_verb=False)  # a mail about a rollback that is over says so

        def finish(why: str) -> None:
            review = timezone.localdate() + timedelta(days=2)
            rollback.finish(self._rollback(), by=cast.ada, review_on=review, review_owner=cast.ada)

        yield self._told("rollback ended", finish)

    def _rollback(self) -> Rollback:
        return Rollback.objects.select_related("release").get(release__key=self.key)

    def _roll_back(self) -> None:
        ada = self.troupe.cast.ada
        while (step := self._rollback().current_step) is not None and step.part != Part.REVIEW:
            if step.part == Part.ASSESS:
                rollback.record_severity(self._rollback(), Severity.MAJOR, rollback.Path("rollback"), by=ada)
            else:
                rollback.complete_step(step, by=ada)

    def _late(self) -> Iterator[Step]:
        """An item is overdue; somebody new joins, by name and by invitation."""
        cast = self.troupe.cast
        yield self._far()
        past = timezone.now() - timedelta(minutes=5)
        yield Step(
            lambda: amending.set_due(item(self.release, "QA sign-off obtained"), past, by=cast.ada),
            self._to("escalation", ("Ben",)),
        )
        yield Step(
            lambda: people.assign(self.release, role("Risk Champion"), cast.cy, by=cast.ada),
            self._to("assigned", ("Cy",)),
        )
        name = f"New{self.key}"
        yield Step(
            lambda: people.invite(address(name), f"{name} Person", by=cast.ada, release=self.release),
            self._to("invitation", (name,)),
        )
        yield self._cancelled((*ALL, "Cy"))


SCRIPTS = (
    "held",
    "no_go",
    "poll_withdrawn",
    "go_withdrawn",
    "revoked",
    "shipped",
    "rolled_back",
    "late",
)


class Troupe:
    """The people all journeys share."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.cast = dice, Cast()
        cast = self.cast
        developers = (cast.ben, cast.dana, cast.eli, cast.fay, cast.gus)
        # everybody coordinates or develops, so that each has something open at T-4h
        self.holders = {**cast.holders(), role("Developers"): developers}


class Flow:
    """Keeps so many releases on their way, one step at a time."""

    def __init__(self, dice: random.Random, mailbox: Mailbox, at_once: int) -> None:
        self.dice, self.mailbox, self.at_once = dice, mailbox, at_once
        self.tally, self.troupe = Tally(), Troupe(dice)
        self.journeys: list[Journey] = []
        self.begun = 0

    def step(self) -> None:
        self.mailbox.look()
        ready = [journey for journey in self.journeys if journey.is_ready(self.mailbox)]
        under_way = sum(journey.step is not None for journey in self.journeys)
        if under_way < self.at_once and (not ready or self.dice.random() < 0.3):
            journey = Journey(self.troupe, self.tally, SCRIPTS[self.begun % len(SCRIPTS)])
            self.begun += 1
            self.journeys.append(journey)
            ready = [journey]
        if ready:
            self.dice.choice(ready).advance()

    def find_out(self) -> None:
        for journey in self.journeys:
            journey.find_out()


# Through the web


class Visitor:
    """Somebody with a browser: opens pages, and stops and resumes the clock of a release through the web server.

    A thread of its own. A form whose answer did not come is judged as any verb is: by the event.
    """

    def __init__(self, troupe: Troupe, address_: str, first: int) -> None:
        self.address, self.number, self.stopped = address_, first, Signal()
        self.key, self.held = f"R{first}", False
        self.pages: tuple[str, ...] = ("/releases/", f"/r/{self.key}/", f"/r/{self.key}/reminders/")
        self.visits: Counter[str] = Counter()
        self.answered_at = 0.0
        self.expected: set[Owed] = set()
        self.doubts: set[int] = set()
        ReleaseFactory(
            key=self.key, window=window(timedelta(days=30)), holders=troupe.holders, coordinator=troupe.cast.ada
        )
        self.cookies = _signed_in(troupe.cast.ada)

    def run(self) -> None:
        try:
            while not self.stopped.wait(0.3):
                self._look_around()
                self._turn_the_clock()
        finally:
            connections.close_all()

    def _look_around(self) -> None:
        for page in self.pages:
            self.visits["pages shown" if self._ask(page) == 200 else "pages not shown"] += 1

    def _turn_the_clock(self) -> None:
        self.number += 1
        reason = words(self.number)
        form = {"keep": "keep"} if self.held else {"reason": reason}
        answer = self._ask(f"/r/{self.key}/{'resume' if self.held else 'hold'}/", form)
        if 300 <= answer < 400:  # to the page behind it
            self.visits["forms answered"] += 1
            self._done(self.number)
        else:
            self.visits["forms without an answer"] += 1
            self.doubts.add(self.number)
            self._how_it_stands()

    def _done(self, number: int) -> None:
        if not self.held:
            self.expected |= {(f"held {self.key} {words(number)}", name) for name in ALL}
        self.held = not self.held

    def _how_it_stands(self) -> None:
        try:
            with transaction.atomic():
                release = Release.objects.get(key=self.key)
                self.held = release.open_hold is not None
        except (DatabaseError, InterfaceError):
            connections.close_all()

    def settle_doubts(self) -> None:
        """What became of the forms without an answer."""
        reasons = Event.objects.filter(release__key=self.key, action="release.held").values_list("data", flat=True)
        done = {data["reason"] for data in reasons}
        for number in self.doubts:
            if words(number) in done:
                self.visits["forms without an answer that were taken"] += 1
                self.expected |= {(f"held {self.key} {words(number)}", name) for name in ALL}

    def _ask(self, path: str, form: dict[str, str] | None = None) -> int:
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.address + path, data, self.cookies)
        try:
            with _opener.open(request, timeout=10) as answer:
                answer.read()
                status = int(answer.status)
        except urllib.error.HTTPError as failure:
            with failure:
                status = failure.code
        except (OSError, http.client.HTTPException):  # refused, cut off, half an answer
            return 0
        self.answered_at = time.monotonic()
        return status


class _Stay(urllib.request.HTTPRedirectHandler):
    """The answer to a form is that it was taken; the page behind it is asked for separately."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_Stay)


def _signed_in(user: User) -> dict[str, str]:
    """The headers of a browser in which `user` has signed in."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session, token = client.cookies[settings.SESSION_COOKIE_NAME].value, secrets.token_hex(16)
    cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
    return {"Cookie": cookies, "X-CSRFToken": token}
