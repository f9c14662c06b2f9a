"""What the go/no-go room shows: readiness, the board of seats, decisions and earlier rounds. Read only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from checklists.blueprints import Kind, Stage
from relcoord.models import User
from releases import ballots, permissions, readiness
from releases.conflicts import NEAR, conflicts
from releases.models import (
    ActionItem,
    Ballot,
    Choice,
    Decision,
    Event,
    Evidence,
    Item,
    Override,
    PhaseMoments,
    Poll,
    Release,
    Seat,
    State,
    holders,
    seats_of,
)

EARLY = (Stage.PREPARATION, Stage.DECISION)


# The board


@dataclass(frozen=True)
class Console:
    """A seat as the board shows it: lamp, who answered or is asked, and what made the answer stale."""

    seat: Seat
    people: list[User]
    ballot: Ballot | None
    stale: list[str]
    mine: bool
    for_whom: User | None  # the absent holder the reader stands in for

    @property
    def lamp(self) -> str:
        if self.ballot is None:
            return "wait"
        return "stale" if self.stale else self.ballot.choice

    @property
    def word(self) -> str:
        if self.ballot is None:
            return "No answer"
        said = self.ballot.get_choice_display()
        return f"{said}, stale" if self.stale else said

    @property
    def counts(self) -> bool:
        """Does an answer stand here that counts?"""
        return self.ballot is not None and not self.stale


def consoles(release: Release, poll: Poll | None, me: User) -> list[Console]:
    """Every seat with its standing ballot in `poll`. One query besides what is loaded."""
    cast = readiness.standing_ballots(poll) if poll else {}
    shown = ballots.shown(release)
    found = []
    for seat in seats_of(release):
        ballot = cast.get(seat.pk)
        stale = ballots.staleness(ballot, release, shown) if ballot else []
        mine = permissions.may(me, "vote", release, on=seat)
        for_whom = permissions.acting_for(me, release, seat.role) if mine else None
        found.append(Console(seat, holders(release, seat.role), ballot, stale, mine, for_whom))
    return found


@dataclass(frozen=True)
class Tally:
    """Where the poll stands, in a sentence."""

    seats: list[Console]

    @property
    def answered(self) -> int:
        return sum(console.counts for console in self.seats)

    @property
    def stale(self) -> int:
        """Answers that count no more until they are confirmed."""
        return sum(bool(console.stale) for console in self.seats)

    @property
    def waiting_on(self) -> list[Console]:
        return [console for console in self.seats if not console.counts and console.seat.required]

    @property
    def against(self) -> int:
        return sum(console.counts and console.lamp == Choice.NO_GO for console in self.seats)

    @property
    def twice(self) -> list[tuple[User, list[str]]]:
        """People who hold more than one seat, and answer for each."""
        held: dict[User, list[str]] = {}
        for console in self.seats:
            for person in console.people:
                held.setdefault(person, []).append(console.seat.role.name)
        return [(person, names) for person, names in held.items() if len(names) > 1]


# Readiness


@dataclass(frozen=True)
class Fact:
    """One line of the readiness list. `state` gives its shape."""

    state: str
    title: str
    note: str = ""
    end: str = ""
    at: datetime | None = None
    url: str = ""


def facts(release: Release, me: User, now: datetime) -> list[Fact]:
    """The readiness list: phases, sign-offs and acknowledgements, conditional answers, waivers, conflicts."""
    early = [moments for moments in release.plan if moments.phase.stage in EARLY]
    items = [item for moments in early for item in moments.phase.items.all()]
    shows = _evidence(item for item in items if item.conditional and item.is_done)
    in_person = [item for item in items if item.kind in (Kind.SIGN_OFF, Kind.ACKNOWLEDGE)]
    answered = [item for item in items if item.conditional and item.state in (State.DONE, State.NOT_APPLICABLE)]
    return [
        *(_phase(moments, now) for moments in early),
        *(_in_person(release, item) for item in in_person if item.state != State.WAIVED),
        *(_answer(item, shows.get(item.pk, "")) for item in answered),
        *(
            Fact("waived", f"Waived: {item.title}", _said(item), at=item.state_at, url=item.get_absolute_url())
            for item in items
            if item.state == State.WAIVED
        ),
        *_conflicts(release, me),
    ]


def _phase(moments: PhaseMoments, now: datetime) -> Fact:
    items = [item for item in moments.phase.items.all() if item.stands_before_go]
    waiting = [item for item in items if not item.settled]
    counts = Counter(item.state for item in items)
    late = any(moments.is_late(item, now) for item in waiting)
    notes = []
    if waiting:
        named = ", ".join(item.title for item in waiting[:3])
        notes.append(f"{named}{f' and {len(waiting) - 3} more' if len(waiting) > 3 else ''} open")
    notes += [
        f"{counts[state]} {label}"
        for state, label in (
            (State.BLOCKED, "blocked"),
            (State.WAIVED, "waived"),
            (State.NOT_APPLICABLE, "not applicable"),
        )
        if counts[state]
    ]
    state = "blocked" if counts[State.BLOCKED] else "late" if late else "wait" if waiting or not items else "done"
    end = f"{len(items) - len(waiting)} of {len(items)}"
    url = f"{moments.phase.release.get_absolute_url()}#{moments.phase.anchor}"
    return Fact(state, moments.phase.name, "; ".join(notes), end, url=url)


def _in_person(release: Release, item: Item) -> Fact:
    asked = ", ".join(person.name for person in holders(release, item.role)) or "nobody holds the role"
    if not item.settled:
        word = "blocked" if item.state == State.BLOCKED else "wait"
        return Fact(word, item.title, f"waiting for {asked}", url=item.get_absolute_url())
    who = item.state_by.name if item.state_by else ""
    note = f"{who} for {item.state_for}" if item.state_for else who
    return Fact("done" if item.is_done else "na", item.title, note, at=item.state_at, url=item.get_absolute_url())


def _answer(item: Item, shown: str) -> Fact:
    who = item.state_by.name if item.state_by else ""
    url = item.get_absolute_url()
    if item.is_done:
        return Fact("done", item.title, f"{who}: {shown}" if shown else who, at=item.state_at, url=url)
    return Fact("na", f"Not applicable: {item.title}", _said(item), at=item.state_at, url=url)


def _said(item: Item) -> str:
    who = f"{item.state_by.name}: " if item.state_by else ""
    return f"{who}{item.state_reason}"


def _evidence(items: Iterable[Item]) -> dict[int, str]:
    rows = Evidence.objects.filter(item__in=[item.pk for item in items])
    return {row.item_id: str(row) for row in rows}


def _conflicts(release: Release, me: User) -> list[Fact]:
    near = (release.t_zero - NEAR, release.t_zero + NEAR)
    others = Release.objects.visible_to(me).in_flight().exclude(pk=release.pk).filter(t_zero__range=near)
    loaded = others.select_related("product").prefetch_related("assignments__user", "assignments__role")
    found = []
    for clash in conflicts([release, *loaded]):
        if release in (clash.first, clash.second):
            other = clash.second if clash.first == release else clash.first
            words, where = _capital(clash.sentence), other.get_absolute_url()
            found.append(Fact("risk", f"Conflict with {other.key}", words, url=where))
    return found


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# Decisions


@dataclass(frozen=True)
class Card:
    """A decision as it is kept: the call, its tally and dissent, overrides, conditions, and its place in the chain."""

    decision: Decision
    overrides: list[Override]
    conditions: list[ActionItem]
    actions: list[ActionItem]
    event: Event | None

    @property
    def dissent(self) -> list[dict[str, Any]]:
        return [vote for vote in self.decision.tally if vote["choice"] == Choice.NO_GO and not vote["stale"]]

    @property
    def votes(self) -> list[dict[str, Any]]:
        return [vote | {"word": Choice(vote["choice"]).label} for vote in self.decision.tally]


@dataclass(frozen=True)
class Round:
    """An earlier poll: how it ended, and what was answered in it."""

    poll: Poll
    card: Card | None
    votes: list[dict[str, Any]] = field(default_factory=list)


def cards(release: Release) -> list[Card]:
    """Every decision of the release, the newest first. Four queries, however many there are."""
    rows = release.decisions.select_related("by", "poll").prefetch_related("overrides__by", "action_items__owner")
    told = Event.objects.filter(release=release, action="decision.recorded")
    by_id = {event.object_id: event for event in told}
    return [_card(row, by_id.get(str(row.pk))) for row in sorted(rows, key=lambda row: row.at, reverse=True)]


def _card(row: Decision, event: Event | None) -> Card:
    actions = list(row.action_items.all())
    conditions = [action for action in actions if action.source == ActionItem.Source.CONDITION]
    return Card(
        row,
        [override for override in row.overrides.all() if override.verb == "decide"],
        conditions,
        [action for action in actions if action not in conditions],
        event,
    )


def rounds(release: Release, known: list[Card]) -> list[Round]:
    """The polls that are closed, the newest first, with what was answered where no decision kept it."""
    of_poll = {card.decision.poll_id: card for card in known}
    closed = release.polls.exclude(state=Poll.State.OPEN).select_related("opened_by")
    polls = closed.prefetch_related("ballots__seat__role", "ballots__voter").order_by("-round")
    return [Round(poll, of_poll.get(poll.pk), _votes(poll)) for poll in polls]


def _votes(poll: Poll) -> list[dict[str, Any]]:
    return [
        {
            "seat": ballot.seat.role.name,
            "voter": ballot.voter.name,
            "choice": ballot.choice,
            "word": ballot.get_choice_display(),
            "statement": ballot.statement,
            "spoken": ballot.spoken,
        }
        for ballot in poll.ballots.all()
        if ballot.standing
    ]
