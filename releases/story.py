"""The history for people: one event, one sentence. A table keyed by action word; a test finds words that are not in it.

A phrase names what the actor did. `{name}` is the object; other fields come from the event's data, `after` and
`before` (as `was_...`), in people's words: labels instead of stored words, the release's wall clock instead of UTC.
A part in square brackets is left out when one of its fields is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from django.db.models import Choices

from releases.models import Call, Choice, Path, Severity, Status, Verdict

KINDS = {
    "release": "Release and schedule",
    "items": "Checklist",
    "decision": "Go/No-Go",
    "people": "People",
    "rollback": "Rollback",
    "mail": "Reminders",
}


class Happening(Protocol):
    """What `tell` reads of an event: a row, or the same event in a record."""

    @property
    def sequence(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def object_type(self) -> str: ...
    @property
    def object_id(self) -> str: ...
    @property
    def object_name(self) -> str: ...
    @property
    def before(self) -> Any: ...
    @property
    def after(self) -> Any: ...
    @property
    def data(self) -> Any: ...
    @property
    def hash(self) -> str: ...


@dataclass(frozen=True)
class Telling:
    """How one action word is told. `why` names the field with the reason, in the actor's own words."""

    kind: str
    phrase: str
    why: str = "reason"
    tone: str = ""  # a word `{% glyph %}` knows, for what a reader looks for; "" for the everyday


@dataclass(frozen=True)
class Told:
    """One event as a sentence. `target` is the id of what it speaks of on the release's page or its record."""

    event: Happening
    kind: str
    what: str
    why: str
    tone: str
    target: str

    @property
    def sentence(self) -> str:
        return f"{self.event.actor} {self.what}"


_R, _I, _D, _P, _B, _M = KINDS

