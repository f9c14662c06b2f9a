"""A release's own checklist as a blueprint: what the Markdown export is written from."""

from __future__ import annotations

from dataclasses import replace

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, SeatPlan, Stage
from releases.models import Item, Phase, Release


def plan_of(release: Release) -> Blueprint:
    """Return the checklist of `release` as a plan: its own phases, items and seats, the rest from its template.

    Equal to the template's version as long as the coordinator changed nothing. Four queries, when the release's
    phases, items and seats are loaded.
    """
    template = release.template_version.blueprint()
    live = iter(sorted(release.phases.all(), key=lambda phase: phase.position))
    phases = [plan if plan.stage is Stage.CONTINGENCY else _phase(next(live)) for plan in template.phases]
    seats = tuple(SeatPlan(role=seat.role.name, required=seat.required) for seat in release.seats.all())
    return replace(template, phases=tuple(phases), seats=seats)


def _phase(phase: Phase) -> PhasePlan:
    return PhasePlan(
        name=phase.name,
        stage=Stage(phase.stage),
        opens=phase.opens_offset,
        due=phase.due_offset,
        note=phase.note,
        items=tuple(_item(item) for item in phase.items.all()),
    )


def _item(item: Item) -> ItemPlan:
    return ItemPlan(
        title=item.title,
        guidance=item.guidance,
        role=item.role.name if item.role else "",
        kind=Kind(item.kind),
        required=item.required,
        condition=item.condition,
        bound_to_window=item.bound_to_window,
        evidence_wanted=item.evidence_wanted,
        group=item.group,
        watch_min=item.watch_min,
        watch_max=item.watch_max,
    )
