"""An item's plain states: done, blocked, not applicable, waived, open again; its evidence and notes.

A form says the state it wants and the version it saw, never "toggle": the same state again is a no-op, a
change by somebody else in between is a `Conflict`. What an act means by an item's kind is in `items`;
changing the list itself is in `amending`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from releases import clearance, events, permissions, readiness, tasks
from releases.errors import Conflict, DomainError, EvidenceNeeded, ReasonNeeded
from releases.models import (
    FINAL,
    SETTLED,
    TICKABLE,
    Evidence,
    Item,
    Note,
    Override,
    Release,
    Rollback,
    State,
    Status,
    holders,
    seats_of,
)

if TYPE_CHECKING:
    from relcoord.models import User

_ACTION = {
    State.DONE: "item.done",
    State.BLOCKED: "item.blocked",
    State.NOT_APPLICABLE: "item.not_applicable",
    State.WAIVED: "item.waived",
    State.OPEN: "item.reopened",
}


@dataclass(frozen=True)
class Proof:
    """Evidence given with a tick: a link or a note, and the commit it speaks of."""

    label: str = ""
    url: str = ""
    commit: str = ""

    def __bool__(self) -> bool:
        return bool(self.label.strip() or self.url.strip())


@transaction.atomic
def set_done(
    item: Item,
    done: bool,
    *,
    by: User,
    version: int | None = None,
    on_behalf: str = "",
    revoke: str = "",
    proof: Proof | None = None,
) -> Item:
    """Mark `item` done, or not done.

    `version` is the one the form saw (None: whatever it is now). `on_behalf` is the coordinator's reason for
    ticking what others hold; sign-offs are never given for another. `revoke` is the reason for taking a GO
    back where undoing would. EvidenceNeeded when the item wants proof and has none.
    """
    if not done:
        return reopen(item, by=by, version=version, revoke=revoke)
    return finish(take_with_all(item), by=by, version=version, on_behalf=on_behalf, proof=proof)


def finish(item: Item, *, by: User, version: int | None, on_behalf: str = "", proof: Proof | None = None) -> Item:
    """Mark done what `take_with_all` took: `set_done` says the rest."""
    verb = "sign_off" if item.kind == Kind.SIGN_OFF else "tick"
    permissions.require(by, verb, item.release, on=item)
    if item.state == State.DONE:
        return item
    if item.kind in NOT_BY_HAND:
        raise DomainError(NOT_BY_HAND[Kind(item.kind)].format(title=item.title))
    check(item, version)
    acted_for = _acted_for(item, by, on_behalf)
    if proof:
        _add_evidence(item, proof, by=by)
    if item.evidence_wanted and not item.evidence.exists():
        raise EvidenceNeeded(f"“{item.title}” wants evidence: a link or a note that shows it is done")
    return _write(item, State.DONE, on_behalf if acted_for else "", by=by, acted_for=acted_for)


NOT_BY_HAND = {
    Kind.COMPUTED: "“{title}” follows from the earlier phases; nobody ticks it",
    Kind.DECISION: "“{title}” is done by recording the decision, in the go/no-go room",
    Kind.WATCH: "“{title}” is a watch: it ends with a verdict",
    Kind.CLOSE: "“{title}” is done by closing the release",
}


@transaction.atomic
def block(item: Item, reason: str, *, by: User, version: int | None = None, revoke: str = "") -> Item:
    """Say that `item` cannot go on, and why."""
    item = take_with_all(item)
    permissions.require(by, "block", item.release, on=item)
    _by_people(item)
    return _with_reason(item, State.BLOCKED, reason, "What blocks it?", by=by, version=version, revoke=revoke)


@transaction.atomic
def mark_not_applicable(item: Item, reason: str, *, by: User, version: int | None = None) -> Item:
    """Answer a conditional item, or one whose only optional seat is unfilled, with "not applicable" and why."""
    item = take_with_all(item)
    permissions.require(by, "not_applicable", item.release, on=item)
    _by_people(item)
    if not may_be_not_applicable(item):
        raise DomainError(f"“{item.title}” is not conditional. The coordinator may waive it, with a reason")
    return _with_reason(item, State.NOT_APPLICABLE, reason, "Why does it not apply?", by=by, version=version)


@transaction.atomic
def waive(item: Item, reason: str, *, by: User, version: int | None = None) -> Item:
    """Accept the omission of a required item, this release only; shown at the poll and in the record."""
    item = take_with_all(item)
    permissions.require(by, "waive", item.release, on=item)
    if item.kind in (Kind.COMPUTED, Kind.DECISION, Kind.CLOSE):
        raise DomainError(f"“{item.title}” cannot be waived: {NOT_BY_HAND[Kind(item.kind)].format(title='it')}")
    if not item.required:
        raise DomainError(f"“{item.title}” is optional; there is nothing to waive")
    return _with_reason(item, State.WAIVED, reason, "Why is it accepted?", by=by, version=version)


@transaction.atomic
def reopen(item: Item, *, by: User, version: int | None = None, reason: str = "", revoke: str = "") -> Item:
    """Undo whatever state `item` is in. After GO, a gate item asks for `revoke`, the reason for taking the GO back."""
    return open_again(take_with_all(item), by=by, version=version, reason=reason, revoke=revoke)


def open_again(item: Item, *, by: User, version: int | None, reason: str = "", revoke: str = "") -> Item:
    """Open what `take_with_all` took: `reopen` says the rest."""
    verb = "waive" if item.state == State.WAIVED else "reopen"
    permissions.require(by, verb, item.release, on=item)
    if item.state == State.OPEN:
        return item
    if item.kind in (Kind.COMPUTED, Kind.DECISION, Kind.CLOSE):
        raise DomainError(NOT_BY_HAND[Kind(item.kind)].format(title=item.title))
    check(item, version)
    return _write(item, State.OPEN, reason, by=by, revoke=revoke)


def may_be_not_applicable(item: Item) -> bool:
    """Is "not applicable" an answer here: conditional, or its role has only an optional seat and no holder?"""
    if item.conditional:
        return True
    if item.role is None or holders(item.release, item.role):
        return False
    return any(seat.role_id == item.role_id and not seat.required for seat in seats_of(item.release))


@transaction.atomic
def add_evidence(item: Item, proof: Proof, *, by: User) -> Evidence:
    """Add a link or a note that shows `item` is done. Allowed whenever the release is not final."""
    item = take(item)
    permissions.require(by, "add_evidence", item.release, on=item)
    if item.release.is_final:
        raise DomainError(f"{item.release.key} is {item.release.state.label}; write a note instead")
    if not proof:
        raise DomainError("Give a link or a note: what shows that it is done?")
    return _add_evidence(item, proof, by=by)


def _add_evidence(item: Item, proof: Proof, *, by: User) -> Evidence:
    url = proof.url.strip()
    if url and not url.startswith(("https://", "http://")):
        raise DomainError("A link begins with https:// or http://")
    label = proof.label.strip() or url
    item.__dict__.pop("has_evidence", None)  # what was read before is no longer so
    evidence = Evidence.objects.create(
        item=item, url=url, label=label[:300], commit=proof.commit.strip()[:64], by=by, at=timezone.now()
    )
    events.record(
        item.release, "item.evidence_added", by=by, on=item, label=evidence.label, url=url, commit=evidence.commit
    )
    return evidence


@transaction.atomic
def write_note(
    release: Release, text: str, *, by: User, item: Item | None = None, rollback: Rollback | None = None
) -> Note:
    """Write a note on the release, on an item, or in a rollback's log. Final states still take notes."""
    release = Release.objects.lock(release)
    permissions.require(by, "note", release)
    if not text.strip():
        raise DomainError("The note is empty")
    note = Note.objects.create(
        release=release, item=item, rollback=rollback, text=text.strip(), by=by, at=timezone.now()
    )
    events.record(release, "release.noted", by=by, on=item or rollback or release, text=note.text)
    return note


