"""A release: its state, its clock and its plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, Value
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from checklists.blueprints import Stage
from checklists.models import PhaseText, TemplateVersion
from checklists.tminus import Anchor, Offset, due_at
from releases.models.kept import Kept

if TYPE_CHECKING:
    from relcoord.models import User
    from releases.models.item import ItemRules


class Status(models.TextChoices):
    """The states of a release (DOMAIN: "States of a release")."""

    PREPARING = "preparing", "Preparing"
    POLLING = "polling", "Go/No-Go poll open"
    CLEARED = "cleared", "GO"
    NO_GO = "no_go", "NO-GO"
    DEPLOYING = "deploying", "Deploying"
    DEPLOYED = "deployed", "Deployed"
    ROLLING_BACK = "rolling_back", "Rolling back"
    ROLLED_BACK = "rolled_back", "Rolled back"
    CLOSED = "closed", "Closed"
    CANCELLED = "cancelled", "Cancelled"


BEFORE_START = (Status.PREPARING, Status.POLLING, Status.CLEARED, Status.NO_GO)
HOLDABLE = (Status.PREPARING, Status.POLLING, Status.CLEARED)
FINAL = (Status.CLOSED, Status.ROLLED_BACK, Status.CANCELLED)

# What may follow what. `workflow.move` refuses anything else; a test holds it equal to the drawing in DOMAIN.
MOVES: dict[str, frozenset[str]] = {
    Status.PREPARING: frozenset({Status.POLLING, Status.CANCELLED}),
    Status.POLLING: frozenset({Status.CLEARED, Status.NO_GO, Status.PREPARING, Status.CANCELLED}),
    Status.CLEARED: frozenset({Status.DEPLOYING, Status.PREPARING, Status.NO_GO, Status.CANCELLED}),
    Status.NO_GO: frozenset({Status.PREPARING, Status.CANCELLED}),
    Status.DEPLOYING: frozenset({Status.DEPLOYED, Status.ROLLING_BACK}),
    Status.DEPLOYED: frozenset({Status.CLOSED, Status.ROLLING_BACK}),
    Status.CLOSED: frozenset({Status.ROLLING_BACK}),
    Status.ROLLING_BACK: frozenset({Status.ROLLED_BACK, Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED}),
    Status.ROLLED_BACK: frozenset(),
    Status.CANCELLED: frozenset(),
}

COORDINATOR = "release-coordinator"  # role slugs that rules name
PROJECT_MANAGER = "project-manager"
ON_CALL = "on-call-engineer"


class Product(models.Model):
    """What is being released; gives a new release the people of its last one."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Revision(NamedTuple):
    """Which release, and how far its history is: what a poll compares."""

    pk: int
    event_sequence: int


class ReleaseQuerySet(models.QuerySet["Release"]):
    def lock(self, release: Release | int) -> Release:
        """Return the fresh row (of that id), locked until the transaction ends. The first thing every verb does.

        On SQLite every write transaction begins IMMEDIATE, so reading is enough there.
        """
        pk = release if isinstance(release, int) else release.pk
        if connection.features.has_select_for_update and not connection.in_atomic_block:
            raise transaction.TransactionManagementError("a lock lasts as long as a transaction, and there is none")
        found = _locked(pk)
        if not found:
            raise Release.DoesNotExist(pk)
        return found[0]

    def of_pk_locked(self, pk: int) -> Self:
        return self.select_for_update(of=("self",)).select_related("coordinator").filter(pk=pk)

    def visible_to(self, user: User) -> Self:
        """Releases `user` may open: all but the restricted ones they have no part in."""
        return self if user.is_staff else self._with_part(user.pk, timezone.localdate())

    def _with_part(self, user: int, day: date) -> Self:
        from releases.models.people import Assignment, Delegation

        absent = Delegation.objects.filter(deputy=user).on(day).values("user")
        held = Assignment.objects.filter(Q(user=user) | Q(user__in=absent), release=OuterRef("pk"))
        named = Release.viewers.through.objects.filter(release=OuterRef("pk"), user=user)
        return self.filter(Q(restricted=False) | Exists(held) | Exists(named))

    def revision(self, key: str, user: User) -> Revision | None:
        """How far the release `key` is, in as little as can be read; None for those it is not `visible_to`.

        Most are open to all: who has a part in it is asked for a restricted one alone.
        """
        row = self.filter(key=key).values_list("pk", "event_sequence", "restricted").order_by().first()
        if row is None or (row[2] and not self.visible_to(user).filter(pk=row[0]).exists()):
            return None
        return Revision(row[0], row[1])

    def shown(self, key: str, user: User) -> Release | None:
        """The release of that key as a page reads it, with coordinator and hold; None where `user` may not open it."""
        found = _any(key) if user.is_staff else _with_part(key, user.pk, timezone.localdate())
        return found[0] if found else None

    def of_key(self, key: str) -> Self:
        return self.filter(key=key).select_related("coordinator").with_hold()

    def with_hold(self) -> Self:
        """Bring the open hold, at most one a release, in the same query: for reading, not for what is decided on.

        Not under a lock: where that had to wait, a joined row is as old as the statement.
        """
        open_one = FilteredRelation("holds", condition=Q(holds__ended_at=None))
        return self.annotate(standing_hold=open_one, hold_was_read=Value(True)).select_related("standing_hold__by")

    def in_flight(self) -> Self:
        """Not in a final state: the only releases that get reminders."""
        return self.exclude(status__in=FINAL)


