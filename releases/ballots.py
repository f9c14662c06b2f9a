"""What a voter is shown, and when a ballot given on it no longer counts (DOMAIN: "A ballot is pinned").

A ballot keeps what was shown: gate items, waivers, holders, T-0; never the other ballots. It turns stale when
something got worse since; the voter confirms in one tap.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from checklists.blueprints import Stage
from releases.events import stamp
from releases.models import SETTLED, Ballot, Item, Release, State, assignments_of
from releases.permissions import roles_held


def gate_items(release: Release) -> list[Item]:
    """The items that stand before a GO, in page order, from the release's loaded phases."""
    phases = [moments.phase for moments in release.plan]
    early = [phase for phase in phases if phase.stage in (Stage.PREPARATION, Stage.DECISION)]
    return [item for phase in early for item in phase.items.all() if item.stands_before_go]


def shown(release: Release) -> dict[str, Any]:
    """What the page shows a voter now, as plain data."""
    items = gate_items(release)
    people: dict[str, list[int]] = {}
    for row in assignments_of(release):
        people.setdefault(row.role.slug, []).append(row.user_id)
    return {
        "t_zero": stamp(release.t_zero),
        "gate": {str(item.pk): item.state for item in items},
        "waivers": sorted(item.pk for item in items if item.state == State.WAIVED),
        "holders": {role: sorted(ids) for role, ids in sorted(people.items())},
    }


def hash_of(what: dict[str, Any]) -> str:
    """SHA-256 in hex over the canonical JSON of `shown`."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def staleness(ballot: Ballot, release: Release, now_shown: dict[str, Any] | None = None) -> list[str]:
    """Say what got worse since `ballot` was cast, in sentences; empty while it still counts."""
    now_shown = now_shown or shown(release)
    if ballot.schedule_version != release.schedule_version or ballot.seen["t_zero"] != now_shown["t_zero"]:
        return ["T-0 has moved"]
    if ballot.seat.role.slug not in roles_held(ballot.voter, release):
        return [f"{ballot.voter.name} no longer holds {ballot.seat.role.name}"]
    if hash_of(now_shown) == ballot.seen_hash:
        return []
    return _worse_items(ballot.seen, now_shown, release) + _lost_holders(ballot.seen, now_shown)


def _worse_items(seen: dict[str, Any], now_shown: dict[str, Any], release: Release) -> list[str]:
    titles = {str(item.pk): item.title for item in gate_items(release)}
    found = []
    for pk, state in now_shown["gate"].items():
        before = seen["gate"].get(pk)
        if state == before:
            continue
        if state == State.WAIVED:
            found.append(f"“{titles[pk]}” was waived")
        elif state == State.BLOCKED:
            found.append(f"“{titles[pk]}” is blocked")
        elif state not in SETTLED and (before is None or before in SETTLED):
            found.append(f"“{titles[pk]}” {'was added' if before is None else 'is open again'}")
    return found


def _lost_holders(seen: dict[str, Any], now_shown: dict[str, Any]) -> list[str]:
    lost = [role for role in seen["holders"] if role not in now_shown["holders"]]
    return [f"nobody is {role.replace('-', ' ')} any more" for role in lost]