TABLE: dict[str, Telling] = {
    "release.created": Telling(_R, "planned {name} from {template}, with T-0 on {t_zero}"),
    "release.edited": Telling(_R, "changed the release: {changes}"),
    "release.rescheduled": Telling(_R, "{moved}", tone="risk"),
    "release.held": Telling(_R, "put the clock on hold", tone="hold"),
    "release.resumed": Telling(_R, "let the clock run again"),
    "release.closed": Telling(_R, "closed the release", tone="closed"),
    "release.cancelled": Telling(_R, "cancelled the release", tone="cancelled"),
    "release.noted": Telling(_R, "wrote a note on {name}", why="text"),
    "reminder.missed": Telling("mail", "could not send a mail to {to} in time", tone="missed"),
    "reminder.resent": Telling("mail", "had a mail to {to} sent once more"),
    "deployment.started": Telling(_R, "started the deployment", tone="deploying"),
    "deployment.finished": Telling(_R, "finished the deployment", tone="deployed"),
    "item.done": Telling(_I, "ticked “{name}”[ for {for}]", tone="done"),
    "item.blocked": Telling(_I, "marked “{name}” blocked", tone="blocked"),
    "item.not_applicable": Telling(_I, "answered “{name}” with not applicable", tone="na"),
    "item.waived": Telling(_I, "waived “{name}”", tone="waived"),
    "item.reopened": Telling(_I, "opened “{name}” again, which was {was_state}"),
    "item.followed": Telling(_I, "found “{name}” {state}, as it follows from the earlier phases"),
    "item.evidence_added": Telling(_I, "added evidence to “{name}”: {label}[ at commit {commit}]", why=""),
    "item.added": Telling(_I, "added “{name}” to {phase}"),
    "item.edited": Telling(_I, "changed “{name}”: {changes}"),
    "item.moved": Telling(_I, "moved “{name}” from {was_phase} to place {position} of {phase}"),
    "item.given": Telling(_I, "gave “{name}” to {role}"),
    "item.due_set": Telling(_I, "set when “{name}” is due: {due}"),
    "watch.started": Telling(_I, "began to watch “{name}”, for at least {minutes} min"),
    "watch.ended": Telling(_I, "ended the watch of “{name}”: {verdict}", why="note"),
    "poll.opened": Telling(_D, "opened the go/no-go poll, round {round}", tone="polling"),
    "poll.voided": Telling(_D, "voided the poll, round {round}"),
    "poll.withdrawn": Telling(_D, "withdrew the poll"),
    "ballot.cast": Telling(_D, "{choice_words}", why="statement"),
    "decision.recorded": Telling(_D, "decided {call}, round {round}", why="rationale", tone="call"),
    "decision.ended": Telling(_D, "ended the {call}", tone="risk"),
    "override.recorded": Telling(_D, "overrode what stood against it: {against}", tone="override"),
    "release.go_revoked": Telling(_D, "took the GO back[, because “{because}” came open]", tone="no_go"),
    "release.go_withdrawn": Telling(_D, "withdrew the GO", tone="no_go"),
    "action.created": Telling(_D, "gave {owner} an action item: {name}, due {due_at}"),
    "action.settled": Telling(_D, "set the action item “{name}” to {state}"),
    "role.assigned": Telling(_P, "made {name} {role_name}"),
    "role.unassigned": Telling(_P, "ended {name}’s time as {role_name}"),
    "coordinator.transferred": Telling(_P, "handed the release from {was_coordinator} to {coordinator}"),
    "coordinator.taken_over": Telling(_P, "took the release over from {was_coordinator}", tone="risk"),
    "absence.named": Telling(_P, "named {deputy} to stand in for {name} from {from} to {to}"),
    "absence.ended": Telling(_P, "ended {name}’s absence, in which {was_deputy} stood in"),
    "person.invited": Telling(_P, "invited {name}[ ({email})]"),
    "rollback.triggered": Telling(_B, "started rollback {number}", why="seen", tone="rollback"),
    "rollback.assessed": Telling(_B, "judged it {severity} and chose to {path}", why="note", tone="rollback"),
    "rollback.step": Telling(_B, "set the step “{name}” to {state}", why="note"),
    "rollback.verification_failed": Telling(_B, "saw the verification fail: {step}", why="note", tone="failed"),
    "rollback.update_promised": Telling(_B, "promised the next update for {next_update_at}"),
    "rollback.taken_charge": Telling(_B, "took charge from {was_in_charge}"),
    "rollback.finished": Telling(
        _B, "finished the rollback; {review_owner} reviews it on {review_on}", tone="rolled_back"
    ),
}


def tell(event: Happening, zone: ZoneInfo) -> Told:
    """Say `event` in one sentence, with times on the wall clock of `zone`.

    An unknown word is told plainly, and so is an event whose fields are not what its word promises.
    """
    telling = TABLE.get(event.action)
    try:
        return _told(event, telling, zone) if telling else _plainly(event, "release")
    except (KeyError, TypeError, ValueError, AttributeError):
        return _plainly(event, telling.kind if telling else "release")


def _told(event: Happening, telling: Telling, zone: ZoneInfo) -> Told:
    return Told(
        event=event,
        kind=telling.kind,
        what=_filled(telling.phrase, _Fields(event, zone)),
        why=str(event.data.get(telling.why) or ""),
        tone=str(event.after["call"]) if telling.tone == "call" else telling.tone,
        target=_target(event),
    )


def _plainly(event: Happening, kind: str) -> Told:
    words = event.action.replace(".", " ").replace("_", " ")
    return Told(event, kind, f"{words}: {event.object_name}", why="", tone="", target=_target(event))


def actions_of(kind: str) -> list[str]:
    """The action words of a kind, for a filter."""
    return [action for action, telling in TABLE.items() if telling.kind == kind]


@dataclass(frozen=True)
class Day:
    day: date
    told: tuple[Told, ...]


