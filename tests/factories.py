"""People, checklists and releases for tests, with sound defaults and nothing random.

A release is made by `create_release`, as in life. `SMALL` is a checklist with one of each kind, quick to
settle; `standard()` is the shipped one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage
from checklists.editing import save_template
from checklists.models import Role, Template, TemplateVersion
from checklists.tminus import Anchor, Offset
from relcoord.models import User
from releases import birth, gonogo, items, ticking, workflow
from releases.models import Choice, Item, Phase, Product, Release, Seat, Status
from releases.workflow import Window
from tests.remembered import remembered

STANDARD = Path(__file__).parent.parent / "checklists" / "standard.md"

SMALL = Blueprint(
    name="Small checklist",
    phases=(
        PhasePlan(
            "Readiness",
            opens=Offset.parse("T-3d"),
            items=(
                ItemPlan("All PRs merged"),
                ItemPlan("Backup taken", condition="if applicable", bound_to_window=True),
                ItemPlan("Order cake", required=False),
            ),
        ),
        PhasePlan(
            "Staging",
            opens=Offset.parse("T-1d"),
            items=(
                ItemPlan("QA sign-off obtained", role="QA Lead", kind=Kind.SIGN_OFF),
                ItemPlan("Performance verified", role="Developers", evidence_wanted=True),
            ),
        ),
        PhasePlan(
            "Go/No-Go",
            Stage.DECISION,
            opens=Offset.parse("T-4h"),
            items=(
                ItemPlan("Review deployment readiness", kind=Kind.COMPUTED),
                ItemPlan("Assess risks", role="Risk Champion"),
                ItemPlan(
                    "Confirm on-call coverage", role="On-call Engineer", kind=Kind.ACKNOWLEDGE, bound_to_window=True
                ),
                ItemPlan("Decision made", role="Release Coordinator", kind=Kind.DECISION),
            ),
        ),
        PhasePlan(
            "Production",
            Stage.PRODUCTION,
            opens=Offset.parse("T-0"),
            items=(
                ItemPlan("Deployment executed"),
                ItemPlan("Monitor metrics", kind=Kind.WATCH, watch_min=15, watch_max=30),
            ),
        ),
        PhasePlan(
            "Post-deployment",
            Stage.POST_DEPLOYMENT,
            opens=Offset(Anchor.DEPLOYED),
            due=Offset(Anchor.DEPLOYED, minutes=120),
            items=(ItemPlan("Release announced"), ItemPlan("Close release ticket", kind=Kind.CLOSE)),
        ),
        PhasePlan(
            "Rollback procedure",
            Stage.CONTINGENCY,
            items=tuple(
                ItemPlan(title, kind=Kind.STEP)
                for title in (
                    "Trigger incident response",
                    "Assess severity",
                    "Execute rollback",
                    "Verify rollback success",
                    "Communicate status",
                    "Schedule post-incident review",
                )
            ),
        ),
    ),
    roles=(
        RolePlan("Release Coordinator", "Makes the call", required=True),
        RolePlan("Project Manager", "Tells stakeholders", required=True),
        RolePlan("QA Lead", "Signs off", required=True),
        RolePlan("Developers", "Fix things"),
        RolePlan("Risk Champion", "Weighs risks"),
        RolePlan("On-call Engineer", "Answers at night", required=True),
    ),
    seats=(
        SeatPlan("Release Coordinator"),
        SeatPlan("Project Manager"),
        SeatPlan("QA Lead"),
        SeatPlan("Risk Champion", required=False),
    ),
)


class UserFactory(DjangoModelFactory[User]):
    """A person with a mail address made of their name, who signs in with the password `PASSWORD`."""

    class Meta:
        model = User
        django_get_or_create = ("email",)

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.LazyAttribute(lambda person: address(person.name))

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **fields: Any) -> User:
        known = User.objects.filter(email=fields["email"]).first()
        return known or User.objects.create_user(**{"password": PASSWORD} | fields)


PASSWORD = "correct horse battery"


def address(name: str) -> str:
    return f"{name.split(maxsplit=1)[0].lower()}@example.org"


@cache
def _standard_text() -> str:
    return STANDARD.read_text(encoding="utf-8")


@remembered
def standard() -> TemplateVersion:
    """The shipped standard checklist, saved once a database."""
    from checklists.markdown import parse

    return saved(parse(_standard_text()).blueprint)


@remembered
def saved(blueprint: Blueprint) -> TemplateVersion:
    """`blueprint` as the current version of the template of its name."""
    pk, at = SAVED.get(blueprint, (0, None))
    seen = TemplateVersion.objects.filter(pk=pk, created_at=at).select_related("template").first()
    if seen is not None and seen.template.current == seen:
        return seen
    known = Template.objects.filter(name=blueprint.name).first()
    if known is not None and known.current.blueprint() == blueprint:
        version = known.current
    else:
        version = save_template(blueprint, by=None, template=known)
    SAVED[blueprint] = (version.pk, version.created_at)
    return version


SAVED: dict[Blueprint, tuple[int, datetime]] = {}  # where each was last: to compare it with the database takes long


@remembered
def role(name: str) -> Role:
    from checklists.blueprints import slug

    return Role.objects.get_or_create(slug=slug(name), defaults={"name": name})[0]


def window(in_: timedelta = timedelta(days=3), *, hours: int = 2, zone: str = "Europe/Berlin") -> Window:
    """A window that begins `in_` from now, whole seconds, and lasts `hours`."""
    begins = (timezone.now() + in_).replace(microsecond=0)
    return Window(begins, begins + timedelta(hours=hours), zone)


class Cast:
    """The people of the tests: Ada leads, Ben is QA, Dana the Project Manager, Eli on call, Fay weighs risks,
    Gus develops; Cy is signed in and on nothing, Sam is staff."""

    NAMES = ("Ada Lovelace", "Ben Osei", "Cy Young", "Dana Ruiz", "Eli Tanaka", "Fay Lindqvist", "Gus Rao", "Sam Staff")

    def __init__(self) -> None:
        self.ada, self.ben, self.cy, self.dana, self.eli, self.fay, self.gus, self.sam = self._people()

    @staticmethod
    @remembered
    def _people() -> list[User]:
        known = User.objects.in_bulk([address(name) for name in Cast.NAMES], field_name="email")
        return [known.get(address(name)) or UserFactory(name=name, is_staff=name == "Sam Staff") for name in Cast.NAMES]

    def holders(self) -> dict[Role, Sequence[User]]:
        return {
            role("QA Lead"): [self.ben],
            role("Project Manager"): [self.dana],
            role("On-call Engineer"): [self.eli],
            role("Risk Champion"): [self.fay],
            role("Developers"): [self.gus],
        }


class ReleaseFactory(DjangoModelFactory[Release]):
    """A release in preparation, three days and an hour before T-0, coordinated by Ada, everybody in their role.

    `version` (default: SMALL), `window`, `coordinator`, `holders`, `by` and what `create_release` takes.
    """

    class Meta:
        model = Release

    key = factory.Sequence(lambda n: f"PAY-{n}.0")
    title = "Payments"

    @classmethod
    def _create(cls, model_class: type[Release], *args: Any, **fields: Any) -> Release:
        return cls._make(**fields)

    @staticmethod
    @remembered
    def _make(**fields: Any) -> Release:
        cast = Cast()
        coordinator = fields.pop("coordinator", None) or cast.ada
        given = fields.pop("window", None) or window(timedelta(days=3, hours=1))
        product = fields.pop("product", None) or Product.objects.get_or_create(slug="pay", name="Payments")[0]
        people = fields.pop("holders", None)
        version = fields.pop("version", None) or saved(SMALL)
        return birth.create_release(
            version,
            by=fields.pop("by", coordinator),
            coordinator=coordinator,
            window=given,
            product=product,
            holders=cast.holders() if people is None else people,
            **fields,
        )


# Ways to bring a release where a test wants it, by the verbs alone


def item(release: Release, title: str) -> Item:
    return Item.objects.of(release).get(title=title)


def seat(release: Release, name: str) -> Seat:
    return Seat.objects.select_related("role").get(release=release, role__name=name)


def phase(release: Release, name: str) -> Phase:
    return Phase.objects.select_related("release").get(release=release, name=name)


def fresh(release: Release) -> Release:
    return Release.objects.get(pk=release.pk)


@remembered
def settle_gate(release: Release) -> None:
    """Settle everything that stands before the GO, each by who may."""
    proof = ticking.Proof(label="seen")
    people = _by_role(release)
    for row in Item.objects.of(release).gate().unsettled():
        ticking.set_done(row, True, by=people.get(row.role_id, release.coordinator), proof=proof)


def _by_role(release: Release) -> dict[int | None, User]:
    """The first holder of each role, by the role's id."""
    return {row.role_id: row.user for row in release.assignments.select_related("user").order_by("-pk")}


