"""What stands before a verb: computed, never ticked; an empty gate is not passed. Read only.

Four verbs have a gate: `decide(GO)`, `start_deployment`, `finish_deployment` and `close`. Each function here
returns a `Readiness`, whose hindrances are what holds it, each with its words and the people waited on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet, prefetch_related_objects

from checklists.blueprints import Kind, Stage
from releases.ballots import gate_items, shown, staleness
from releases.models import (
    ActionItem,
    Ballot,
    Choice,
    Evidence,
    Hold,
    Item,
    Note,
    Phase,
    Poll,
    Release,
    State,
    Status,
    Watch,
    assignments_of,
    holders,
    seats_of,
)
from releases.models.kept import Kept, has, put

if TYPE_CHECKING:
    from relcoord.models import User


def load(release: Release) -> Release:
    """Fetch what gates and pages read, in five queries or fewer; what is loaded already is not read again."""
    if not has(release, "phases"):
        _put_rows(release, _rows(release.pk))
    elif not all(has(phase, "items") for phase in release.phases.all()):
        prefetch_related_objects([release], Prefetch("phases__items", Item.objects.select_related("role", "state_by")))
    return load_people(release)


def load_rows(release: Release) -> Release:
    """Fetch the phases with their items in two queries; of evidence and notes only whether an item has any."""
    return release if has(release, "phases") else _put_rows(release, _light_rows(release.pk))


def _put_rows(release: Release, rows: Iterable[Item]) -> Release:
    """The phases of `release`, read here, with these items."""
    phases = _phases(release.pk)
    of: dict[int, list[Item]] = {phase.pk: [] for phase in phases}
    for item in rows:
        of[item.phase_id].append(item)
    put(release, "phases", phases)
    for phase in phases:
        phase.release = release
        put(phase, "items", of[phase.pk])
        for item in of[phase.pk]:
            item.phase = phase
    return release


def _items(release: int) -> QuerySet[Item]:
    return Item.objects.filter(phase__release=release).select_related("role", "state_by")


def _items_and_whether(release: int) -> QuerySet[Item]:
    """Of evidence and notes only whether there is any."""
    return _items(release).annotate(
        has_evidence=Exists(Evidence.objects.filter(item=OuterRef("pk"))),
        has_notes=Exists(Note.objects.filter(item=OuterRef("pk"))),
    )


_phases = Kept(lambda release: Phase.objects.filter(release=release), int)
_rows = Kept(_items, int)
_light_rows = Kept(_items_and_whether, int)
_actions_of = Kept(lambda release: ActionItem.objects.filter(release=release).select_related("owner"), int)


def load_people(release: Release) -> Release:
    """Fetch who has to do with `release`, and whether its clock is stopped; what is loaded already stays."""
    if not release.knows_its_hold:
        prefetch_related_objects([release], Prefetch("holds", Hold.objects.select_related("by")))
    assignments_of(release)
    if not has(release, "action_items"):
        put(release, "action_items", _actions_of(release.pk))
    return release


@dataclass(frozen=True)
class Hindrance:
    """One thing that holds a gate. `kind`: item, seat, ballot, action_item, empty, early, late, hold, state."""

    kind: str
    words: str
    id: int = 0
    who: tuple[User, ...] = ()
    blocked: bool = False
    overridable: bool = True

    def as_data(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, "words": self.words}


@dataclass(frozen=True)
class Readiness:
    verb: str
    hindrances: tuple[Hindrance, ...]

    @property
    def gate_passed(self) -> bool:
        return not self.hindrances

    @property
    def overridable(self) -> bool:
        """Could a reason of the coordinator's carry the verb past everything that holds it?"""
        return all(hindrance.overridable for hindrance in self.hindrances)

    def of_kind(self, *kinds: str) -> list[Hindrance]:
        return [hindrance for hindrance in self.hindrances if hindrance.kind in kinds]

    @property
    def waiting_on(self) -> dict[User, int]:
        """Who holds us, with how many things, the busiest first."""
        counts: dict[User, int] = {}
        for hindrance in self.hindrances:
            for person in hindrance.who:
                counts[person] = counts.get(person, 0) + 1
        return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].name)))

    @property
    def sentence(self) -> str:
        """What is open, in one sentence: "2 items are open, 1 is blocked; waiting for the vote of QA Lead"."""
        items = self.of_kind("item")
        blocked = sum(hindrance.blocked for hindrance in items)
        parts = []
        if len(items) - blocked:
            parts.append(_count(len(items) - blocked, "item is open", "items are open"))
        if blocked:
            parts.append(_count(blocked, "item is blocked", "items are blocked"))
        parts += [h.words for h in self.hindrances if h.kind not in ("item", "seat")]
        if seats := self.of_kind("seat"):
            parts.append("no standing ballot of " + ", ".join(h.words for h in seats))
        return "; ".join(parts) or "everything that must hold does"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def open_poll_of(release: Release) -> Poll | None:
    return release.polls.filter(state=Poll.State.OPEN).first()