# The core every change of state goes through


def take(item: Item) -> Item:
    """Lock the release, then read the item fresh, with the locked release behind it."""
    release = Release.objects.lock(item.phase.release_id)
    fresh = Item.objects.select_related("phase", "role").get(pk=item.pk, phase__release=release)
    fresh.phase.release = release
    return fresh


def take_with_all(item: Item) -> Item:
    """As `take`, with the whole checklist: what follows from the item is then seen without asking again."""
    release = readiness.load_rows(Release.objects.lock(item.phase.release_id))
    rows = (row for phase in release.phases.all() for row in phase.items.all())
    found = next((row for row in rows if row.pk == item.pk), None)
    if found is None:
        raise Item.DoesNotExist(item.pk)
    return found


def check(item: Item, version: int | None) -> None:
    """The item may change now, and nobody changed it since the form was read."""
    check_version(item, version)
    if item.is_locked:
        raise DomainError(_locked(item))


def check_version(item: Item, version: int | None) -> None:
    if version is not None and version != item.version:
        who = item.state_by.name if item.state_by else "Somebody"
        at = f" at {item.state_at.astimezone(item.release.zone):%H:%M}" if item.state_at else ""
        state = "open again" if item.state == State.OPEN else State(item.state).label
        raise Conflict(f"{who} changed “{item.title}”{at}: it is {state}", item)


def _locked(item: Item) -> str:
    opens = {
        Stage.PRODUCTION: "opens when the deployment is started on a standing GO",
        Stage.POST_DEPLOYMENT: "opens when the deployment is finished",
    }
    release = item.release
    after = release.status in FINAL or item.phase.stage in (Stage.PREPARATION, Stage.DECISION)
    if after or release.status == Status.ROLLING_BACK:
        return f"“{item.title}” can no longer change: {release.key} is {release.state.label.lower()}"
    if item.phase.stage == Stage.PRODUCTION and release.status == Status.DEPLOYED:
        return f"“{item.title}” can no longer change: the deployment is finished"
    return f"“{item.title}” is locked: {item.phase} {opens[Stage(item.phase.stage)]}"


