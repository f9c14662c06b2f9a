"""How a release is born: from a template's version, with its people, at T-minus something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, Stage, slug
from checklists.models import Role, TemplateVersion
from checklists.usable import lacks
from releases import clearance, events, people, tasks
from releases.errors import DomainError
from releases.models import COORDINATOR, Assignment, Item, Phase, Product, Release, Reminder, Seat
from releases.workflow import Window

if TYPE_CHECKING:
    from relcoord.models import User


@transaction.atomic
def create_release(
    version: TemplateVersion,
    *,
    by: User,
    key: str,
    title: str,
    product: Product,
    window: Window,
    coordinator: User,
    holders: Mapping[Role, Sequence[User]] | None = None,
    restricted: bool = False,
    viewers: Sequence[User] = (),
    notes: str = "",
    demo: bool = False,
) -> Release:
    """Make a release from `version`: phases, items and seats are copied and from then on its own.

    `holders` names the people of each role but the coordinator's. DomainError for a key that is taken, a T-0
    in the past, a version no release can be made of, or a retired template.
    """
    now = timezone.now()
    window.check(now)
    blueprint = version.blueprint()
    _check(version, blueprint, key, title)
    release = Release(
        key=key,
        title=title.strip(),
        product=product,
        template_version=version,
        coordinator=coordinator,
        restricted=restricted,
        notes=notes,
        t_zero=window.t_zero,
        window_end=window.ends,
        time_zone=window.zone,
        t_zero_wall=window.asked_for,
        created_at=now,
        created_by=by,
        demo=demo,
    )
    try:
        release.clean_fields()
    except ValidationError as failure:
        raise DomainError("; ".join(failure.messages)) from failure
    release.save(force_insert=True)
    release.viewers.set(viewers)
    roles = {entry.role.slug: entry.role for entry in version.roles.select_related("role")}
    items = _copy(release, blueprint, roles)
    _seat(release, blueprint, roles)
    given = _assign(release, coordinator, holders or {}, by=by)
    events.record(
        release,
        "release.created",
        by=by,
        after={
            "status": release.status,
            "t_zero": release.t_zero,
            "window_end": release.window_end,
            "time_zone": release.time_zone,
            "schedule_version": 1,
            "items": {str(i.pk): i.state for i in items},
        },
        title=release.title,
        product=str(product),
        template=str(version),
        coordinator=coordinator,
        holders={role.slug: [person.name for person in named] for role, named in (holders or {}).items()},
    )
    Reminder.objects.owe(
        Reminder.Kind.ASSIGNED,
        [person for person in given if person.pk != by.pk],
        now=now,
        release=release,
        due_in=people.COALESCE,
        by=by.name,
    )
    tasks.look_on_commit()
    return release


def _check(version: TemplateVersion, blueprint: Blueprint, key: str, title: str) -> None:
    if version.template.retired_at is not None:
        raise DomainError(f"{version.template} is retired; restore it or choose another checklist")
    missing = [problem.message for problem in lacks(blueprint) if problem.blocking]
    if missing:
        raise DomainError(f"No release can be made of {version} yet: {missing[0]}")
    if not title.strip():
        raise DomainError("A release needs a title")
    if Release.objects.filter(key__iexact=key).exists():
        raise DomainError(f"{key} exists already; keys are used once")


def _copy(release: Release, blueprint: Blueprint, roles: Mapping[str, Role]) -> list[Item]:
    live = [plan for plan in blueprint.phases if plan.stage != Stage.CONTINGENCY]
    phases = Phase.objects.bulk_create(_phase(release, number, plan) for number, plan in enumerate(live, start=1))
    return Item.objects.bulk_create(
        _item(phase, place, item, roles)
        for phase, plan in zip(phases, live, strict=True)
        for place, item in enumerate(plan.items, start=1)
    )


def _phase(release: Release, number: int, plan: PhasePlan) -> Phase:
    return Phase(
        release=release,
        position=number,
        name=plan.name,
        stage=plan.stage,
        note=plan.note,
        opens=str(plan.opens) if plan.opens else "",
        due=str(plan.due) if plan.due else "",
    )


def _item(phase: Phase, place: int, plan: ItemPlan, roles: Mapping[str, Role]) -> Item:
    return Item(
        phase=phase,
        position=place,
        title=plan.title,
        guidance=plan.guidance,
        role=roles.get(slug(plan.role)),
        kind=plan.kind,
        required=plan.required,
        condition=plan.condition,
        bound_to_window=plan.bound_to_window,
        evidence_wanted=plan.evidence_wanted,
        group=plan.group,
        watch_min=plan.watch_min,
        watch_max=plan.watch_max,
    )


def _seat(release: Release, blueprint: Blueprint, roles: Mapping[str, Role]) -> None:
    Seat.objects.bulk_create(
        Seat(release=release, role=roles[slug(plan.role)], required=plan.required, position=number)
        for number, plan in enumerate(blueprint.seats, start=1)
    )


def _assign(release: Release, coordinator: User, named: Mapping[Role, Sequence[User]], *, by: User) -> list[User]:
    now = timezone.now()
    rows = [Assignment(release=release, role=people.coordinator_role(), user=coordinator, by=by, at=now)]
    for role, users in named.items():
        if role.slug == COORDINATOR:
            continue
        once = {user.pk: user for user in users}.values()
        rows += [Assignment(release=release, role=role, user=user, by=by, at=now) for user in once]
    Assignment.objects.bulk_create(rows)
    return clearance.everyone(release)


def people_of_last(product: Product) -> dict[Role, list[User]]:
    """The holders of the product's newest release, by role, for a new one to take over."""
    last = product.releases.order_by("-created_at", "-pk").first()
    if last is None:
        return {}
    found: dict[Role, list[User]] = {}
    for row in last.assignments.select_related("role", "user").filter(user__is_active=True):
        found.setdefault(row.role, []).append(row.user)
    return found


@dataclass(frozen=True)
class Unassigned:
    """What creation says is missing: items that fall to the coordinator, roles nobody holds."""

    items_without_role: int
    empty_required: tuple[Role, ...]
    empty_others: tuple[Role, ...]


def unassigned(release: Release) -> Unassigned:
    """Count what nobody but the coordinator has, and name the roles without a holder. Three queries."""
    held = {row.role_id for row in release.assignments.all()}
    plans = release.template_version.roles.select_related("role")
    empty = [plan for plan in plans if plan.role_id not in held]
    without = Item.objects.filter(phase__release=release, role=None)
    return Unassigned(
        items_without_role=without.exclude(kind=Kind.COMPUTED).count(),
        empty_required=tuple(plan.role for plan in empty if plan.required),
        empty_others=tuple(plan.role for plan in empty if not plan.required),
    )