def by_day(events: Iterable[Happening], zone: ZoneInfo) -> Iterator[Day]:
    """The story of `events`, in their order, cut into days of `zone`."""
    told = (tell(event, zone) for event in events)
    for day, group in groupby(told, key=lambda one: one.event.at.astimezone(zone).date()):
        yield Day(day, tuple(group))


# Words -------------------------------------------------------------------------------------------------------------

_FIELD = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SPOKEN_FIELDS: dict[str, type[Choices]] = {
    "choice": Choice,
    "call": Call,
    "severity": Severity,
    "path": Path,
    "verdict": Verdict,
    "status": Status,
}
_EMPTY = {"role": "the coordinator", "due": "with its phase"}


def _filled(phrase: str, fields: _Fields) -> str:
    def optional(found: re.Match[str]) -> str:
        return found[1] if all(fields[name] for name in _FIELD.findall(found[1])) else ""

    return _FIELD.sub(lambda found: fields[found[1]], _OPTIONAL.sub(optional, phrase))


class _Fields(Mapping[str, str]):
    """What a phrase may name, in people's words; an unknown field is empty."""

    def __init__(self, event: Happening, zone: ZoneInfo) -> None:
        self.zone = zone
        self.event = event
        was = {f"was_{name}": value for name, value in event.before.items()}
        self.known = was | event.data | event.after | {"name": event.object_name}

    def __getitem__(self, name: str) -> str:
        computed = _COMPUTED.get(name)
        if computed:
            return computed(self)
        return self._said(name.removeprefix("was_"), self.known.get(name)) or _EMPTY.get(name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def _said(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, dict):
            return str(value.get("name", ""))
        if name in _SPOKEN_FIELDS and value in _SPOKEN_FIELDS[name].values:
            label = str(_SPOKEN_FIELDS[name](value).label).split(":")[0]
            return label if name in ("choice", "call") else label.lower()
        if name == "state":
            return str(value).replace("_", " ")
        text = str(value)
        if _STAMP.fullmatch(text):
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).astimezone(self.zone)
            return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M %Z}"
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            return f"{day.day} {day:%b %Y}"
        return text


def _changes(fields: _Fields) -> str:
    """What an edit changed: `title from “A” to “B”, notes`."""
    event = fields.event
    return ", ".join(_change(name, event.before.get(name), event.after[name]) for name in event.after)


def _change(name: str, before: Any, after: Any) -> str:
    words = name.replace("_", " ")
    texts = [", ".join(value) if isinstance(value, list) else str(value) for value in (before, after)]
    short = all(len(text) <= 80 for text in texts)
    if isinstance(after, bool):
        return words if after else f"no longer {words}"
    return f"{words} from “{texts[0]}” to “{texts[1]}”" if short and before is not None else words


def _moved(fields: _Fields) -> str:
    if fields["was_t_zero"] == fields["t_zero"]:
        return f"planned for the same T-0 again, {fields['t_zero']}"
    return f"moved T-0 from {fields['was_t_zero']} to {fields['t_zero']}"


def _against(fields: _Fields) -> str:
    return ", ".join(entry["words"] for entry in fields.event.data["overrides"])


def _choice(fields: _Fields) -> str:
    """`answered GO as QA Lead`; `recorded Ben Osei’s spoken GO as QA Lead`; a deputy's says for whom."""
    data, choice = fields.event.data, fields["choice"]
    if data.get("spoken"):
        return f"recorded {data['voter']}’s spoken {choice} as {data['seat_name']}"
    for_whom = f", for {data['voter']}" if data.get("deputy") else ""
    return f"answered {choice} as {data['seat_name']}{for_whom}"


_COMPUTED = {"moved": _moved, "changes": _changes, "against": _against, "choice_words": _choice}
_ANCHORS = {
    "item": "item",
    "decision": "decision",
    "rollback": "rollback",
    "override": "override",
    "actionitem": "action",
}


def _target(event: Happening) -> str:
    word = _ANCHORS.get(event.object_type)
    return f"{word}-{event.object_id}" if word else ""
