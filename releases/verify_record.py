#!/usr/bin/env python3
"""Check an exported release record (.json) against a head hash that somebody kept.

    python3 verify_record.py PAY-4.2-record.json --head 9b1f04c2...

Needs Python 3.9 or later and nothing else: no network, no relcoord. Read it before you trust it; it is short.

WHAT IT CHECKS
  * The chain. Every event of the record is hashed together with the hash before it; the last of these hashes is the
    head. Decision mails and closing mails carry the head of their moment. One changed character, one event left out,
    added or moved gives another head.
  * The rest of the record. The events are replayed: status and schedule, the state of each item (who, when, why), the
    ballots, the decisions with their rationale, overrides and action items must be what the record says.

THE CANONICAL FORM
  An event's body has the keys release, sequence, at, actor_id, actor, role, action, object_type, object_id,
  object_name, before, after, data. It is written as JSON with keys sorted, no blanks, non-ASCII characters as they
  are, UTF-8; instants are UTC with microseconds (2026-11-26T09:12:00.000000Z); there are no floats.
  hash = SHA-256 in hex over the previous hash ("" before the first event), one line break, and that JSON.

WHAT IT CANNOT PROVE
  * That your head is genuine. Take it from a mail that reached you at the time, not from the person or the server
    that gave you the record: who can write the database can write a whole new chain with a head of its own.
  * What came after your head. Later events fit the chain, but only a later head vouches for them.
  * Who sat at the keyboard. An event names the account that was signed in, or for whom the coordinator spoke.
  * The time. It is what the server's clock said.
  * That something was recorded at all, that it was true, or what stands behind a link today.
  * The readable part beyond what is listed above: guidance, notes, people's duties, the steps of a rollback, anything
    in the Markdown, CSV or printed form. Where it matters, read the events themselves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SCHEMA = 1
BODY = (
    *("release", "sequence", "at", "actor_id", "actor", "role", "action"),
    *("object_type", "object_id", "object_name", "before", "after", "data"),
)
SLACK = timedelta(seconds=60)  # a row and its event are written in one transaction, not in one instant
SCHEDULE = ("t_zero", "window_end", "time_zone", "schedule_version")
LONGEST = 200  # characters of a value that a sentence quotes

Fact = tuple[str, str, str, Any]  # kind, id, field, value
Rows = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Finding:
    """The first thing that is not as it should be. `sequence` is the event it hangs on; 0 when there is none."""

    sequence: int
    what: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        where = f"event {self.sequence}" if self.sequence else "in no event"
        return f"{where}: {self.what}: expected {_said(self.expected)}, found {_said(self.found)}"


def digest(body: dict[str, Any], previous_hash: str) -> str:
    """SHA-256 in hex over the previous hash, a line break and the canonical JSON of `body`."""
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous_hash}\n{canonical}".encode()).hexdigest()


# The chain ---------------------------------------------------------------------------------------------------------


def broken_chain(events: list[dict[str, Any]], key: str) -> Finding | None:
    """Return where the chain of the release `key` first breaks, None when it holds."""
    previous = ""
    for number, event in enumerate(events, start=1):
        if event.get("sequence") != number:
            return Finding(number, "its place in the chain", number, event.get("sequence"))
        if set(event) != {*BODY, "previous_hash", "hash"}:
            return Finding(number, "its fields", sorted([*BODY, "hash", "previous_hash"]), sorted(event))
        if event["release"] != key:
            return Finding(number, "the release it belongs to", key, event["release"])
        if event["previous_hash"] != previous:
            return Finding(number, "the hash of the event before it", previous, event["previous_hash"])
        computed = digest({name: event[name] for name in BODY}, previous)
        if event["hash"] != computed:
            return Finding(number, "the hash of its words", computed, event["hash"])
        previous = event["hash"]
    return None


# Replay ------------------------------------------------------------------------------------------------------------


class Replay:
    """What the events alone say: `rows` by kind and id, `since` the event that last set each field."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.since: dict[tuple[str, str, str], int] = {}
        self.names: dict[int | None, set[str]] = {}  # what each account was called
        self.contradiction: Finding | None = None  # the first event that claims another past than the events before it

    def take(self, event: dict[str, Any]) -> None:
        for kind, pk, field, value in claims(event):
            known = self.rows.get((kind, pk), {})
            if field in known and known[field] != value and self.contradiction is None:
                what = f"{named(kind, pk, field)} before it"
                self.contradiction = Finding(event["sequence"], what, known[field], value)
        if event["object_type"] == "ballot":
            self._supersede_ballots(event)
        self.names.setdefault(event["actor_id"], set()).add(event["actor"])
        for kind, pk, field, value in facts(event):
            self.rows.setdefault((kind, pk), {})[field] = value
            self.since[kind, pk, field] = event["sequence"]
        if event["action"] == "item.evidence_added":
            self._add_evidence(event)

    def _add_evidence(self, event: dict[str, Any]) -> None:
        pk, data = event["object_id"], event["data"]
        row = self.rows.setdefault(("item", pk), {})
        row["evidence"] = [*row.get("evidence", []), [data["label"], data["url"], data["commit"], event["actor_id"]]]
        self.since["item", pk, "evidence"] = event["sequence"]

    def _supersede_ballots(self, event: dict[str, Any]) -> None:
        """A seat's newest ballot in a poll stands; the ones before it are history."""
        seat, poll = event["after"].get("seat"), event["data"].get("poll")
        for (kind, pk), row in self.rows.items():
            if kind == "ballot" and row["standing"] and (row["seat"], row["poll"]) == (seat, poll):
                row["standing"] = False
                self.since[kind, pk, "standing"] = event["sequence"]

    def differs_from(self, found: Rows) -> Finding | None:
        """Return the first difference to `found`, by the event it hangs on."""
        return min(self._differences(found), key=lambda finding: finding.sequence, default=None)

    def _differences(self, found: Rows) -> Iterator[Finding]:
        for kind, pk in sorted(self.rows.keys() | found.keys()):
            if (kind, pk) not in self.rows:
                yield Finding(0, f"{kind} {pk}", None, "a row that no event made")
                continue
            for field, value in self.rows[kind, pk].items():
                since = self.since[kind, pk, field]
                if (kind, pk) not in found:
                    yield Finding(since, f"{kind} {pk}", "a row", None)
                    break
                if not same(field, value, found[kind, pk].get(field)):
                    yield Finding(since, named(kind, pk, field), value, found[kind, pk].get(field))


