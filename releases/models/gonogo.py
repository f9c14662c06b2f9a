"""The poll, its seats and ballots, and the decision that is not its tally."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from checklists.models import Role
from releases.models.release import Release


class Seat(models.Model):
    """A role's place in the polls of a release, copied at birth. An optional seat never blocks."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="seats")
    role = models.ForeignKey(Role, models.PROTECT, related_name="+")
    required = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["release", "role"], name="live_seat_once")]

    def __str__(self) -> str:
        return str(self.role)


def seats_of(release: Release) -> list[Seat]:
    """The seats of `release` with their roles, read once a release object."""
    models.prefetch_related_objects([release], models.Prefetch("seats", Seat.objects.select_related("role")))
    return list(release.seats.all())


class Poll(models.Model):
    """One round of votes. `void` when withdrawn or when the schedule moved under it."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        DECIDED = "decided", "decided"
        VOID = "void", "void"

    release = models.ForeignKey(Release, models.CASCADE, related_name="polls")
    round = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    schedule_version = models.PositiveIntegerField()
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["round"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "round"], name="poll_round_once"),
            models.UniqueConstraint(fields=["release"], condition=Q(state="open"), name="one_open_poll_a_release"),
        ]

    def __str__(self) -> str:
        return f"{self.release_id} poll, round {self.round}"


class Choice(models.TextChoices):
    GO = "go", "GO"
    NO_GO = "no_go", "NO-GO"
    ABSTAIN = "abstain", "ABSTAIN"


class Ballot(models.Model):
    """A seat's answer. The newest of a seat stands; earlier ones stay as history.

    `seen` is what the voter was shown (gate items, waivers, holders, T-0), `seen_hash` its SHA-256.
    `spoken_by` is the coordinator who recorded a ballot spoken in the meeting for `voter`.
    """

    poll = models.ForeignKey(Poll, models.CASCADE, related_name="ballots")
    seat = models.ForeignKey(Seat, models.CASCADE, related_name="ballots")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    deputy = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    choice = models.CharField(max_length=8, choices=Choice)
    statement = models.TextField(blank=True, max_length=2000)
    cast_at = models.DateTimeField()
    spoken_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    schedule_version = models.PositiveIntegerField()
    seen: models.JSONField[Any, Any] = models.JSONField()
    seen_hash = models.CharField(max_length=64)
    standing = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["cast_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["poll", "seat"], condition=Q(standing=True), name="one_standing_ballot"),
            models.CheckConstraint(condition=Q(choice__in=Choice.values), name="ballot_choice_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.voter}: {self.get_choice_display()}"

    @property
    def spoken(self) -> bool:
        return self.spoken_by_id is not None


class Call(models.TextChoices):
    """What the coordinator decides."""

    GO = "go", "GO"
    CONDITIONAL_GO = "conditional_go", "CONDITIONAL GO"
    NO_GO = "no_go", "NO-GO"


class Decision(models.Model):
    """The coordinator's call on a poll. Never edited; a GO may be revoked, withdrawn or voided by a reschedule.

    `gate` is what the gate said at that moment, `tally` the ballots as they stood: both as plain data
    for the record.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="decisions")
    poll = models.OneToOneField(Poll, models.PROTECT, related_name="decision")
    call = models.CharField(max_length=16, choices=Call)
    rationale = models.TextField(max_length=10_000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    schedule_version = models.PositiveIntegerField()
    standing = models.BooleanField(default=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_reason = models.TextField(blank=True)
    gate: models.JSONField[Any, Any] = models.JSONField(default=dict)
    tally: models.JSONField[Any, Any] = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["release", "schedule_version"],
                condition=Q(standing=True),
                name="one_standing_decision_a_schedule",
            ),
            models.CheckConstraint(condition=~Q(rationale=""), name="decision_has_its_rationale"),
        ]

    def __str__(self) -> str:
        return f"{self.get_call_display()} by {self.by}"

    @property
    def is_go(self) -> bool:
        return self.call != Call.NO_GO


class Override(models.Model):
    """A decision or start against a gate, a NO-GO ballot or an empty required seat: its own fact, with its reason.

    `overrides` lists what it goes against, as `[{"kind": "item", "id": 17, "words": "QA sign-off obtained"}]`;
    kinds: item, seat, ballot, action_item, early, late.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="overrides")
    decision = models.ForeignKey(Decision, models.CASCADE, null=True, blank=True, related_name="overrides")
    verb = models.CharField(max_length=30)
    overrides: models.JSONField[Any, Any] = models.JSONField()
    reason = models.TextField(max_length=4000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["at", "pk"]
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(reason=""), name="override_has_its_reason")]

    def __str__(self) -> str:
        return f"Override of {self.verb}: {self.reason}"


class ActionItem(models.Model):
    """An owned follow-up with a due date: from a NO-GO, from a condition of a GO, or from a review."""

    class Source(models.TextChoices):
        NO_GO = "no_go", "NO-GO"
        CONDITION = "condition", "condition of the GO"
        REVIEW = "review", "review"

    class Blocks(models.TextChoices):
        POLL = "poll", "the next poll"
        START = "start", "the start of the deployment"
        FINISH = "finish", "the end of the deployment"
        CLOSE = "close", "closing the release"
        NOTHING = "nothing", "nothing"

    class State(models.TextChoices):
        OPEN = "open", "open"
        DONE = "done", "done"
        WAIVED = "waived", "waived"

    release = models.ForeignKey(Release, models.CASCADE, related_name="action_items")
    source = models.CharField(max_length=10, choices=Source)
    blocks = models.CharField(max_length=10, choices=Blocks)
    title = models.CharField(max_length=300)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="action_items")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    decision = models.ForeignKey(Decision, models.CASCADE, null=True, blank=True, related_name="action_items")
    rollback = models.ForeignKey(
        "releases.Rollback", models.CASCADE, null=True, blank=True, related_name="action_items"
    )
    state_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    state_at = models.DateTimeField(null=True, blank=True)
    state_reason = models.TextField(blank=True, max_length=4000)

    class Meta:
        ordering: ClassVar = ["due_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(blocks__in=["poll", "start", "finish", "close", "nothing"]),
                name="action_item_blocks_something_known",
            ),
        ]

    def __str__(self) -> str:
        return self.title
