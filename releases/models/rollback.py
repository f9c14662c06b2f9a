"""The ordered contingency, copied from the template's version each time it is triggered."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from checklists.models import ItemText
from releases.models.release import Release, Status


class Path(models.TextChoices):
    """What step 2 decides."""

    ROLLBACK = "rollback", "Roll back"
    HOTFIX = "hotfix", "Hotfix forward"


class Severity(models.TextChoices):
    CRITICAL = "critical", "Critical: users cannot work"
    MAJOR = "major", "Major: an important part fails"
    MINOR = "minor", "Minor: can be worked around"


class Part(models.TextChoices):
    """What a step of the contingency is for; rules hang on the part, not on the title."""

    TRIGGER = "trigger", "Tell on-call and Project Manager"
    ASSESS = "assess", "Assess severity"
    EXECUTE = "execute", "Execute"
    VERIFY = "verify", "Verify"
    COMMUNICATE = "communicate", "Communicate"
    REVIEW = "review", "Schedule the review"
    OTHER = "other", "Other"


class Rollback(models.Model):
    """Rollback `number` of a release. Times to detect, decide and restore are measured from these columns."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="rollbacks")
    number = models.PositiveSmallIntegerField()
    came_from = models.CharField(max_length=16, choices=Status)
    seen = models.TextField("what was seen", max_length=4000)
    noticed_at = models.DateTimeField()
    triggered_at = models.DateTimeField()
    triggered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    in_charge = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    severity = models.CharField(max_length=10, choices=Severity, blank=True)
    path = models.CharField(max_length=10, choices=Path, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    restored_at = models.DateTimeField(null=True, blank=True)
    next_update_at = models.DateTimeField(null=True, blank=True)
    review_on = models.DateField(null=True, blank=True)
    review_owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "number"], name="rollback_number_once"),
            models.UniqueConstraint(fields=["release"], condition=Q(ended_at=None), name="one_running_rollback"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(review_on__isnull=False, review_owner__isnull=False),
                name="rollback_ends_with_a_review",
            ),
            models.CheckConstraint(condition=Q(triggered_at__gte=F("noticed_at")), name="noticed_before_triggered"),
        ]

    def __str__(self) -> str:
        return f"Rollback {self.number}"

    @property
    def current_step(self) -> RollbackStep | None:
        """The first step that is not settled: the only one that may be completed."""
        return next((step for step in self.steps.all() if not step.settled), None)

    def minutes(self, start: datetime | None, end: datetime | None) -> int | None:
        """Whole minutes between two of its moments, None while one is missing."""
        return int((end - start).total_seconds() // 60) if start and end else None

    @property
    def minutes_to_detect(self) -> int | None:
        """From the start of the deployment to the moment it was noticed."""
        return self.minutes(self.release.started_at, self.noticed_at)

    @property
    def minutes_to_decide(self) -> int | None:
        """From noticing to the recorded severity and path."""
        return self.minutes(self.noticed_at, self.decided_at)

    @property
    def minutes_to_restore(self) -> int | None:
        """From noticing to the verified stable state."""
        return self.minutes(self.noticed_at, self.restored_at)


class RollbackStep(ItemText):
    class State(models.TextChoices):
        OPEN = "open", "open"
        DONE = "done", "done"
        NOT_NEEDED = "not_needed", "not needed"

    rollback = models.ForeignKey(Rollback, models.CASCADE, related_name="steps")
    part = models.CharField(max_length=12, choices=Part, default=Part.OTHER)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    state_at = models.DateTimeField(null=True, blank=True)
    state_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    note = models.TextField(blank=True, max_length=4000)

    class Meta(ItemText.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["rollback", "position"], name="step_place_once")]

    @property
    def settled(self) -> bool:
        return self.state != self.State.OPEN