def standing_ballots(poll: Poll) -> dict[int, Ballot]:
    """The standing ballot of each seat, by the seat's id."""
    rows = poll.ballots.filter(standing=True).select_related("voter", "deputy", "spoken_by", "seat__role")
    return {ballot.seat_id: ballot for ballot in rows}


def before_decision(release: Release) -> Readiness:
    """What of the checklist and the action items stands before a GO; votes apart. What the release page shows."""
    load(release)
    items = gate_items(release)
    found = [_item(release, item) for item in items if not item.settled]
    if not items:
        found.append(Hindrance("empty", "the checklist has no required item before the decision"))
    found += _actions(release, ActionItem.Blocks.POLL)
    return Readiness("open_poll", tuple(found))


def go(release: Release, poll: Poll | None = None) -> Readiness:
    """The GO gate: the checklist, blocking action items, and a standing ballot from every required seat."""
    checklist = before_decision(release)
    poll = poll or open_poll_of(release)
    return Readiness("decide", checklist.hindrances + tuple(_votes(release, poll)))


def _votes(release: Release, poll: Poll | None) -> list[Hindrance]:
    seats = seats_of(release)
    if not seats:
        return [Hindrance("empty", "the poll has no seat")]
    ballots = standing_ballots(poll) if poll else {}
    now_shown = shown(release)
    found = []
    for seat in seats:
        ballot = ballots.get(seat.pk)
        stale = bool(ballot and staleness(ballot, release, now_shown))
        if seat.required and (ballot is None or stale):
            found.append(Hindrance("seat", seat.role.name, seat.pk, tuple(holders(release, seat.role))))
        if ballot and not stale and ballot.choice == Choice.NO_GO:
            found.append(Hindrance("ballot", f"{ballot.voter.name} votes NO-GO as {seat.role.name}", ballot.pk))
    return found


def start(release: Release, now: datetime) -> Readiness:
    """What stands before the start. Starting early or late can be overridden; a hold or an open condition cannot."""
    load(release)
    found = _state(release, Status.CLEARED, f"{release.key} has no standing GO")
    if release.open_hold:
        found.append(Hindrance("hold", "the clock is on hold", overridable=False))
    if now < release.t_zero:
        found.append(Hindrance("early", "T-0 has not come"))
    if now > release.window_end:
        found.append(Hindrance("late", "the window has ended and the GO with it"))
    if not _required(release, Stage.PRODUCTION):
        found.append(Hindrance("empty", "the checklist has no production item"))
    return Readiness("start", tuple(found + _actions(release, ActionItem.Blocks.START)))


def finish(release: Release) -> Readiness:
    """What stands before the end of the deployment: every required production item, and conditions due by then."""
    load(release)
    found = _state(release, Status.DEPLOYING, f"{release.key} is not deploying")
    found += _stage(release, Stage.PRODUCTION, "the checklist has no required production item")
    return Readiness("finish", tuple(found + _actions(release, ActionItem.Blocks.FINISH)))


def close(release: Release) -> Readiness:
    """What stands before closing: every required post-deployment item but the closing one, and the conditions."""
    load(release)
    found = _state(release, Status.DEPLOYED, f"{release.key} is not deployed")
    found += _stage(release, Stage.POST_DEPLOYMENT, "the checklist has no post-deployment item")
    found += [
        Hindrance(
            "item", f"the watch “{watch.item}” is running", watch.item_id, tuple(holders(release, watch.item.role))
        )
        for watch in Watch.objects.filter(item__phase__release=release, ended_at=None).select_related("item__role")
    ]
    return Readiness("close", tuple(found + _actions(release, ActionItem.Blocks.CLOSE)))


def next_gate(release: Release, now: datetime) -> Readiness:
    """The gate the release stands before now, for the page's gate card."""
    if release.status == Status.CLEARED:
        return start(release, now)
    if release.status == Status.DEPLOYING:
        return finish(release)
    if release.status == Status.DEPLOYED:
        return close(release)
    return go(release) if release.status == Status.POLLING else before_decision(release)


def _state(release: Release, wanted: Status, words: str) -> list[Hindrance]:
    return [] if release.status == wanted else [Hindrance("state", words, overridable=False)]


def _required(release: Release, stage: Stage) -> list[Item]:
    phases = [moments.phase for moments in release.plan if moments.phase.stage == stage]
    return [item for phase in phases for item in phase.items.all() if item.required]


def _stage(release: Release, stage: Stage, empty: str) -> list[Hindrance]:
    items = _required(release, stage)
    if not items:
        return [Hindrance("empty", empty, overridable=False)]
    return [_item(release, item) for item in items if not item.settled and item.kind != Kind.CLOSE]


def _item(release: Release, item: Item) -> Hindrance:
    people = tuple(holders(release, item.role))
    return Hindrance("item", item.title, item.pk, people, blocked=item.state == State.BLOCKED)


def _actions(release: Release, blocks: str) -> list[Hindrance]:
    rows = [row for row in release.action_items.all() if row.blocks == blocks and row.state == ActionItem.State.OPEN]
    return [
        Hindrance("action_item", f"“{row.title}” is still open", row.pk, (row.owner,), overridable=blocks == "poll")
        for row in rows
    ]
