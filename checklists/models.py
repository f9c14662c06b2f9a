"""What we mean to do each time: roles, templates and their immutable versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage
from checklists.tminus import Offset


def choices_of(enum: type[Kind] | type[Stage]) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ")) for member in enum]


def validate_offset(text: str) -> None:
    """Refuse what `Offset.parse` cannot read, with its sentence."""
    try:
        Offset.parse(text)
    except ValueError as failure:
        raise ValidationError(str(failure)) from failure


if TYPE_CHECKING:
    _Text = models.CharField[str, str]
else:
    _Text = models.CharField  # the stubs' generic class cannot be subscribed at run time


class OffsetText(_Text):
    """An offset in its canonical spelling (`T-3d`, `deployed+2h`), or "" for none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {"max_length": 40, "blank": True, "default": "", "validators": [validate_offset]}
        super().__init__(*args, **(defaults | kwargs))


class Role(models.Model):
    """A seat of duty, known by its slug across templates and releases."""

    slug = models.SlugField(max_length=80, unique=True, allow_unicode=True)
    name = models.CharField(max_length=80)
    responsibility = models.TextField(blank=True, max_length=2000)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class PhaseText(models.Model):
    """The words and offsets of a phase, the same in a template and in a release."""

    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=200)
    stage = models.CharField(max_length=20, choices=choices_of(Stage))
    opens = OffsetText()
    due = OffsetText()
    note = models.TextField(blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return self.name

    @property
    def opens_offset(self) -> Offset | None:
        return Offset.parse(self.opens) if self.opens else None

    @property
    def due_offset(self) -> Offset | None:
        return Offset.parse(self.due) if self.due else None


class ItemText(models.Model):
    """The words and kind of an item, the same in a template and in a release."""

    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300)
    guidance = models.TextField(blank=True, max_length=20_000)
    role = models.ForeignKey(Role, models.PROTECT, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=20, choices=choices_of(Kind), default=Kind.CHECK)
    required = models.BooleanField(default=True)
    condition = models.CharField(max_length=120, blank=True)
    bound_to_window = models.BooleanField(default=False)
    evidence_wanted = models.BooleanField(default=False)
    group = models.CharField(max_length=200, blank=True)
    watch_min = models.PositiveSmallIntegerField("watch at least, minutes", default=0)
    watch_max = models.PositiveSmallIntegerField("ask for the verdict after, minutes", default=0)

    class Meta:
        abstract = True
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return self.title

    @property
    def conditional(self) -> bool:
        return bool(self.condition)


class TemplateQuerySet(models.QuerySet["Template"]):
    def in_use(self) -> Self:
        """Not retired: what a new release may be made from."""
        return self.filter(retired_at=None)

    def with_counts(self) -> Self:
        """Add `version_count` and `latest_number`, in the same query."""
        return self.annotate(version_count=models.Count("versions"), latest_number=models.Max("versions__number"))


class Template(models.Model):
    """A checklist by name. Its content lives in versions that never change."""

    slug = models.SlugField(max_length=80, unique=True, allow_unicode=True)
    name = models.CharField(max_length=200)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = TemplateQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("checklists:template", args=[self.slug])

    @property
    def current(self) -> TemplateVersion:
        """The newest version. A template always has one: `editing` saves both together."""
        return self.versions.order_by("-number")[0]


class TemplateVersion(models.Model):
    """One immutable state of a template. A running release keeps the version it was born from."""

    template = models.ForeignKey(Template, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    change_note = models.CharField(max_length=300, blank=True)
    description = models.TextField(blank=True)
    closing = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["template", "-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["template", "number"], name="version_number_once")]

    def __str__(self) -> str:
        return f"{self.template}, version {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("checklists:version", args=[self.template.slug, self.number])

    def blueprint(self) -> Blueprint:
        """Return this version as a value. Four queries, whatever its size."""
        items: dict[int, list[ItemPlan]] = {}
        for item in TemplateItem.objects.filter(phase__version=self).select_related("role").order_by("position"):
            items.setdefault(item.phase_id, []).append(item.plan())
        phases = tuple(phase.plan(tuple(items.get(phase.pk, ()))) for phase in self.phases.order_by("position"))
        return Blueprint(
            name=self.template.name,
            description=self.description,
            phases=phases,
            roles=tuple(entry.plan() for entry in self.roles.select_related("role").order_by("position")),
            seats=tuple(seat.plan() for seat in self.seats.select_related("role").order_by("position")),
            closing=self.closing,
        )


class TemplateRole(models.Model):
    """A role as this version describes it."""

    version = models.ForeignKey(TemplateVersion, models.CASCADE, related_name="roles")
    role = models.ForeignKey(Role, models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    responsibility = models.TextField(blank=True)
    required = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "role"], name="role_once_a_version")]

    def __str__(self) -> str:
        return self.name

    def plan(self) -> RolePlan:
        return RolePlan(name=self.name, responsibility=self.responsibility, required=self.required)


class TemplateSeat(models.Model):
    """A role's place in the poll of releases made from this version."""

    version = models.ForeignKey(TemplateVersion, models.CASCADE, related_name="seats")
    role = models.ForeignKey(Role, models.PROTECT, related_name="+")
    required = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "role"], name="seat_once_a_version")]

    def __str__(self) -> str:
        return str(self.role)

    def plan(self) -> SeatPlan:
        return SeatPlan(role=self.role.name, required=self.required)


class TemplatePhase(PhaseText):
    version = models.ForeignKey(TemplateVersion, models.CASCADE, related_name="phases")

    class Meta(PhaseText.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "position"], name="phase_place_once")]

    def plan(self, items: tuple[ItemPlan, ...]) -> PhasePlan:
        return PhasePlan(
            name=self.name,
            stage=Stage(self.stage),
            opens=self.opens_offset,
            due=self.due_offset,
            note=self.note,
            items=items,
        )


class TemplateItem(ItemText):
    phase = models.ForeignKey(TemplatePhase, models.CASCADE, related_name="items")

    class Meta(ItemText.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["phase", "position"], name="item_place_once")]

    def plan(self) -> ItemPlan:
        return ItemPlan(
            title=self.title,
            guidance=self.guidance,
            role=self.role.name if self.role else "",
            kind=Kind(self.kind),
            required=self.required,
            condition=self.condition,
            bound_to_window=self.bound_to_window,
            evidence_wanted=self.evidence_wanted,
            group=self.group,
            watch_min=self.watch_min,
            watch_max=self.watch_max,
        )
