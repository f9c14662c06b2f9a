"""Changing the list of a running release: add, edit, move, give to a role, set one due moment.

The coordinator's verbs. A template is never touched; the release keeps its own copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from checklists.models import Role
from checklists.tminus import Anchor, Offset
from releases import events, permissions, tasks
from releases.errors import DomainError
from releases.models import BEFORE_START, Item, Phase, Release, State, Status
from releases.ticking import check_version, follow, revoke_if_cleared, take

if TYPE_CHECKING:
    from relcoord.models import User

# Statuses in which an item added to a stage can still be settled, now or later.
SETTLES_LATER: dict[str, tuple[str, ...]] = {
    Stage.PREPARATION: BEFORE_START,
    Stage.DECISION: BEFORE_START,
    Stage.PRODUCTION: (*BEFORE_START, Status.DEPLOYING),
    Stage.POST_DEPLOYMENT: (*BEFORE_START, Status.DEPLOYING, Status.DEPLOYED, Status.ROLLING_BACK),
}


@transaction.atomic
def add_item(phase: Phase, title: str, *, by: User, revoke: str = "", **fields: Any) -> Item:
    """Add an item at the end of `phase`. Adding a required gate item after GO takes the GO back, with `revoke`.

    `fields`: guidance, role, kind, required, condition, bound_to_window, evidence_wanted.
    """
    release = Release.objects.lock(phase.release)
    permissions.require(by, "edit_items", release)
    _editable(release)
    if not title.strip():
        raise DomainError("An item needs a title")
    if fields.get("kind", Kind.CHECK) in (Kind.COMPUTED, Kind.DECISION, Kind.CLOSE, Kind.WATCH, Kind.STEP):
        raise DomainError("An item added to a running release is a check, a sign-off or an acknowledgement")
    last = phase.items.aggregate(last=Max("position"))["last"] or 0
    phase.release = release
    item = Item(phase=phase, title=title.strip(), position=last + 1, state_at=timezone.now(), **fields)
    if release.status not in SETTLES_LATER[phase.stage]:
        raise DomainError(f"{phase} is over; an item there could never be settled")
    item.save(force_insert=True)
    events.record(
        release,
        "item.added",
        by=by,
        on=item,
        after={"state": State.OPEN.value, "phase": phase.name, "required": item.required},
    )
    if item.stands_before_go:
        revoke_if_cleared(item, revoke, by=by)
    follow(release)
    tasks.look_on_commit()
    return item


@transaction.atomic
def edit_item(item: Item, *, by: User, version: int | None = None, revoke: str = "", **fields: Any) -> Item:
    """Change words or duties of an item: title, guidance, required, condition, evidence_wanted, bound_to_window."""
    item = take(item)
    permissions.require(by, "edit_items", item.release)
    _editable(item.release)
    check_version(item, version)
    before = {name: getattr(item, name) for name, value in fields.items() if getattr(item, name) != value}
    if not before:
        return item
    if not str(fields.get("title", item.title)).strip():
        raise DomainError("An item needs a title")
    held = item.stands_before_go
    for name in before:
        setattr(item, name, fields[name])
    item.version += 1
    item.save(update_fields=[*before, "version"])
    after = {name: fields[name] for name in before}
    events.record(item.release, "item.edited", by=by, on=item, before=before, after=after)
    if item.stands_before_go and not held and not item.settled:
        revoke_if_cleared(item, revoke, by=by)
    follow(item.release)
    return item


@transaction.atomic
def move_item(item: Item, phase: Phase, position: int, *, by: User, revoke: str = "") -> Item:
    """Put `item` at `position` (1 is first) of `phase`, and number the phase anew."""
    item = take(item)
    release = item.release
    permissions.require(by, "edit_items", release)
    _editable(release)
    if phase.release_id != release.pk:
        raise DomainError("That phase belongs to another release")
    held, came_from = item.stands_before_go, item.phase
    phase.release = release
    others = [other for other in phase.items.order_by("position", "pk") if other.pk != item.pk]
    others.insert(max(0, min(position - 1, len(others))), item)
    before = {"phase": came_from.name, "position": item.position}
    item.phase = phase
    for number, other in enumerate(others, start=1):
        if other.position != number or other is item:
            Item.objects.filter(pk=other.pk).update(position=number, phase=phase)
            other.position = number
    item.version += 1
    item.save(update_fields=["phase", "version"])
    events.record(
        release, "item.moved", by=by, on=item, before=before, after={"phase": phase.name, "position": item.position}
    )
    if item.stands_before_go and not held and not item.settled:
        revoke_if_cleared(item, revoke, by=by)
    follow(release)
    return item


@transaction.atomic
def give_items(items: Iterable[Item], role: Role | None, *, by: User) -> int:
    """Give `items` (of one release) to `role`, or to the coordinator with None; returns how many changed."""
    rows = list(items)
    if not rows:
        raise DomainError("Choose at least one item")
    release = Release.objects.lock(rows[0].release)
    permissions.require(by, "edit_items", release)
    _editable(release)
    changed = 0
    for row in Item.objects.of(release).filter(pk__in=[row.pk for row in rows]):
        if row.role_id == (role.pk if role else None):
            continue
        before = {"role": str(row.role) if row.role else ""}
        row.role, row.version = role, row.version + 1
        row.save(update_fields=["role", "version"])
        events.record(release, "item.given", by=by, on=row, before=before, after={"role": str(role) if role else ""})
        changed += 1
    tasks.look_on_commit()
    return changed


@transaction.atomic
def set_due(item: Item, moment: datetime | None, *, by: User, version: int | None = None) -> Item:
    """Give `item` its own due moment (None: the phase's again). Kept as an offset, so that it moves with T-0."""
    item = take(item)
    release = item.release
    permissions.require(by, "edit_items", release)
    _editable(release)
    check_version(item, version)
    if moment is not None and moment >= release.t_zero and item.phase.stage in (Stage.PREPARATION, Stage.DECISION):
        raise DomainError(f"“{item.title}” stands before the decision; it must be due before T-0")
    before, item.due = {"due": item.due}, _as_offset(release, item, moment)
    item.version += 1
    item.save(update_fields=["due", "version"])
    events.record(release, "item.due_set", by=by, on=item, before=before, after={"due": item.due})
    tasks.look_on_commit()
    return item


def _as_offset(release: Release, item: Item, moment: datetime | None) -> str:
    if moment is None:
        return ""
    after_deployment = item.phase.stage == Stage.POST_DEPLOYMENT and release.deployed_at
    anchor_at = release.deployed_at if after_deployment and release.deployed_at else release.t_zero
    minutes = round((moment - anchor_at) / timedelta(minutes=1))
    return str(Offset(Anchor.DEPLOYED if after_deployment else Anchor.T_ZERO, minutes=minutes))


def _editable(release: Release) -> None:
    if release.is_final:
        raise DomainError(f"{release.key} is {release.state.label.lower()}; its checklist no longer changes")
