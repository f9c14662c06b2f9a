"""One line of a phase, live: its state, who settled it, and what shows it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from checklists.blueprints import Kind, Stage
from checklists.models import ItemText, OffsetText
from checklists.tminus import Offset
from releases.models.release import Phase, Release

if TYPE_CHECKING:
    from relcoord.models import User

# Statuses in which items of a stage may change (DOMAIN: "Ticking early").
TICKABLE: dict[str, tuple[str, ...]] = {
    Stage.PREPARATION: ("preparing", "polling", "cleared", "no_go"),
    Stage.DECISION: ("preparing", "polling", "cleared", "no_go"),
    Stage.PRODUCTION: ("deploying",),
    Stage.POST_DEPLOYMENT: ("deployed",),
}


class State(models.TextChoices):
    OPEN = "open", "open"
    DONE = "done", "done"
    BLOCKED = "blocked", "blocked"
    NOT_APPLICABLE = "not_applicable", "not applicable"
    WAIVED = "waived", "waived"


SETTLED = (State.DONE, State.NOT_APPLICABLE, State.WAIVED)


class ItemQuerySet(models.QuerySet["Item"]):
    def of(self, release: Release) -> Self:
        """The items of `release`, in the order of its pages, with what a row shows."""
        found = self.filter(phase__release=release).order_by("phase__position", "position", "pk")
        return found.select_related("phase", "role", "state_by")

    def unsettled(self) -> Self:
        return self.exclude(state__in=SETTLED)

    def gate(self) -> Self:
        """Items that stand before a GO: up to the decision phase, required, a person's to settle."""
        early = (Stage.PREPARATION, Stage.DECISION)
        return self.filter(phase__stage__in=early, required=True).exclude(kind__in=(Kind.COMPUTED, Kind.DECISION))


class ItemRules:
    """What follows from the columns of an item: for the row itself, and for the board, which reads a few of them."""

    __slots__ = ()

    pk: Any
    kind: Any
    required: Any
    due: Any
    state: Any
    phase: Any

    @property
    def release(self) -> Release:
        found: Release = self.phase.release
        return found

    @property
    def settled(self) -> bool:
        return self.state in SETTLED

    @property
    def is_done(self) -> bool:
        return self.state == State.DONE

    @property
    def due_offset(self) -> Offset | None:
        return Offset.parse(self.due) if self.due else None

    @property
    def stands_before_go(self) -> bool:
        """Does this item hold the GO gate (required, up to the decision phase, a person's to settle)?"""
        early = self.phase.stage in (Stage.PREPARATION, Stage.DECISION)
        return early and self.required and self.kind not in (Kind.COMPUTED, Kind.DECISION)

    @property
    def is_locked(self) -> bool:
        """Is the release in a state in which this item cannot change?"""
        return self.release.status not in TICKABLE[self.phase.stage]

    @property
    def anchor(self) -> str:
        return f"item-{self.pk}"

    def get_absolute_url(self) -> str:
        return f"{self.release.get_absolute_url()}#{self.anchor}"


class Item(ItemRules, ItemText):
    """A live item.

    `version` rises with every change; a form says which one it saw. `due` is the item's own offset, set by
    the coordinator as a moment and kept as an offset so that it moves with T-0. `state_for` names the
    person for whom the coordinator acted, with `state_reason` as the reason.
    """

    phase = models.ForeignKey(Phase, models.CASCADE, related_name="items")
    due = OffsetText()
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    state_reason = models.TextField(blank=True, max_length=4000)
    state_at = models.DateTimeField(null=True, blank=True)
    state_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    state_for = models.CharField(max_length=200, blank=True)
    version = models.PositiveIntegerField(default=1)

    objects = ItemQuerySet.as_manager()

    class Meta(ItemText.Meta):
        indexes: ClassVar = [models.Index(fields=["phase", "state"], name="item_by_phase_and_state")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="item_state_is_known"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "done"]) | ~Q(state_reason=""),
                name="blocked_waived_not_applicable_say_why",
            ),
        ]

    def running_watch(self) -> Watch | None:
        return next((watch for watch in self.watches.all() if watch.ended_at is None), None)


class Evidence(models.Model):
    """A link or a note that shows an item is done: who gave it, when, for which commit."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="evidence")
    url = models.URLField(max_length=1000, blank=True)
    label = models.CharField(max_length=300)
    commit = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return self.label or self.url


class Note(models.Model):
    """What somebody wrote, on an item, on a rollback (its log) or on the release. Markdown."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="log")
    item = models.ForeignKey(Item, models.CASCADE, null=True, blank=True, related_name="notes")
    rollback = models.ForeignKey("releases.Rollback", models.CASCADE, null=True, blank=True, related_name="log")
    text = models.TextField(max_length=10_000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return self.text[:60]


class Verdict(models.TextChoices):
    """How a watch ends."""

    HEALTHY = "healthy", "Healthy"
    HOTFIX = "hotfix", "Hotfix"
    ROLLBACK = "rollback", "Rollback"


class Watch(models.Model):
    """One run of a watch item: it cannot end before `watch_min` minutes and asks for its verdict at `watch_max`."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="watches")
    started_at = models.DateTimeField()
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict, blank=True)
    note = models.TextField(blank=True, max_length=4000)

    class Meta:
        ordering: ClassVar = ["started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["item"], condition=Q(ended_at=None), name="one_running_watch_an_item"),
            models.CheckConstraint(
                condition=Q(ended_at=None, verdict="") | (Q(ended_at__isnull=False) & ~Q(verdict="")),
                name="watch_ends_with_a_verdict",
            ),
        ]

    def __str__(self) -> str:
        return f"Watch of {self.item_id} since {self.started_at}"

    @property
    def may_end_at(self) -> datetime:
        return self.started_at + timedelta(minutes=self.item.watch_min)

    @property
    def asks_at(self) -> datetime:
        return self.started_at + timedelta(minutes=self.item.watch_max or self.item.watch_min)


def name_of(user: User | None) -> str:
    return user.name if user else ""
