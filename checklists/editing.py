"""The verbs that change templates. Each is one transaction; when it raises EditError nothing was written.

`by` is the person, or None for the command line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from checklists.blueprints import Blueprint, ItemPlan, PhasePlan, RolePlan, SeatPlan, slug
from checklists.markdown import Limits
from checklists.models import (
    Role,
    Template,
    TemplateItem,
    TemplatePhase,
    TemplateRole,
    TemplateSeat,
    TemplateVersion,
)

if TYPE_CHECKING:
    from relcoord.models import User

log = logging.getLogger(__name__)

MAX_PHASES: Final = 100
MAX_WATCH: Final = 7 * 24 * 60  # minutes
RESERVED: Final = {"import", "new"}  # addresses under /checklists/ that are pages of their own

# The longest text a column holds, by kind of plan and field.
LENGTHS: Final[dict[type, dict[str, int]]] = {
    Blueprint: {"name": 200, "description": 100_000, "closing": 100_000},
    PhasePlan: {"name": 200, "note": 100_000},
    ItemPlan: {"title": 300, "guidance": 20_000, "condition": 120, "group": 200, "role": 80},
    RolePlan: {"name": 80, "responsibility": 2000},
    SeatPlan: {"role": 80},
}


class EditError(Exception):
    """The edit is refused; `str(error)` says what is wrong and where."""


class EditConflict(EditError):
    """Somebody saved another version in between. `number` is the newest now."""

    def __init__(self, sentence: str, number: int) -> None:
        super().__init__(sentence)
        self.number = number


@dataclass(frozen=True)
class Fault:
    """What cannot be stored. `path` walks the blueprint from 0 (`phases.2.items.3`); "" is the whole of it."""

    path: str
    field: str
    sentence: str

    def __str__(self) -> str:
        return f"{place(self.path)}: {self.sentence}" if self.path else self.sentence


def place(path: str) -> str:
    """Return a path as people count: `phases.2.items.3` -> "Phase 3, item 4"."""
    steps = path.split(".")
    named = [f"{kind.removesuffix('s')} {int(index) + 1}" for kind, index in zip(steps[::2], steps[1::2], strict=True)]
    return ", ".join(named).capitalize()


@transaction.atomic
def save_template(
    blueprint: Blueprint,
    *,
    by: User | None,
    template: Template | None = None,
    change_note: str = "",
    seen_number: int | None = None,
) -> TemplateVersion:
    """Save as a new template, or as the next version of `template`, and return that version.

    Content equal to the current version makes no new one: the current version is returned. A new name alone renames
    the template, because the name is not part of a version. `seen_number` is the version the writer started from:
    EditConflict when it is no longer the newest. Role names are stored as the `Role` of their slug spells them.
    """
    _refuse(faults(blueprint))
    if len(change_note) > 300:
        raise EditError(f"The note on what changed is {len(change_note)} characters long; 300 fit.")
    roles = _roles_of(blueprint)
    blueprint = _spelled(blueprint, roles)
    if template is None:
        return _write(_new_template(blueprint.name), 1, blueprint, roles, by=by, change_note=change_note)
    template, current = _lock(template, seen_number)
    _rename(template, blueprint.name)
    if _spelled(current.blueprint(), roles) == blueprint:
        return current
    return _write(template, current.number + 1, blueprint, roles, by=by, change_note=change_note)


@transaction.atomic
def copy_template(template: Template, *, by: User | None, name: str) -> TemplateVersion:
    """Make a new template called `name` of the newest version."""
    current = template.current
    note = f"Copied from {template.name[:200]}, version {current.number}"
    return save_template(replace(current.blueprint(), name=name.strip()), by=by, change_note=note)


@transaction.atomic
def retire_template(template: Template, *, by: User | None) -> None:
    """Offer the template for no more releases; what runs keeps its version. Twice is as once."""
    if Template.objects.in_use().filter(pk=template.pk).update(retired_at=timezone.now()):
        log.info("checklist %s retired by %s", template.slug, by.email if by else "the command line")
    template.refresh_from_db()


@transaction.atomic
def restore_template(template: Template, *, by: User | None) -> None:
    """Offer a retired template again. Twice is as once."""
    if Template.objects.filter(pk=template.pk, retired_at__isnull=False).update(retired_at=None):
        log.info("checklist %s restored by %s", template.slug, by.email if by else "the command line")
    template.refresh_from_db()


def named(name: str) -> Template | None:
    """The template of that name, whatever its case; None when there is none."""
    return Template.objects.filter(name__iexact=name.strip()).first()


# What can be stored ----------------------------------------------------------------------------------------------


def faults(blueprint: Blueprint) -> list[Fault]:
    """Return everything that keeps `blueprint` from being stored, in reading order. An unusable plan can be stored."""
    found = [*_too_many(blueprint), *_text_faults(blueprint, "")]
    if not slug(blueprint.name):
        found.append(Fault("", "name", "A checklist needs a name with a letter or a digit in it."))
    for p, phase in enumerate(blueprint.phases):
        found += _text_faults(phase, f"phases.{p}")
        found += _needed(phase.name, f"phases.{p}", "name", "A phase needs a name.")
        for i, item in enumerate(phase.items):
            found += _item_faults(item, f"phases.{p}.items.{i}")
    for r, role in enumerate(blueprint.roles):
        found += _text_faults(role, f"roles.{r}")
    for s, seat in enumerate(blueprint.seats):
        found += _text_faults(seat, f"seats.{s}")
    found += _twice([role.name for role in blueprint.roles], "roles", "name", "This role is listed twice.")
    found += _twice([seat.role for seat in blueprint.seats], "seats", "role", "This role already has a seat.")
    return found


def _too_many(blueprint: Blueprint) -> Iterator[Fault]:
    counts = (
        ("items", len(blueprint.items), Limits.ITEMS),
        ("phases", len(blueprint.phases), MAX_PHASES),
        ("roles", len(blueprint.roles), Limits.ROLES),
    )
    for what, count, most in counts:
        if count > most:
            yield Fault("", "", f"This checklist has {count} {what}; relcoord keeps up to {most}.")


def _text_faults(plan: Blueprint | PhasePlan | ItemPlan | RolePlan | SeatPlan, path: str) -> Iterator[Fault]:
    for field in fields(plan):
        text = getattr(plan, field.name)
        if not isinstance(text, str):
            continue
        if "\x00" in text:
            yield Fault(path, field.name, "There is a character in this text that cannot be stored (NUL).")
        most = LENGTHS[type(plan)].get(field.name)
        if most and len(text) > most:
            yield Fault(path, field.name, f"This text is {len(text)} characters long; {most} fit.")


def _item_faults(item: ItemPlan, path: str) -> Iterator[Fault]:
    yield from _text_faults(item, path)
    yield from _needed(item.title, path, "title", "An item needs a title.")
    if item.role and not slug(item.role):
        yield Fault(path, "role", "A role needs a name with a letter or a digit in it.")
    for field in ("watch_min", "watch_max"):
        if not 0 <= getattr(item, field) <= MAX_WATCH:
            yield Fault(path, field, f"A watch lasts from 0 to {MAX_WATCH} minutes.")
    if 0 < item.watch_max < item.watch_min:
        yield Fault(path, "watch_max", "The verdict cannot be asked for before the watch may end.")


def _needed(text: str, path: str, field: str, message: str) -> Iterator[Fault]:
    if not text.strip():
        yield Fault(path, field, message)


def _twice(names: list[str], kind: str, field: str, message: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        identity = slug(name)
        if not identity:
            yield Fault(f"{kind}.{index}", field, "A role needs a name with a letter or a digit in it.")
        elif identity in seen:
            yield Fault(f"{kind}.{index}", field, message)
        seen.add(identity)


def _refuse(found: list[Fault]) -> None:
    if found:
        more = f" ({len(found) - 1} more like this.)" if len(found) > 1 else ""
        raise EditError(f"{found[0]}{more}")


# Storing ---------------------------------------------------------------------------------------------------------


def _new_template(name: str) -> Template:
    if there := named(name):
        raise EditError(f"There is already a checklist named “{there.name}”. Choose another name, or edit that one.")
    try:
        with transaction.atomic():
            return Template.objects.create(slug=_free_slug(name), name=name)
    except IntegrityError as taken:
        raise EditError("A checklist of this name was saved a moment ago. Nothing was saved; try again.") from taken


def _free_slug(name: str) -> str:
    wanted = slug(name)[:70].strip("-")
    taken = RESERVED | set(Template.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    tries = (wanted, *(f"{wanted}-{n}" for n in range(2, len(taken) + 3)))
    return next(candidate for candidate in tries if candidate not in taken)


def _lock(template: Template, seen_number: int | None) -> tuple[Template, TemplateVersion]:
    """Return the fresh row, locked, and its newest version."""
    fresh = Template.objects.select_for_update().get(pk=template.pk)
    current = fresh.current
    if fresh.retired_at:
        raise EditError(f"“{fresh.name}” is retired. Restore it first, then save.")
    if seen_number is not None and seen_number != current.number:
        who = current.created_by.name if current.created_by else "Somebody"
        raise EditConflict(
            f"{who} saved version {current.number} while you worked on version {seen_number}. Nothing of yours "
            f"is lost, and nothing is saved yet: look at what differs, then save on top of version {current.number}.",
            current.number,
        )
    return fresh, current


def _rename(template: Template, name: str) -> None:
    if template.name == name:
        return
    there = named(name)
    if there and there.pk != template.pk:
        raise EditError(f"There is already a checklist named “{there.name}”. Choose another name.")
    template.name = name
    template.save(update_fields=["name"])


def _names(blueprint: Blueprint) -> Iterable[str]:
    """Every role name, the defining spelling first."""
    yield from (role.name for role in blueprint.roles)
    yield from (seat.role for seat in blueprint.seats)
    yield from (item.role for item in blueprint.items if item.role)


def _roles_of(blueprint: Blueprint) -> dict[str, Role]:
    """The `Role` rows by slug, made where they are missing."""
    spellings: dict[str, str] = {}
    for name in _names(blueprint):
        spellings.setdefault(slug(name), name)
    known = Role.objects.in_bulk(list(spellings), field_name="slug")
    for identity, name in spellings.items():
        if identity not in known:
            plan = blueprint.role(name)
            text = {"name": name, "responsibility": plan.responsibility if plan else ""}
            known[identity] = Role.objects.get_or_create(slug=identity, defaults=text)[0]
    return known


def _spelled(blueprint: Blueprint, roles: dict[str, Role]) -> Blueprint:
    """The same blueprint with each role's name as its `Role` spells it."""

    def say(name: str) -> str:
        role = roles.get(slug(name))
        return role.name if role else name

    phases = tuple(
        replace(phase, items=tuple(replace(item, role=say(item.role)) for item in phase.items))
        for phase in blueprint.phases
    )
    return replace(
        blueprint,
        phases=phases,
        roles=tuple(replace(role, name=say(role.name)) for role in blueprint.roles),
        seats=tuple(replace(seat, role=say(seat.role)) for seat in blueprint.seats),
    )