def replay(events: list[dict[str, Any]]) -> Replay:
    done = Replay()
    for event in events:
        done.take(event)
    return done


def facts(event: dict[str, Any]) -> Iterator[Fact]:
    """What is so after `event`, as far as a record can be held against it."""
    after, data, kind, pk = event["after"], event["data"], event["object_type"], event["object_id"]
    if "status" in after:
        yield "release", "", "status", after["status"]
    if kind == "release":
        yield from (("release", "", field, after[field]) for field in SCHEDULE if field in after)
        coordinator = after.get("coordinator") or data.get("coordinator")
        if coordinator:
            yield "release", "", "coordinator", coordinator["id"]
    if event["action"] == "release.created":
        for item, state in after["items"].items():
            yield from _item(item, state, "", None, None)
            yield "item", item, "evidence", []
    if event["action"] == "item.added":
        yield from _item(pk, after["state"], "", None, event["at"])
        yield "item", pk, "evidence", []
    elif kind == "item" and "state" in after:
        reason = "" if after["state"] == "open" else data.get("reason", "")
        yield from _item(pk, after["state"], reason, event["actor_id"], event["at"])
    if kind == "item":
        yield "item", pk, "title", event["object_name"]
    if event["action"] == "poll.opened":
        yield "poll", str(data["poll"]), "state", "open"
    if event["action"] == "decision.recorded":
        yield "poll", str(data["poll"]), "state", "decided"
    yield from _others(event)


def _item(pk: str, state: str, reason: str, by: int | None, at: str | None) -> Iterator[Fact]:
    yield "item", pk, "state", state
    yield "item", pk, "reason", reason
    yield "item", pk, "by", by
    yield "item", pk, "at", at