@remembered
def vote_go(release: Release) -> None:
    """Let every seat that has a holder vote GO."""
    people = _by_role(release)
    for row in release.seats.select_related("role"):
        if row.role_id in people:
            gonogo.cast_ballot(release, row, Choice.GO, by=people[row.role_id])


@remembered
def bring_to(release: Release, status: Status, *, now: datetime | None = None) -> Release:
    """Bring `release` to `status` by its verbs. Starting overrides the wait for T-0."""
    ada = release.coordinator
    if status == Status.PREPARING:
        return fresh(release)
    if status == Status.CANCELLED:
        return workflow.cancel(release, "not needed any more", by=ada)
    settle_gate(release)
    gonogo.open_poll(release, by=ada)
    if status == Status.POLLING:
        return fresh(release)
    if status == Status.NO_GO:
        gonogo.decide(release, gonogo.Call.NO_GO, by=ada, rationale="two queries fail")
        return fresh(release)
    vote_go(release)
    gonogo.decide(release, gonogo.Call.GO, by=ada, rationale="all green")
    if status == Status.CLEARED:
        return fresh(release)
    workflow.start_deployment(release, by=ada, override="the window was agreed by phone")
    if status == Status.DEPLOYING:
        return fresh(release)
    return _after_start(release, status)


def _after_start(release: Release, status: Status) -> Release:
    from releases import rollback

    ada = release.coordinator
    if status in (Status.ROLLING_BACK, Status.ROLLED_BACK):
        row = rollback.trigger(release, "error rate 4 %", by=ada)
        if status == Status.ROLLED_BACK:
            run_rollback(row, by=ada)
        return fresh(release)
    for row in Item.objects.of(release).filter(phase__stage=Stage.PRODUCTION).unsettled():
        if row.kind == Kind.WATCH:
            watch = items.start_watch(row, by=ada)
            watch.started_at -= timedelta(minutes=row.watch_min + 1)
            watch.save(update_fields=["started_at"])
            items.end_watch(row, items.Verdict.HEALTHY, by=ada)
        else:
            settle(row)
    workflow.finish_deployment(release, by=ada)
    if status == Status.CLOSED:
        for row in Item.objects.of(release).filter(phase__stage=Stage.POST_DEPLOYMENT).exclude(kind=Kind.CLOSE):
            settle(row)
        workflow.close(release, by=ada)
    return fresh(release)


@remembered
def settle(row: Item) -> Item:
    """Tick `row` by one of its holders, or by the coordinator."""
    held = row.release.assignments.filter(role=row.role).select_related("user").first() if row.role else None
    return ticking.set_done(
        row, True, by=held.user if held else row.release.coordinator, proof=ticking.Proof(label="seen")
    )


@remembered
def run_rollback(row: Any, *, by: User, path: str = "rollback") -> None:
    """Run a rollback to its end."""
    from releases import rollback
    from releases.models import Part, Rollback, Severity

    while True:
        step = Rollback.objects.get(pk=row.pk).current_step
        if step is None or step.part == Part.REVIEW:
            break
        if step.part == Part.ASSESS:
            rollback.record_severity(row, Severity.MAJOR, rollback.Path(path), by=by)
        else:
            rollback.complete_step(step, by=by)
    review = timezone.localdate() + timedelta(days=2)
    rollback.finish(row, by=by, review_on=review, review_owner=by)