def _write(
    template: Template,
    number: int,
    blueprint: Blueprint,
    roles: dict[str, Role],
    *,
    by: User | None,
    change_note: str,
) -> TemplateVersion:
    """Write one version: seven statements, whatever its size."""
    version = TemplateVersion.objects.create(
        template=template,
        number=number,
        created_at=timezone.now(),
        created_by=by,
        change_note=change_note,
        description=blueprint.description,
        closing=blueprint.closing,
    )
    TemplateRole.objects.bulk_create(
        TemplateRole(version=version, role=roles[plan.slug], position=n, **_columns(plan))
        for n, plan in enumerate(blueprint.roles, 1)
    )
    TemplateSeat.objects.bulk_create(
        TemplateSeat(version=version, role=roles[slug(plan.role)], position=n, required=plan.required)
        for n, plan in enumerate(blueprint.seats, 1)
    )
    phases = TemplatePhase.objects.bulk_create(
        TemplatePhase(
            version=version,
            position=n,
            name=plan.name,
            stage=plan.stage.value,
            opens=str(plan.opens or ""),
            due=str(plan.due or ""),
            note=plan.note,
        )
        for n, plan in enumerate(blueprint.phases, 1)
    )
    TemplateItem.objects.bulk_create(
        TemplateItem(phase=phase, position=n, **(_columns(plan) | {"role": roles.get(slug(plan.role))}))
        for phase, phase_plan in zip(phases, blueprint.phases, strict=True)
        for n, plan in enumerate(phase_plan.items, 1)
    )
    return version


def _columns(plan: RolePlan | ItemPlan) -> dict[str, object]:
    assert is_dataclass(plan)  # noqa: S101 - for the type checker
    return {field.name: getattr(plan, field.name) for field in fields(plan)}
