"""The gate card and the people beside the checklist: one sentence, names before titles, one button."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.urls import NoReverseMatch, reverse

from checklists.blueprints import Kind
from checklists.models import TemplateRole
from releases import permissions
from releases.models import COORDINATOR, Release, Status, holders
from releases.readiness import Hindrance, Readiness
from releases.sheet import Row, Sheet, called

if TYPE_CHECKING:
    from checklists.models import Role
    from relcoord.models import User
    from releases.views.frame import Head

KEEP = 60  # seconds the words of a checklist's roles are kept
SHOWN = 6  # what holds a gate, in names; the rest is counted
BY_NOBODY = (Kind.COMPUTED, Kind.DECISION)
URGENCY = ("blocked", "late", "stop", "risk", "watching", "due_soon", "wait", "open", "locked")


@dataclass(frozen=True)
class Hold:
    """One thing that holds the gate: whose it is, what, and how it stands."""

    state: str
    who: str
    what: str
    url: str
    row: Row | None = None


@dataclass(frozen=True)
class Button:
    """What the card offers: a link, or with `confirm` a form that is posted at the second press."""

    words: str
    url: str
    primary: bool = True
    confirm: str = ""


@dataclass(frozen=True)
class Card:
    state: str  # go, active, risk, stop, wait
    verdict: str
    holds: list[Hold] = field(default_factory=list)
    more: int = 0
    buttons: list[Button] = field(default_factory=list)
    note: str = ""


def _url(name: str, release: Release) -> str:
    try:
        return reverse(f"releases:{name}", args=[release.key])
    except NoReverseMatch:
        return ""


def gate_card(head: Head, sheet: Sheet) -> Card:
    """The verdict on the gate `head.release` stands before, who holds it, and the next step."""
    release, gate = head.release, head.gate
    if release.status == Status.ROLLING_BACK:
        return Card("stop", _rolling_back(head), buttons=_buttons(head, sheet))
    if gate is None:
        return Card("go" if release.status == Status.CLOSED else "wait", _ended(release), buttons=_buttons(head, sheet))
    holds = sorted((_hold(hindrance, sheet) for hindrance in gate.hindrances), key=_urgency)
    state, verdict = _verdict(head, gate, holds)
    return Card(state, verdict, holds[:SHOWN], max(0, len(holds) - SHOWN), _buttons(head, sheet), _note(head))


def _note(head: Head) -> str:
    """Why the clock stands, or why the release goes ahead all the same."""
    if head.release.open_hold:
        return f"Held by {head.release.open_hold.by.name}: {head.release.open_hold.reason}"
    return f"Override by {head.override.by.name}: {head.override.reason}" if head.override else ""


def _urgency(hold: Hold) -> int:
    return URGENCY.index(hold.state) if hold.state in URGENCY else len(URGENCY)


def _rolling_back(head: Head) -> str:
    seen = head.rollback.seen if head.rollback else ""
    return f"Rolling back: {seen}" if seen else "Rolling back"


def _ended(release: Release) -> str:
    return {
        Status.CLOSED: "Closed. The record is complete",
        Status.ROLLED_BACK: "Rolled back. The record and the review remain",
        Status.CANCELLED: "Cancelled. It does not go out",
    }[release.state]


def _hold(hindrance: Hindrance, sheet: Sheet) -> Hold:
    release = sheet.release
    who = ", ".join(called(release, person) for person in hindrance.who)
    row = sheet.rows.get(hindrance.id) if hindrance.kind == "item" else None
    if row is not None:
        nobody = f"no {row.item.role}" if row.item.role else ""
        return Hold(row.state, who or nobody, hindrance.words, f"#{row.item.anchor}", row)
    if hindrance.kind == "seat":
        return Hold("risk", who or "nobody yet", f"Vote as {hindrance.words}", _url("decision", release))
    if hindrance.kind == "ballot":
        return Hold("stop", who, hindrance.words, _url("decision", release))
    if hindrance.kind == "action_item":
        return Hold("risk", who, _sentence(hindrance.words), f"{_url('decision', release)}#actions")
    return Hold("wait" if hindrance.kind == "early" else "risk", "", _sentence(hindrance.words), "")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _verdict(head: Head, gate: Readiness, holds: list[Hold]) -> tuple[str, str]:
    release = head.release
    if release.open_hold:
        return "risk", "On hold: deciding and starting wait, ticks and votes go on"
    if head.lapsed:
        return "risk", "The GO has lapsed with its window; the start needs a new one, or an override"
    if release.status == Status.NO_GO:
        follow = len(gate.of_kind("action_item"))
        return "stop", f"NO-GO: {_count(follow, 'action item')} open before the next poll" if follow else "NO-GO"
    if gate.gate_passed:
        return "go", _passed(release)
    if release.status == Status.CLEARED:
        return ("go" if not [h for h in gate.hindrances if h.kind != "early"] else "risk"), _cleared(head, gate)
    return _open(release, gate, holds)


def _passed(release: Release) -> str:
    return {
        Status.PREPARING: "Ready for the Go/No-Go: everything before it is settled",
        Status.POLLING: "Every required seat has voted; the decision is the coordinator’s",
        Status.CLEARED: "GO, and the window is open: the deployment may start",
        Status.DEPLOYING: "Every production item is settled: the deployment may be finished",
        Status.DEPLOYED: "Everything is settled: the release may be closed",
    }[release.state]


def _cleared(head: Head, gate: Readiness) -> str:
    others = [hindrance for hindrance in gate.hindrances if hindrance.kind != "early"]
    if not others:
        return "GO. The deployment starts when its window opens"
    return f"GO, but {_count(len(others), 'thing')} {'holds' if len(others) == 1 else 'hold'} the start"


WHAT = {Status.DEPLOYING: "the end of the deployment", Status.DEPLOYED: "the closing"}


def _open(release: Release, gate: Readiness, holds: list[Hold]) -> tuple[str, str]:
    """Not ready: how many hold what, and how many of them are blocked or late."""
    items, seats = gate.of_kind("item"), gate.of_kind("seat")
    if release.status == Status.POLLING and len(seats) == len(gate.hindrances):
        return "active", f"Voting: {_count(len(seats), 'vote')} to come"
    blocked = sum(hold.state == "blocked" for hold in holds)
    late = sum(hold.state == "late" for hold in holds)
    others = [hindrance.words for hindrance in gate.hindrances if hindrance.kind not in ("item", "seat")]
    holding = f"{_count(len(items), 'item')} {'holds' if len(items) == 1 else 'hold'}"
    parts = [f"{holding} {WHAT.get(release.state, 'the Go/No-Go')}"] if items else []
    if parts and (blocked or late):
        parts[0] += f", {blocked} blocked" if blocked else f", {late} late"
    parts += [f"{_count(len(seats), 'vote')} to come"] if seats else []
    parts += others if len(others) == 1 else [f"{len(others)} more things"] if others else []
    state = "stop" if blocked or gate.of_kind("ballot") else "risk" if late or others else "wait"
    return state, f"Not ready: {'; '.join(parts)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _buttons(head: Head, sheet: Sheet) -> list[Button]:
    """The next step of the release; those who may not take it are offered the page that shows it."""
    release, gate = head.release, head.gate
    room = Button("Open the decision room", _url("decision", release), primary=release.status != Status.CLEARED)
    found: list[Button] = []
    if release.status == Status.ROLLING_BACK:
        found = [Button("Open the rollback", _url("rollback", release))]
    elif release.is_final:
        found = [Button("Read the record", _url("record", release))]
    elif release.status in (Status.PREPARING, Status.POLLING):
        found = [room]
    elif release.status == Status.NO_GO:
        found = [Button("Set a new T-0…", _url("schedule", release)), Button(room.words, room.url, primary=False)]
    elif gate is not None:
        found = _verb(release, gate, sheet.reader) + ([room] if release.status == Status.CLEARED else [])
    if release.open_hold and permissions.may(sheet.reader, "resume", release):
        found.insert(0, Button("Resume or reschedule…", _url("schedule", release), primary=False))
    return [button for button in found if button.url]


VERBS = {
    Status.CLEARED: ("start", "Start the deployment", "Yes, start now"),
    Status.DEPLOYING: ("finish", "Finish the deployment", "Yes, it is finished"),
    Status.DEPLOYED: ("close", "Close the release", "Yes, close it"),
}


def _verb(release: Release, gate: Readiness, reader: User) -> list[Button]:
    verb, words, confirm = VERBS[release.state]
    if not permissions.may(reader, verb, release):
        return []
    if gate.gate_passed:
        return [Button(words, _url(verb, release), confirm=confirm)]
    return [Button(f"{words}…", _url(verb, release), primary=False)]


# People


@dataclass(frozen=True)
class Holder:
    """A role in this release: its people, its words, and what is open for them now."""

    role: Role
    responsibility: str
    required: bool
    people: list[User]
    open: int
    late: int
    blocked: int


def team(sheet: Sheet) -> list[Holder]:
    """The roles of the release in the checklist's order, then those given beside it."""
    release = sheet.release
    plans = {plan.role_id: plan for plan in _plans(release)}
    roles = {plan.role_id: plan.role for plan in plans.values()}
    roles |= {row.role_id: row.role for row in release.assignments.all() if row.role_id not in roles}
    waiting: dict[int | None, list[Row]] = {}
    for row in sheet.rows.values():
        if row.item.required and not row.item.settled and not row.item.is_locked and row.item.kind not in BY_NOBODY:
            waiting.setdefault(row.item.role_id, []).append(row)
    found = []
    for pk, role in roles.items():
        asked = waiting.get(pk, []) + (waiting.get(None, []) if role.slug == COORDINATOR else [])
        plan = plans.get(pk)
        found.append(
            Holder(
                role,
                plan.responsibility if plan else role.responsibility,
                bool(plan and plan.required),
                holders(release, role),
                len(asked),
                sum(row.state == "late" for row in asked),
                sum(row.state == "blocked" for row in asked),
            )
        )
    return found


def _plans(release: Release) -> list[TemplateRole]:
    """The roles as the checklist describes them. A version never changes; only a role's name may, so not for long."""
    key = f"roles-of-version:{release.template_version_id}"
    known: list[TemplateRole] | None = cache.get(key)
    if known is None:
        known = list(TemplateRole.objects.filter(version=release.template_version_id).select_related("role"))
        cache.set(key, known, KEEP)
    return known


@dataclass(frozen=True)
class Unassigned:
    """What the coordinator hears on top of the page: items that fall to them, roles nobody holds."""

    items: int
    required: list[Role]
    others: list[Role]

    def __bool__(self) -> bool:
        return bool(self.items or self.required)


def unassigned(sheet: Sheet, people: list[Holder]) -> Unassigned:
    """The same as `birth.unassigned`, read from what the page has loaded."""
    without = [row for row in sheet.rows.values() if row.item.role_id is None and row.item.kind != Kind.COMPUTED]
    empty = [entry for entry in people if not entry.people]
    return Unassigned(len(without), [e.role for e in empty if e.required], [e.role for e in empty if not e.required])
