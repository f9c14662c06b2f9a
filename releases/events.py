"""Writing history: one event a change, chained with SHA-256 to the one before it (RELIABILITY: "History")."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db import models, transaction
from django.utils import timezone

from relcoord.lib import broadcast
from releases.models import Event, Release, assignments_of

if TYPE_CHECKING:
    from relcoord.models import User

LATEST = 8  # events beside the checklist
KEPT = 600  # seconds they are kept
SYSTEM = "relcoord"  # the actor of what nobody did: a computed item that follows the others


def record(
    release: Release,
    action: str,
    *,
    by: User | None,
    on: models.Model | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    **data: Any,
) -> Event:
    """Append one event to the chain of `release`, whose row the caller has locked.

    `on` is what changed (the release itself by default), `before` and `after` its changed fields, `data`
    what a reader needs beside. Instants are written in UTC with microseconds; floats are refused.
    """
    subject = on or release
    event = Event(
        release=release,
        sequence=release.event_sequence + 1,
        at=timezone.now(),
        actor_id=by.pk if by else None,
        actor=by.name if by else SYSTEM,
        role=roles_of(release, by) if by else "",
        action=action,
        object_type=subject._meta.model_name or "",
        object_id=str(subject.pk),
        object_name=str(subject)[:300],
        before=plain(before or {}),
        after=plain(after or {}),
        data=plain(data),
        previous_hash=release.event_head,
    )
    event.hash = digest(body(event), event.previous_hash)
    event.save(force_insert=True)
    release.event_sequence, release.event_head = event.sequence, event.hash
    release.save(update_fields=["event_sequence", "event_head"])
    release.__dict__.setdefault("_recorded", []).append(event)
    _tell_on_commit(release)
    return event


def recorded(release: Release) -> list[Event]:
    """The events that were written through this release object, the oldest first."""
    return list(release.__dict__.get("_recorded", []))


def latest(release: Release) -> list[Event]:
    """The newest events, the newest first.

    An event never changes, so they are kept by their sequence, and what was just written goes on top of what was kept.
    """
    own = recorded(release)
    key = f"latest:{release.pk}:%s"
    before: list[Event] | None = cache.get(key % (own[0].previous_hash if own else release.event_head))
    if before is not None and not own:
        return before
    known = _newest(release) if before is None else [*map(_alone, reversed(own)), *before][:LATEST]
    cache.set(key % release.event_head, known, KEPT)
    return known


def _newest(release: Release) -> list[Event]:
    known = Event.objects.filter(release=release, sequence__lte=release.event_sequence)
    return list(known.order_by("-sequence")[:LATEST])


def _alone(event: Event) -> Event:
    """The same without the release that hangs on it, which is not to be kept."""
    return Event(**{field.attname: getattr(event, field.attname) for field in Event._meta.concrete_fields})


class _Tell:
    """Tells open pages how far `release` has come."""

    def __init__(self, release: Release) -> None:
        self.release = release

    def __call__(self) -> None:
        broadcast.publish(self.release.pk, self.release.event_sequence)


def _tell_on_commit(release: Release) -> None:
    """Once in a transaction, however many events it writes."""
    waiting = (entry[1] for entry in transaction.get_connection().run_on_commit)
    if not any(isinstance(act, _Tell) and act.release is release for act in waiting):
        transaction.on_commit(_Tell(release), robust=True)


def roles_of(release: Release, user: User) -> str:
    """The names of the roles `user` holds in `release` now, for the record."""
    return ", ".join(sorted(row.role.name for row in assignments_of(release) if row.user_id == user.pk))[:300]


def body(event: Event) -> dict[str, Any]:
    """What of an event is hashed: everything but the hashes. `verify_record.py` builds the same from an export."""
    return {
        "release": event.release.key,
        "sequence": event.sequence,
        "at": stamp(event.at),
        "actor_id": event.actor_id,
        "actor": event.actor,
        "role": event.role,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "object_name": event.object_name,
        "before": event.before,
        "after": event.after,
        "data": event.data,
    }


def digest(content: dict[str, Any], previous_hash: str) -> str:
    """SHA-256 in hex over the previous hash, a line break and the canonical JSON of `content`."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous_hash}\n{canonical}".encode()).hexdigest()


def stamp(moment: datetime) -> str:
    """UTC with microseconds: `2026-11-26T09:12:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Any) -> Any:
    """Turn `value` into what canonical JSON can hold. TypeError on floats, whose text is not canonical."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, models.Model):
        return {"id": value.pk, "name": str(value)}
    if isinstance(value, float):
        raise TypeError("An event holds no floats: their text is not canonical")
    return str(value) if isinstance(value, str) else value