def _others(event: dict[str, Any]) -> Iterator[Fact]:
    """Polls, ballots, decisions, overrides, action items, rollbacks."""
    after, data, kind, pk = event["after"], event["data"], event["object_type"], event["object_id"]
    if kind in ("poll", "actionitem") and "state" in after:
        yield kind, pk, "state", after["state"]
    if kind == "ballot":
        yield from (("ballot", pk, field, after[field]) for field in ("seat", "choice", "voter", "standing"))
        yield from (("ballot", pk, field, data[field]) for field in ("poll", "statement"))
        yield "ballot", pk, "at", event["at"]
    if event["action"] == "decision.recorded":
        yield "decision", pk, "call", after["call"]
        yield "decision", pk, "standing", True
        yield "decision", pk, "rationale", data["rationale"]
        yield "decision", pk, "by", event["actor_id"]
        yield "decision", pk, "at", event["at"]
    elif kind == "decision" and "standing" in after:
        yield "decision", pk, "standing", after["standing"]
    if kind == "override":
        yield from (("override", pk, field, data[field]) for field in ("verb", "reason", "overrides"))
        yield "override", pk, "by", event["actor_id"]
    if event["action"] == "rollback.triggered":
        yield "rollback", pk, "seen", data["seen"]
    if kind == "rollback":
        yield from (("rollback", pk, field, after[field]) for field in ("severity", "path") if field in after)


def claims(event: dict[str, Any]) -> Iterator[Fact]:
    """What `event` says was so before it."""
    before, kind, pk = event["before"], event["object_type"], event["object_id"]
    if "status" in before:
        yield "release", "", "status", before["status"]
    if kind == "release":
        yield from (("release", "", field, before[field]) for field in SCHEDULE if field in before)
        if before.get("coordinator"):
            yield "release", "", "coordinator", before["coordinator"]["id"]
    if kind in ("item", "poll", "actionitem") and "state" in before:
        yield kind, pk, "state", before["state"]
    if kind == "decision" and "standing" in before:
        yield kind, pk, "standing", before["standing"]


def stated(record: dict[str, Any]) -> Rows:
    """The same facts as the readable part of a record states them."""
    release = record["release"]
    rows: Rows = {("release", ""): {field: release[field] for field in ("status", *SCHEDULE)}}
    rows["release", ""]["coordinator"] = release["coordinator"]["id"]
    for phase in record["phases"]:
        for item in phase["items"]:
            row = _with_ids(item, "title", "state", "reason", "by", "at")
            proofs = [[proof["label"], proof["url"], proof["commit"], proof["by"]["id"]] for proof in item["evidence"]]
            rows["item", str(item["id"])] = row | {"evidence": proofs}
    for poll in record["polls"]:
        rows["poll", str(poll["id"])] = {"state": poll["state"]}
        for ballot in poll["ballots"]:
            row = _with_ids(ballot, "seat", "choice", "voter", "standing", "statement", "at")
            rows["ballot", str(ballot["id"])] = row | {"poll": poll["id"]}
    for decision in record["decisions"]:
        fields = ("call", "standing", "rationale", "by", "at")
        rows["decision", str(decision["id"])] = _with_ids(decision, *fields)
    for override in record["overrides"]:
        rows["override", str(override["id"])] = _with_ids(override, "verb", "reason", "overrides", "by")
    for action in record["action_items"]:
        rows["actionitem", str(action["id"])] = {"state": action["state"]}
    for rollback in record["rollbacks"]:
        rows["rollback", str(rollback["id"])] = _with_ids(rollback, "seen", "severity", "path")
    return rows


