"""The ledger: every mail owed, to whom, why, and what became of it (RELIABILITY: "Reminders")."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property

from releases.models.kept import Kept
from releases.models.release import Release

if TYPE_CHECKING:
    from relcoord.models import User

STILL_NEWS = timedelta(days=7)  # how long the mail about an event is worth sending after an outage


class ReminderQuerySet(models.QuerySet["Reminder"]):
    def owe(
        self,
        kind: str,
        to: Iterable[User],
        *,
        now: datetime,
        release: Release | None,
        about: str = "",
        due_in: timedelta = timedelta(0),
        **data: Any,
    ) -> list[Reminder]:
        """Write one row a person for the mail about an event, in the transaction of the verb that owes it.

        `about` names the subject; by default the release's newest event, so that each event is its own mail.
        People are taken once each; inactive ones not at all. `data` is what the mail says beside what it looks up.
        """
        about = about or (f"event:{release.event_sequence}" if release else "")
        people = {person.pk: person for person in to if person.is_active}
        rows = [
            Reminder(
                kind=kind,
                release=release,
                recipient=person,
                about=about,
                schedule_version=release.schedule_version if release else 0,
                data=data,
                due_at=now + due_in,
                not_after=now + due_in + STILL_NEWS,
                created_at=now,
            )
            for person in people.values()
        ]
        return list(Reminder.objects.bulk_create(rows))

    def planned(self) -> ReminderQuerySet:
        return self.filter(state=Reminder.State.PLANNED)


class Reminder(models.Model):
    """One mail owed. `about` names its subject ("decision:12", "invitation:4"), "" for the release itself.

    For `kind` MARK and ALARM, `mark` is the offset ("T-3d", "T-1h") and `rank` rises with later marks; for ESCALATION
    `mark` is the stage, and `data` holds the items.
    `message_id` is derived from the row, so that a repeat after a crash carries the same one.
    """

    class Kind(models.TextChoices):
        MARK = "mark", "T-reminder"
        ALARM = "alarm", "alarm"
        ESCALATION = "escalation", "escalation"
        ASSIGNED = "assigned", "assigned"
        ASKED = "asked", "asked to vote"
        SPOKEN = "spoken", "ballot recorded for you"
        DECISION = "decision", "decision"
        RESCHEDULED = "rescheduled", "rescheduled"
        REVOKED = "revoked", "GO revoked"
        WITHDRAWN = "withdrawn", "GO or poll withdrawn"
        HELD = "held", "hold"
        RESUMED = "resumed", "resume"
        CANCELLED = "cancelled", "cancelled"
        TAKEN_OVER = "taken_over", "taken over"
        ROLLBACK_STARTED = "rollback_started", "rollback started"
        ROLLBACK_ENDED = "rollback_ended", "rollback ended"
        CLOSED = "closed", "closed"
        INVITATION = "invitation", "invitation"

    class State(models.TextChoices):
        PLANNED = "planned", "planned"
        SENDING = "sending", "sending"
        SENT = "sent", "sent"
        SUPPRESSED = "suppressed", "suppressed"
        SUPERSEDED = "superseded", "superseded"
        MISSED = "missed", "missed"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    kind = models.CharField(max_length=20, choices=Kind)
    release = models.ForeignKey(Release, models.CASCADE, null=True, blank=True, related_name="reminders")
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reminders")
    about = models.CharField(max_length=80, blank=True, default="")
    mark = models.CharField(max_length=40, blank=True, default="")
    rank = models.SmallIntegerField(default=0)
    schedule_version = models.PositiveIntegerField(default=0)
    data: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    due_at = models.DateTimeField()
    not_after = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    reason = models.CharField(max_length=300, blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True, default="")
    message_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    subject = models.CharField(max_length=300, blank=True, default="")
    smtp_reply = models.CharField(max_length=500, blank=True, default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    resend_of = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="resends")

    objects = ReminderQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["due_at", "pk"]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(state="planned"), name="reminder_due"),
            models.Index(fields=["lease_until"], condition=Q(state="sending"), name="reminder_leased"),
            models.Index(fields=["release", "due_at"], name="reminder_of_release"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "release", "about", "recipient", "mark", "schedule_version"],
                condition=~Q(state__in=["superseded", "cancelled"]) & Q(resend_of=None),
                name="reminder_owed_once",
            ),
            models.CheckConstraint(condition=Q(due_at__lt=F("not_after")), name="reminder_due_before_too_late"),
            models.CheckConstraint(
                condition=Q(state="sending", lease_until__isnull=False) & ~Q(lease_token="")
                | ~Q(state="sending") & Q(lease_until=None, lease_token=""),
                name="reminder_leased_exactly_while_sending",
            ),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False) | ~Q(state="sent") & Q(sent_at=None),
                name="reminder_sent_at_exactly_when_sent",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["suppressed", "superseded", "missed", "cancelled", "failed"]) | ~Q(reason=""),
                name="reminder_not_sent_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.mark} to {self.recipient_id}".replace("  ", " ")

    @cached_property
    def other_marks(self) -> list[Reminder]:
        """The other marks to this person for this release that went out or are on their way; read once a row object."""
        return [other for other in _marks_under_way(self.release_id, self.recipient_id) if other.pk != self.pk]


def _marks_of(release: int, recipient: int) -> models.QuerySet[Reminder]:
    found = Reminder.objects.filter(kind=Reminder.Kind.MARK, release=release, recipient=recipient)
    return found.filter(state__in=(Reminder.State.SENT, Reminder.State.SENDING))


_marks_under_way = Kept(_marks_of, int, int)


class PlanningQuerySet(models.QuerySet["Planning"]):
    def forget(self) -> int:
        """Have the ledger look again at these releases: something changed that is no event of theirs."""
        return self.update(event_sequence=0)


class Planning(models.Model):
    """How far the ledger has planned a release: nothing new is owed until its next event, or `holds_until`."""

    release = models.OneToOneField(Release, models.CASCADE, primary_key=True, related_name="planning")
    event_sequence = models.PositiveIntegerField()
    holds_until = models.DateTimeField()

    objects = PlanningQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.release_id} as of event {self.event_sequence}, until {self.holds_until}"


# The mails one may do without. Whoever does is not mailed, and the coordinator sees it; votes, decisions, alarms,
# escalations and rollback reach everybody.
OPTIONAL = (
    Reminder.Kind.MARK,
    Reminder.Kind.RESCHEDULED,
    Reminder.Kind.HELD,
    Reminder.Kind.RESUMED,
    Reminder.Kind.REVOKED,
    Reminder.Kind.WITHDRAWN,
    Reminder.Kind.CANCELLED,
    Reminder.Kind.CLOSED,
)


class OptOut(models.Model):
    """A person wants no mails of a kind."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="opt_outs")
    kind = models.CharField(max_length=20, choices=Reminder.Kind)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "kind"], name="opted_out_once_a_kind"),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in OPTIONAL]), name="opted_out_of_what_one_may_do_without"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} without {self.get_kind_display()}"