class Release(models.Model):
    """One version going to production.

    `t_zero` and `window_end` are instants in UTC; `time_zone` (IANA) is whose wall clock the day offsets
    follow, and `t_zero_wall` the wall time that was asked for. `schedule_version` rises with every
    reschedule. `event_sequence` and `event_head` are the end of the hash chain; the sequence is also the
    revision that open pages poll.
    """

    key = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
                "A key is written in letters, digits, dots and hyphens, such as PAY-4.2.",
            )
        ],
    )
    title = models.CharField(max_length=120)
    product = models.ForeignKey(Product, models.PROTECT, related_name="releases")
    notes = models.TextField(blank=True, max_length=20_000)
    template_version = models.ForeignKey(TemplateVersion, models.PROTECT, related_name="releases")
    coordinator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="coordinated")
    restricted = models.BooleanField(default=False)
    viewers = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="+")

    t_zero = models.DateTimeField("T-0")
    time_zone = models.CharField(max_length=64)
    t_zero_wall = models.CharField(max_length=20)
    window_end = models.DateTimeField()
    schedule_version = models.PositiveIntegerField(default=1)

    status = models.CharField(max_length=16, choices=Status, default=Status.PREPARING)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    started_at = models.DateTimeField("deployment started", null=True, blank=True)
    deployed_at = models.DateTimeField("deployment finished", null=True, blank=True)
    ended_at = models.DateTimeField("closed, rolled back or cancelled", null=True, blank=True)
    demo = models.BooleanField(default=False)

    event_sequence = models.PositiveIntegerField(default=0)
    event_head = models.CharField(max_length=64, default="", blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["t_zero", "key"]
        indexes: ClassVar = [models.Index(fields=["status", "t_zero"], name="release_by_status_and_time")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(window_end__gt=F("t_zero")), name="window_ends_after_t_zero"),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="release_status_is_known"),
            models.CheckConstraint(
                condition=~Q(status__in=["deploying", "deployed", "rolling_back", "rolled_back", "closed"])
                | Q(started_at__isnull=False),
                name="in_production_only_when_started",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["deployed", "closed"]) | Q(deployed_at__isnull=False),
                name="deployed_only_when_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.title}"

    def get_absolute_url(self) -> str:
        return _url(self.key)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def state(self) -> Status:
        return Status(self.status)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def knows_its_hold(self) -> bool:
        """Was it read `with_hold`?"""
        return "hold_was_read" in self.__dict__

    def know_hold_of(self, other: Release) -> None:
        """Take over the hold that `other`, the same release read `with_hold`, has."""
        if other.knows_its_hold:
            self.__dict__ |= {"hold_was_read": True, "standing_hold": other.open_hold}

    @cached_property
    def open_hold(self) -> Hold | None:
        """The hold that stops the clock now, if any."""
        if self.knows_its_hold:
            known: Hold | None = self.__dict__.get("standing_hold")  # the join leaves it out when there is none
            return known
        return next((hold for hold in self.holds.all() if hold.ended_at is None), None)

    @property
    def clock_stopped(self) -> bool:
        """Is the T-clock stopped, by a hold or by a NO-GO? Then no marks, nothing late, nothing missed."""
        return self.status == Status.NO_GO or self.open_hold is not None

    def t_clock(self, now: datetime) -> timedelta | None:
        """Signed time since T-0 on the plan's clock (negative before it), or None while that clock is stopped."""
        return None if self.clock_stopped else now - self.t_zero

    def l_clock(self, now: datetime) -> timedelta:
        """Signed time since T-0 on the wall clock, which nothing stops."""
        return now - self.t_zero

    def moment(self, offset: Offset) -> datetime | None:
        """The instant `offset` names for this release, in UTC; None while its anchor has not happened."""
        anchor = self.t_zero if offset.anchor is Anchor.T_ZERO else self.deployed_at
        return due_at(offset, anchor, self.zone) if anchor else None

    @cached_property
    def plan(self) -> tuple[PhaseMoments, ...]:
        """The phases in order with the moments they open and are due, computed from T-0 (house rule 9)."""
        phases = sorted(self.phases.all(), key=lambda phase: phase.position)
        return tuple(self._moments(phase, phases[index + 1 :]) for index, phase in enumerate(phases))

    def _moments(self, phase: Phase, later: list[Phase]) -> PhaseMoments:
        opens = self.moment(phase.opens_offset) if phase.opens_offset else self._stage_opens(phase)
        if phase.due_offset:
            return PhaseMoments(phase, opens, self.moment(phase.due_offset))
        if phase.stage == Stage.PRODUCTION:
            return PhaseMoments(phase, opens, self.window_end)
        following = next((p.opens_offset for p in later if p.opens_offset), None)
        return PhaseMoments(phase, opens, self.moment(following) if following else None)

    def _stage_opens(self, phase: Phase) -> datetime | None:
        if phase.stage == Stage.PRODUCTION:
            return self.t_zero
        return self.deployed_at if phase.stage == Stage.POST_DEPLOYMENT else self.created_at

    def forget(self) -> Self:
        """Drop what was computed from rows, after a verb changed them; returns self."""
        for name in ("plan", "open_hold", "standing_hold", "hold_was_read", "_notes", "_evidence", "_first_names"):
            self.__dict__.pop(name, None)
        self.__dict__.pop("_prefetched_objects_cache", None)
        return self


