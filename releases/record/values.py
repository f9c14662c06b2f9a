"""A record as frozen values. Their field names are the keys of the JSON export; changing one is a new schema.

Instants are aware and in UTC. `Person.name` is the name the history last gave that account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from checklists.blueprints import Blueprint
from releases.models import Call, Choice, State, Status


@dataclass(frozen=True)
class Person:
    id: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class EvidenceRecord:
    label: str
    url: str
    commit: str
    by: Person
    at: datetime


@dataclass(frozen=True)
class NoteRecord:
    text: str
    by: Person
    at: datetime
    about: str  # title of the item, "Rollback 1", or "" for the release


@dataclass(frozen=True)
class WatchRecord:
    started_at: datetime
    started_by: Person
    ended_at: datetime | None
    ended_by: Person | None
    verdict: str
    note: str

    @property
    def minutes(self) -> int | None:
        return int((self.ended_at - self.started_at).total_seconds() // 60) if self.ended_at else None


@dataclass(frozen=True)
class ItemRecord:
    id: int
    title: str
    guidance: str
    group: str
    role: str
    kind: str
    required: bool
    condition: str
    state: str
    reason: str
    by: Person | None
    acted_for: str  # for whom `by` acted, as text
    at: datetime | None
    due_at: datetime | None
    evidence: tuple[EvidenceRecord, ...]
    watches: tuple[WatchRecord, ...]

    @property
    def label(self) -> str:
        return str(State(self.state).label)

    @property
    def anchor(self) -> str:
        return f"item-{self.id}"

    @property
    def who(self) -> str:
        """Who settled it: a name, a name for another, or "computed"."""
        if self.by is None:
            return "computed" if self.state == State.DONE else ""
        return f"{self.by} for {self.acted_for}" if self.acted_for else self.by.name


@dataclass(frozen=True)
class PhaseRecord:
    name: str
    stage: str
    opens: str
    due: str
    opens_at: datetime | None
    due_at: datetime | None
    items: tuple[ItemRecord, ...]


@dataclass(frozen=True)
class BallotRecord:
    id: int
    seat: str
    seat_name: str
    choice: str
    statement: str
    voter: Person
    deputy: Person | None  # who answered for the absent voter
    spoken_by: Person | None  # the coordinator who recorded what the voter said
    at: datetime
    standing: bool

    @property
    def label(self) -> str:
        return str(Choice(self.choice).label)


@dataclass(frozen=True)
class DecisionRecord:
    id: int
    round: int
    call: str
    rationale: str
    by: Person
    at: datetime
    standing: bool
    ended_at: datetime | None
    ended_reason: str
    gate: dict[str, Any]
    tally: list[dict[str, Any]]

    @property
    def label(self) -> str:
        return str(Call(self.call).label)


@dataclass(frozen=True)
class PollRecord:
    id: int
    round: int
    state: str
    schedule_version: int
    opened_at: datetime
    opened_by: Person
    closed_at: datetime | None
    void_reason: str
    ballots: tuple[BallotRecord, ...]

    @property
    def answers(self) -> tuple[BallotRecord, ...]:
        """The ballots that stand."""
        return tuple(ballot for ballot in self.ballots if ballot.standing)

    @property
    def replaced(self) -> tuple[BallotRecord, ...]:
        return tuple(ballot for ballot in self.ballots if not ballot.standing)


@dataclass(frozen=True)
class OverrideRecord:
    id: int
    verb: str
    overrides: list[dict[str, Any]]
    reason: str
    by: Person
    at: datetime

    @property
    def against(self) -> str:
        return ", ".join(entry["words"] for entry in self.overrides)


@dataclass(frozen=True)
class ActionRecord:
    id: int
    source: str
    blocks: str
    title: str
    owner: Person
    due_at: datetime
    state: str
    state_by: Person | None
    state_at: datetime | None
    state_reason: str


@dataclass(frozen=True)
class HoldRecord:
    reason: str
    by: Person
    started_at: datetime
    ended_at: datetime | None
    ended_by: Person | None


@dataclass(frozen=True)
class StepRecord:
    position: int
    title: str
    state: str
    at: datetime | None
    by: Person | None
    note: str


@dataclass(frozen=True)
class RollbackRecord:
    id: int
    number: int
    came_from: str
    seen: str
    noticed_at: datetime
    triggered_at: datetime
    triggered_by: Person
    in_charge: Person
    severity: str
    path: str
    decided_at: datetime | None
    restored_at: datetime | None
    ended_at: datetime | None
    review_on: date | None
    review_owner: Person | None
    minutes_to_detect: int | None
    minutes_to_decide: int | None
    minutes_to_restore: int | None
    steps: tuple[StepRecord, ...]


@dataclass(frozen=True)
class HoldingRecord:
    """One person's time in one role. `until` is None while it lasts; `how` says what began it, "" for at creation."""

    role: str
    person: Person
    since: datetime
    until: datetime | None
    how: str


@dataclass(frozen=True)
class EventRecord:
    """One event as it was hashed. The fields before `previous_hash` are its body."""

    release: str
    sequence: int
    at: datetime
    actor_id: int | None
    actor: str
    role: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    before: dict[str, Any]
    after: dict[str, Any]
    data: dict[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class ReleaseRecord:
    key: str
    title: str
    product: str
    notes: str
    checklist: str
    checklist_version: int
    status: str
    coordinator: Person
    created_by: Person
    created_at: datetime
    time_zone: str
    t_zero: datetime
    t_zero_wall: str
    window_end: datetime
    schedule_version: int
    started_at: datetime | None
    deployed_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Record:
    """One release, whole, as it stood at `made_at`. `plan` is its checklist as a blueprint; it is not exported."""

    made_at: datetime
    release: ReleaseRecord
    people: tuple[HoldingRecord, ...]
    phases: tuple[PhaseRecord, ...]
    polls: tuple[PollRecord, ...]
    decisions: tuple[DecisionRecord, ...]
    overrides: tuple[OverrideRecord, ...]
    action_items: tuple[ActionRecord, ...]
    holds: tuple[HoldRecord, ...]
    rollbacks: tuple[RollbackRecord, ...]
    notes: tuple[NoteRecord, ...]
    events: tuple[EventRecord, ...]
    counted: int  # how many events the release row counts
    head: str
    plan: Blueprint

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.release.time_zone)

    @property
    def status(self) -> Status:
        return Status(self.release.status)

    @cached_property
    def items(self) -> tuple[ItemRecord, ...]:
        return tuple(item for phase in self.phases for item in phase.items)

    @property
    def waived(self) -> tuple[ItemRecord, ...]:
        return tuple(item for item in self.items if item.state == State.WAIVED)

    def counts(self) -> list[tuple[State, int]]:
        """How many items are in each state, those that occur, in the order of the states."""
        found = [(state, sum(item.state == state for item in self.items)) for state in State]
        return [(state, count) for state, count in found if count]

    def poll(self, round: int) -> PollRecord | None:  # noqa: A002 - a poll's round is called that
        return next((poll for poll in self.polls if poll.round == round), None)

    @property
    def dissent(self) -> tuple[BallotRecord, ...]:
        """Standing ballots of decided polls that say otherwise than the decision did."""
        found: list[BallotRecord] = []
        for decision in self.decisions:
            poll = self.poll(decision.round)
            against = (Choice.GO,) if decision.call == Call.NO_GO else (Choice.NO_GO,)
            found += [ballot for ballot in (poll.answers if poll else ()) if ballot.choice in against]
        return tuple(found)