def _with_ids(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    values = {field: row[field] for field in fields}
    return {name: value["id"] if isinstance(value, dict) else value for name, value in values.items()}


def same(field: str, expected: Any, found: Any) -> bool:
    if field == "at" and expected and found:
        return abs(_moment(expected) - _moment(found)) <= SLACK
    return bool(expected == found)


def named(kind: str, pk: str, field: str) -> str:
    return " ".join(word for word in (kind, pk, field) if word)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007 - both are UTC


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"“{text[:LONGEST]}{'…' if len(text) > LONGEST else ''}”"


# A whole record ----------------------------------------------------------------------------------------------------


def first_fault(record: dict[str, Any]) -> Finding | None:
    """Return the first thing in `record` that its own events do not bear out, None when all does."""
    events, key = record["events"], record["release"]["key"]
    if not events or len(events) != record["counted"]:
        return Finding(
            min(len(events), record["counted"]) + 1, "how many events there are", record["counted"], len(events)
        )
    if broken := broken_chain(events, key):
        return broken
    if record["head"] != events[-1]["hash"]:
        return Finding(len(events), "the head the record names", events[-1]["hash"], record["head"])
    history = replay(events)
    strange = history.contradiction or history.differs_from(stated(record))
    return strange or misnamed({name: part for name, part in record.items() if name != "events"}, history.names)


def misnamed(part: Any, names: dict[int | None, set[str]]) -> Finding | None:
    """Return the first person in `part` whose account acted, but never under the name given there."""
    if isinstance(part, dict) and set(part) == {"id", "name"}:
        known = names.get(part["id"], {part["name"]})
        return None if part["name"] in known else Finding(0, f"account {part['id']}", min(known), part["name"])
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return next((found for entry in inside if (found := misnamed(entry, names))), None)


class Unreadable(Exception):
    """The file is no record this program can read; the sentence says why."""


def read(text: str) -> dict[str, Any]:
    """Return the record in `text`. Floats are refused, because their text is not canonical."""
    try:
        record = json.loads(text, parse_float=_no_floats, parse_constant=_no_floats, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as failure:
        raise Unreadable(f"it is no record in JSON ({failure})") from failure
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        raise Unreadable(f"its schema is {found}; this program reads schema {SCHEMA}")
    return record


def _no_floats(text: str) -> None:
    raise ValueError(f"an event holds no fractions, found {text}")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that comes twice could show one value to a reader and another to this program."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key comes twice in one object")
    return values


def verdict(record: dict[str, Any], head: str) -> tuple[bool, str]:
    """Hold `record` against `head`; return whether it stands, and the sentence to print."""
    try:
        fault = first_fault(record)
    except (KeyError, TypeError, AttributeError, ValueError) as failure:
        raise Unreadable(f"something is missing in it or is of the wrong kind ({failure!r})") from failure
    key, events = record["release"]["key"], record["events"]
    if fault is not None:
        return False, f"{key}: DOES NOT HOLD. {str(fault)[0].upper()}{str(fault)[1:]}."
    place = next((event["sequence"] for event in events if event["hash"] == head), 0)
    if not place:
        end = f"its {len(events)} events end in {events[-1]['hash']}"
        return False, f"{key}: DOES NOT HOLD. The head you gave is not in this record; {end}."
    sentence = f"{key}: holds. {len(events)} events, unbroken, and the record says what they say."
    if later := len(events) - place:
        sentence += f"\nYour head vouches for events 1 to {place}. The {later} after it fit; no more is known of them."
    return True, sentence


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when the record holds, 1 when it does not, 2 when it cannot be read."""
    about, _, epilogue = (__doc__ or "").partition("WHAT IT CHECKS")
    parser = argparse.ArgumentParser(
        description=about, epilog="WHAT IT CHECKS" + epilogue, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="FILE", help="the record, exported as .json")
    parser.add_argument("--head", metavar="HASH", required=True, help="the 64 characters from a mail of that time")
    options = parser.parse_args(arguments)
    head = options.head.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", head):
        parser.error("a head is 64 characters, 0 to 9 and a to f; a shorter one could be forged")
    try:
        holds, sentence = verdict(read(Path(options.file).read_text(encoding="utf-8")), head)
    except (OSError, UnicodeDecodeError, Unreadable) as failure:
        sys.stderr.write(f"{options.file} cannot be checked: {failure}.\n")
        return 2
    sys.stdout.write(sentence + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