_locked = Kept(Release.objects.of_pk_locked, int)
_any = Kept(Release.objects.of_key, str)
_with_part = Kept(lambda key, user, day: Release.objects.of_key(key)._with_part(user, day), str, int, date)


@lru_cache(maxsize=2048)
def _url(key: str) -> str:
    """Kept: a dashboard asks hundreds of times, and the addresses of a process do not change."""
    return reverse("releases:release", args=[key])


@dataclass(frozen=True)
class PhaseMoments:
    """When a phase opens and is due, in UTC. None: its anchor has not happened, or nothing follows it."""

    phase: Phase
    opens_at: datetime | None
    due_at: datetime | None

    def has_opened(self, now: datetime) -> bool:
        return self.opens_at is not None and self.opens_at <= now

    def due_of(self, item: ItemRules) -> datetime | None:
        """When `item` is due: its own moment when the coordinator set one, else the phase's."""
        own = item.due_offset
        return self.phase.release.moment(own) if own else self.due_at

    def is_late(self, item: ItemRules, now: datetime) -> bool:
        """Is `item` open past its due moment? Never while the T-clock is stopped, or when it cannot be ticked."""
        due = self.due_of(item)
        if due is None or due >= now or item.settled or item.is_locked:
            return False
        return not self.phase.release.clock_stopped


class Phase(PhaseText):
    """A live phase, copied at birth. A contingency is not among them: `rollback` copies it from the version."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="phases")

    class Meta(PhaseText.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["release", "position"], name="live_phase_place_once")]

    @property
    def anchor(self) -> str:
        """The id of its section on the release page."""
        return f"phase-{self.position}"


class Hold(models.Model):
    """A stop of the T-clock, with its reason. Open while `ended_at` is empty; at most one open a release."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="holds")
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release"], condition=Q(ended_at=None), name="one_open_hold_a_release"),
        ]

    def __str__(self) -> str:
        return f"Hold on {self.release_id}: {self.reason}"


class Submission(models.Model):
    """A form that was taken once. Its key travels in the form, so a double click or a retry has one effect."""

    key = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    path = models.CharField(max_length=300)
    answer = models.CharField(max_length=400, blank=True)  # where the first one was sent to
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


class Heartbeat(models.Model):
    """When a driver last ticked; every page shows its age and turns amber at 120 s."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()
    data: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
