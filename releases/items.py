"""What acting on an item means by its kind: tick, acknowledge, sign off, watch, close the ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind
from releases import events, permissions, rollback, tasks, ticking, workflow
from releases.errors import DomainError
from releases.models import Item, Status, Verdict, Watch

if TYPE_CHECKING:
    from relcoord.models import User

WATCHABLE = (Status.DEPLOYING, Status.DEPLOYED)  # deployed: a watch restarted by a hotfix


@transaction.atomic
def act(
    item: Item,
    done: bool,
    *,
    by: User,
    version: int | None = None,
    on_behalf: str = "",
    revoke: str = "",
    proof: ticking.Proof | None = None,
) -> Item:
    """Do what the item's own button does: close the release, start the watch, or set it done or open.

    Of `item` only its id and its release are read; Item.DoesNotExist when the release has no such item.
    """
    item = ticking.take_with_all(item)
    if not done:
        return ticking.open_again(item, by=by, version=version, revoke=revoke)
    if item.kind == Kind.CLOSE:
        workflow.close(item.release, by=by)
        return Item.objects.select_related("phase__release", "role").get(pk=item.pk)
    if item.kind == Kind.WATCH:
        return start_watch(item, by=by).item
    return ticking.finish(item, by=by, version=version, on_behalf=on_behalf, proof=proof)


@transaction.atomic
def start_watch(item: Item, *, by: User) -> Watch:
    """Begin to watch. It cannot end before its minimum; starting again while it runs changes nothing."""
    item = ticking.take(item)
    permissions.require(by, "tick", item.release, on=item)
    if item.kind != Kind.WATCH:
        raise DomainError(f"“{item.title}” is not a watch")
    running = item.running_watch()
    if running is not None:
        return running
    ticking.check(item, None)
    if item.settled:
        raise DomainError(f"“{item.title}” is settled; reopen it to watch again")
    watch = Watch.objects.create(item=item, started_at=timezone.now(), started_by=by)
    _raise_version(item)
    events.record(item.release, "watch.started", by=by, on=item, minutes=item.watch_min)
    return watch


@transaction.atomic
def end_watch(item: Item, verdict: Verdict, *, by: User, note: str = "") -> Item:
    """End the running watch with its verdict: healthy (from its minimum on), hotfix (watch again) or rollback.

    A hotfix or a rollback is a bad sign and may be called at any minute; "healthy" not before the minimum.
    """
    item = ticking.take(item)
    release = item.release
    verb = "trigger_rollback" if verdict == Verdict.ROLLBACK else "tick"
    permissions.require(by, verb, release, on=item)
    watch, now = item.running_watch(), timezone.now()
    if watch is None or release.status not in WATCHABLE:
        raise DomainError(f"“{item.title}” is not being watched; start the watch first")
    if verdict == Verdict.HEALTHY and now < watch.may_end_at:
        until = watch.may_end_at.astimezone(release.zone)
        raise DomainError(f"Too early to call it healthy: the watch lasts until {until:%H:%M}")
    if verdict != Verdict.HEALTHY and not note.strip():
        raise DomainError("Say what you saw")
    watch.ended_at, watch.ended_by, watch.verdict, watch.note = now, by, verdict, note.strip()
    watch.save(update_fields=["ended_at", "ended_by", "verdict", "note"])
    events.record(release, "watch.ended", by=by, on=item, verdict=str(verdict), note=note.strip())
    if verdict == Verdict.HEALTHY:
        workflow.settle(item, release, by=by, now=now)
    elif verdict == Verdict.HOTFIX:
        Watch.objects.create(item=item, started_at=now, started_by=by)
        _raise_version(item)
        events.record(release, "watch.started", by=by, on=item, minutes=item.watch_min)
    else:
        rollback.trigger(release, note, by=by)
    tasks.look_on_commit()
    return item


def _raise_version(item: Item) -> None:
    item.version += 1
    item.save(update_fields=["version"])
