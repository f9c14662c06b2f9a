"""Who holds which role, who stands in, and how somebody new comes in."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from checklists.models import Role
from releases.models.kept import Kept, given, has, put
from releases.models.release import Release

if TYPE_CHECKING:
    from relcoord.models import User


class Assignment(models.Model):
    """A person holds a role in a release. The coordinator's row is kept equal to `Release.coordinator` by `people`."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="assignments")
    role = models.ForeignKey(Role, models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="assignments")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["role__name", "at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "role", "user"], name="holder_once_a_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class DelegationQuerySet(models.QuerySet["Delegation"]):
    def on(self, day: date) -> Self:
        """Absences that cover `day`, both ends included."""
        return self.filter(starts_on__lte=day, ends_on__gte=day)


class Delegation(models.Model):
    """A dated absence and the deputy who may act in it, in every role the person holds. Both days are included."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="absences")
    deputy = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="deputizes")
    starts_on = models.DateField()
    ends_on = models.DateField()
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    objects = DelegationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["starts_on"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="absence_ends_after_it_starts"),
            models.CheckConstraint(condition=~Q(user=F("deputy")), name="nobody_deputizes_for_themselves"),
        ]

    def __str__(self) -> str:
        return f"{self.deputy} for {self.user}, {self.starts_on} to {self.ends_on}"


class CalendarFeed(models.Model):
    """The address of a person's own calendar, one at a time. Of its token only the SHA-256 is here."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="calendar_feed")
    token_hash = models.CharField(max_length=64, unique=True)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Calendar of {self.user_id}"


class Invitation(models.Model):
    """A link that lets a new person in once, until it expires. The link is signed; no token is stored."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="invitations")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Invitation of {self.user}"

    def is_open(self, now: datetime) -> bool:
        return self.used_at is None and now < self.expires_at


def assignments_of(release: Release) -> list[Assignment]:
    """Who holds what in `release`, with person and role, read once a release object."""
    if not has(release, "assignments"):
        put(release, "assignments", _assignments(release.pk))
    return given(release, "assignments")


_assignments = Kept(lambda release: Assignment.objects.filter(release=release).select_related("role", "user"), int)


def holders(release: Release, role: Role | None) -> list[User]:
    """The people who hold `role` in `release`; the coordinator for an item without a role."""
    if role is None:
        return [release.coordinator]
    wanted = role.pk
    return [row.user for row in assignments_of(release) if row.role_id == wanted]