def _by_people(item: Item) -> None:
    if item.kind in (Kind.COMPUTED, Kind.DECISION, Kind.CLOSE):
        raise DomainError(NOT_BY_HAND[Kind(item.kind)].format(title=item.title))


def _acted_for(item: Item, by: User, on_behalf: str) -> str:
    """Whose duty `by` does here, as text for the record: "" for their own."""
    if by in holders(item.release, item.role):
        return ""
    stands_in_for = permissions.acting_for(by, item.release, item.role)
    if stands_in_for:
        return stands_in_for.name
    if permissions.Standing.HOLDER in permissions.standings(by, item.release, item):
        return ""
    people = ", ".join(person.name for person in holders(item.release, item.role))
    if not on_behalf.strip():
        raise ReasonNeeded(
            f"“{item.title}” is {people or item.role}’s. Say why you tick it for them",
            f"The record will show: {by.name} for {people or item.role}",
        )
    return people or f"the {item.role}"


def _with_reason(
    item: Item, state: State, reason: str, question: str, *, by: User, version: int | None, revoke: str = ""
) -> Item:
    if item.state == state and item.state_reason == reason.strip():
        return item
    if not reason.strip():
        raise DomainError(f"{question} Give a reason; the record shows it")
    check(item, version)
    return _write(item, state, reason.strip(), by=by, revoke=revoke)


def _write(item: Item, state: State, reason: str, *, by: User, acted_for: str = "", revoke: str = "") -> Item:
    """Write the new state with its event; take a GO back where the change undoes what it stood on.

    A tick owes nobody a mail at once, so no worker is asked to look: what became overdue the next look finds by itself.
    """
    release, before = item.release, {"state": item.state}
    early = [row for phase in release.phases.all() if phase.stage in _EARLY for row in phase.items.all()]
    came_open = item.settled and state not in SETTLED
    newly_blocked = state == State.BLOCKED and not item.settled
    item.state, item.state_reason, item.state_by, item.state_at = state, reason, by, timezone.now()
    item.state_for, item.version = acted_for, item.version + 1
    if state == State.OPEN:
        item.state_reason = ""
    item.save(update_fields=["state", "state_reason", "state_by", "state_at", "state_for", "version"])
    extra = {key: value for key, value in {"reason": reason, "for": acted_for}.items() if value}
    events.record(release, _ACTION[state], by=by, on=item, before=before, after={"state": state.value}, **extra)
    if item.stands_before_go and (came_open or newly_blocked):
        revoke_if_cleared(item, revoke, by=by)
    follow(release, early)
    return item


def revoke_if_cleared(item: Item, reason: str, *, by: User) -> None:
    """After GO, a gate item that no override named has come open: that takes the GO back, and needs a reason."""
    release = item.release
    if release.status != Status.CLEARED or _overridden(item):
        return
    if not reason.strip():
        raise ReasonNeeded(
            f"“{item.title}” stands before the GO of {release.key}",
            "The GO is revoked, the release goes back to preparing and everyone on it is told",
        )
    clearance.revoke_go(release, reason.strip(), by=by, now=timezone.now(), because=item.title)
    tasks.look_on_commit()


def _overridden(item: Item) -> bool:
    decision = clearance.standing_decision(item.release)
    named = Override.objects.filter(decision=decision) if decision else []
    return any(entry["kind"] == "item" and entry["id"] == item.pk for row in named for entry in row.overrides)


def earlier_settled(items: Iterable[Item]) -> bool:
    """What a computed item says: is every required item before the decision phase settled, and is there one?"""
    wanted = [row for row in items if row.phase.stage == Stage.PREPARATION and row.required]
    wanted = [row for row in wanted if row.kind not in (Kind.COMPUTED, Kind.DECISION)]
    return bool(wanted) and all(row.settled for row in wanted)


_EARLY = (Stage.PREPARATION, Stage.DECISION)


def follow(release: Release, early: Sequence[Item] | None = None) -> None:
    """Let the computed items follow the earlier phases: done when every required item there is settled.

    `early` are the items up to the decision as they are now; they are read when the caller has not got them.
    """
    if release.status not in TICKABLE[Stage.DECISION]:
        return
    if early is None:
        early = list(Item.objects.of(release).filter(phase__stage__in=_EARLY))
    wanted = State.DONE if earlier_settled(early) else State.OPEN
    for row in [row for row in early if row.kind == Kind.COMPUTED and row.phase.stage == Stage.DECISION]:
        if row.state != wanted:
            before, row.state, row.state_at, row.state_by = {"state": row.state}, wanted, timezone.now(), None
            row.version += 1
            row.save(update_fields=["state", "state_at", "state_by", "version"])
            events.record(release, "item.followed", by=None, on=row, before=before, after={"state": wanted.value})
