"""Build the record of a release: a fixed number of queries, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Prefetch
from django.utils import timezone

from releases.models import (
    ActionItem,
    Assignment,
    Ballot,
    Decision,
    Event,
    Evidence,
    Hold,
    Item,
    Note,
    Override,
    Phase,
    PhaseMoments,
    Poll,
    Release,
    Rollback,
    RollbackStep,
    Seat,
    Watch,
)
from releases.record import holdings, values
from releases.record.plan import plan_of
from releases.record.values import Person, Record

if TYPE_CHECKING:
    from relcoord.models import User


def build(release: Release) -> Record:
    """Return the record of `release` as it stands now."""
    release = _load(release.pk)
    events = [_event(release, row) for row in release.events.order_by("sequence")]
    return _Builder(release, events).record()


def _load(pk: int) -> Release:
    """The release with everything the record speaks of."""
    items = (
        Item.objects.order_by("position", "pk")
        .select_related("role", "state_by")
        .prefetch_related(
            Prefetch("evidence", Evidence.objects.select_related("by")),
            Prefetch("watches", Watch.objects.select_related("started_by", "ended_by")),
        )
    )
    ballots = Ballot.objects.select_related("seat__role", "voter", "deputy", "spoken_by")
    steps = RollbackStep.objects.order_by("position").select_related("state_by")
    people = ("triggered_by", "in_charge", "review_owner")
    parts = (
        Prefetch("phases", Phase.objects.order_by("position").prefetch_related(Prefetch("items", items))),
        Prefetch("assignments", Assignment.objects.select_related("role", "user", "by")),
        Prefetch("seats", Seat.objects.order_by("position").select_related("role")),
        Prefetch("polls", Poll.objects.select_related("opened_by").prefetch_related(Prefetch("ballots", ballots))),
        Prefetch("decisions", Decision.objects.select_related("by", "poll")),
        Prefetch("overrides", Override.objects.select_related("by")),
        Prefetch("action_items", ActionItem.objects.select_related("owner", "state_by")),
        Prefetch("holds", Hold.objects.select_related("by", "ended_by")),
        Prefetch("rollbacks", Rollback.objects.select_related(*people).prefetch_related(Prefetch("steps", steps))),
        Prefetch("log", Note.objects.select_related("by", "item", "rollback")),
    )
    rows = Release.objects.select_related("product", "coordinator", "created_by", "template_version__template")
    return rows.prefetch_related(*parts).get(pk=pk)


def _event(release: Release, row: Event) -> values.EventRecord:
    names = [name for name in values.EventRecord.__dataclass_fields__ if name != "release"]
    return values.EventRecord(release=release.key, **{name: getattr(row, name) for name in names})


class _Builder:
    def __init__(self, release: Release, events: list[values.EventRecord]) -> None:
        self.release = release
        self.events = events
        self.names = {event.actor_id: event.actor for event in events}

    def record(self) -> Record:
        release = self.release
        return Record(
            made_at=timezone.now().astimezone(UTC),
            release=self._release(),
            people=holdings.over_time(release, self.events, self._named),
            phases=tuple(self._phase(moments) for moments in release.plan),
            polls=tuple(self._poll(row) for row in release.polls.all()),
            decisions=tuple(self._decision(row) for row in release.decisions.all()),
            overrides=tuple(self._override(row) for row in release.overrides.all()),
            action_items=tuple(self._action(row) for row in release.action_items.all()),
            holds=tuple(self._hold(row) for row in release.holds.all()),
            rollbacks=tuple(self._rollback(row) for row in release.rollbacks.all()),
            notes=tuple(self._note(row) for row in release.log.all()),
            events=tuple(self.events),
            counted=release.event_sequence,
            head=release.event_head,
            plan=plan_of(release),
        )

    def _named(self, user: User) -> Person:
        """The person under the name history knows: what was said in a name stays under it."""
        return Person(user.pk, self.names.get(user.pk, user.name))

    def _maybe(self, user: User | None) -> Person | None:
        return self._named(user) if user else None

    def _release(self) -> values.ReleaseRecord:
        release = self.release
        version = release.template_version
        same = (
            *("key", "title", "notes", "status", "created_at", "time_zone", "t_zero", "t_zero_wall", "window_end"),
            *("schedule_version", "started_at", "deployed_at", "ended_at"),
        )
        return values.ReleaseRecord(
            product=release.product.name,
            checklist=version.template.name,
            checklist_version=version.number,
            coordinator=self._named(release.coordinator),
            created_by=self._named(release.created_by),
            **_fields(release, same),
        )

    def _phase(self, moments: PhaseMoments) -> values.PhaseRecord:
        phase = moments.phase
        return values.PhaseRecord(
            opens_at=moments.opens_at,
            due_at=moments.due_at,
            items=tuple(self._item(item, moments) for item in phase.items.all()),
            **_fields(phase, ("name", "stage", "opens", "due")),
        )

    def _item(self, item: Item, moments: PhaseMoments) -> values.ItemRecord:
        return values.ItemRecord(
            role=item.role.name if item.role else "",
            reason=item.state_reason,
            by=self._maybe(item.state_by),
            acted_for=item.state_for,
            at=item.state_at,
            due_at=moments.due_of(item),
            evidence=tuple(
                values.EvidenceRecord(by=self._named(row.by), **_fields(row, ("label", "url", "commit", "at")))
                for row in item.evidence.all()
            ),
            watches=tuple(self._watch(row) for row in item.watches.all()),
            **_fields(item, ("id", "title", "guidance", "group", "kind", "required", "condition", "state")),
        )

    def _watch(self, row: Watch) -> values.WatchRecord:
        return values.WatchRecord(
            started_by=self._named(row.started_by),
            ended_by=self._maybe(row.ended_by),
            **_fields(row, ("started_at", "ended_at", "verdict", "note")),
        )

    def _poll(self, row: Poll) -> values.PollRecord:
        return values.PollRecord(
            opened_by=self._named(row.opened_by),
            ballots=tuple(self._ballot(ballot) for ballot in row.ballots.all()),
            **_fields(row, ("id", "round", "state", "schedule_version", "opened_at", "closed_at", "void_reason")),
        )

    def _ballot(self, row: Ballot) -> values.BallotRecord:
        return values.BallotRecord(
            seat=row.seat.role.slug,
            seat_name=row.seat.role.name,
            voter=self._named(row.voter),
            deputy=self._maybe(row.deputy),
            spoken_by=self._maybe(row.spoken_by),
            at=row.cast_at,
            **_fields(row, ("id", "choice", "statement", "standing")),
        )

    def _decision(self, row: Decision) -> values.DecisionRecord:
        return values.DecisionRecord(
            round=row.poll.round,
            by=self._named(row.by),
            **_fields(row, ("id", "call", "rationale", "at", "standing", "ended_at", "ended_reason", "gate", "tally")),
        )

    def _override(self, row: Override) -> values.OverrideRecord:
        return values.OverrideRecord(
            by=self._named(row.by), **_fields(row, ("id", "verb", "overrides", "reason", "at"))
        )

    def _action(self, row: ActionItem) -> values.ActionRecord:
        return values.ActionRecord(
            owner=self._named(row.owner),
            state_by=self._maybe(row.state_by),
            **_fields(row, ("id", "source", "blocks", "title", "due_at", "state", "state_at", "state_reason")),
        )

    def _hold(self, row: Hold) -> values.HoldRecord:
        return values.HoldRecord(
            by=self._named(row.by),
            ended_by=self._maybe(row.ended_by),
            **_fields(row, ("reason", "started_at", "ended_at")),
        )

    def _rollback(self, row: Rollback) -> values.RollbackRecord:
        row.release = self.release
        same = (
            *("id", "number", "came_from", "seen", "noticed_at", "triggered_at", "severity", "path", "decided_at"),
            *("restored_at", "ended_at", "review_on", "minutes_to_detect", "minutes_to_decide", "minutes_to_restore"),
        )
        return values.RollbackRecord(
            triggered_by=self._named(row.triggered_by),
            in_charge=self._named(row.in_charge),
            review_owner=self._maybe(row.review_owner),
            steps=tuple(
                values.StepRecord(
                    at=step.state_at,
                    by=self._maybe(step.state_by),
                    **_fields(step, ("position", "title", "state", "note")),
                )
                for step in row.steps.all()
            ),
            **_fields(row, same),
        )

    def _note(self, row: Note) -> values.NoteRecord:
        about = row.item or row.rollback
        return values.NoteRecord(text=row.text, by=self._named(row.by), at=row.at, about=str(about) if about else "")


def _fields(row: models.Model, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
