"""Changing the list of a running release."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from checklists.blueprints import Kind
from releases import amending, ticking, workflow
from releases.errors import DomainError, Refused
from releases.models import Item, Release, Status
from tests.factories import Cast, bring_to, fresh, item, phase, role, window


def titles(release: Release, name: str) -> list[str]:
    return list(phase(release, name).items.order_by("position").values_list("title", flat=True))


def test_the_coordinator_adds_an_item_and_the_template_stays(release: Release, cast: Cast) -> None:
    before = release.template_version.blueprint()
    added = amending.add_item(phase(release, "Readiness"), "Licences checked", by=cast.ada, role=role("Developers"))
    assert titles(release, "Readiness")[-1] == "Licences checked"
    assert added.position == 4
    assert release.template_version.blueprint() == before


def test_only_the_coordinator_changes_the_list(release: Release, cast: Cast) -> None:
    for person in (cast.ben, cast.dana, cast.sam, cast.cy):
        with pytest.raises(Refused):
            amending.add_item(phase(release, "Readiness"), "Licences checked", by=person)
    assert "Licences checked" not in titles(release, "Readiness")


def test_an_item_added_to_a_running_release_is_one_people_settle(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="check, a sign-off or an acknowledgement"):
        amending.add_item(phase(release, "Readiness"), "Close", by=cast.ada, kind=Kind.CLOSE)


def test_moving_an_item_numbers_its_phase_anew(release: Release, cast: Cast) -> None:
    amending.move_item(item(release, "Order cake"), phase(release, "Readiness"), 1, by=cast.ada)
    assert titles(release, "Readiness") == ["Order cake", "All PRs merged", "Backup taken"]
    assert [row.position for row in phase(release, "Readiness").items.order_by("position")] == [1, 2, 3]


def test_an_item_moves_to_another_phase(release: Release, cast: Cast) -> None:
    amending.move_item(item(release, "Order cake"), phase(release, "Staging"), 1, by=cast.ada)
    assert titles(release, "Staging")[0] == "Order cake"
    assert item(release, "Order cake").phase.name == "Staging"


def test_items_are_given_to_a_role_in_bulk(release: Release, cast: Cast) -> None:
    chosen = Item.objects.of(release).filter(title__in=["All PRs merged", "Backup taken", "Assess risks"])
    assert amending.give_items(chosen, role("Risk Champion"), by=cast.ada) == 2
    assert item(release, "All PRs merged").role == role("Risk Champion")
    assert release.events.filter(action="item.given").count() == 2


def test_the_new_role_may_tick_and_the_old_no_longer(release: Release, cast: Cast) -> None:
    amending.give_items([item(release, "Assess risks")], role("Developers"), by=cast.ada)
    with pytest.raises(Refused):
        ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)
    assert ticking.set_done(item(release, "Assess risks"), True, by=cast.gus).is_done


def test_an_items_own_due_moment_moves_with_t_zero(release: Release, cast: Cast) -> None:
    moment = release.t_zero - timedelta(hours=30)
    amending.set_due(item(release, "Assess risks"), moment, by=cast.ada)
    plan = {m.phase.name: m for m in fresh(release).plan}["Go/No-Go"]
    assert plan.due_of(item(release, "Assess risks")) == moment

    later = window(timedelta(days=9))
    workflow.reschedule(release, later, by=cast.ada, reason="a holiday")

    moved = {m.phase.name: m for m in fresh(release).plan}["Go/No-Go"]
    row = next(entry for entry in moved.phase.items.all() if entry.title == "Assess risks")
    assert moved.due_of(row) == later.t_zero - timedelta(hours=30)


def test_a_gate_item_is_due_before_t_zero(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="before T-0"):
        amending.set_due(item(release, "Assess risks"), release.t_zero, by=cast.ada)


def test_a_final_release_keeps_its_list(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLOSED)
    for act in (
        lambda: amending.add_item(phase(release, "Readiness"), "Late thought", by=cast.ada),
        lambda: amending.edit_item(item(release, "Order cake"), by=cast.ada, title="Order pie"),
        lambda: amending.give_items([item(release, "Order cake")], None, by=cast.ada),
    ):
        with pytest.raises(DomainError, match="no longer changes"):
            act()


def test_an_edit_is_recorded_with_before_and_after(release: Release, cast: Cast) -> None:
    amending.edit_item(item(release, "Order cake"), by=cast.ada, title="Order pie", required=False)
    event = release.events.get(action="item.edited")
    assert (event.before, event.after) == ({"title": "Order cake"}, {"title": "Order pie"})


def test_an_item_is_late_past_its_due_moment_and_never_while_the_clock_is_stopped(release: Release, cast: Cast) -> None:
    def late() -> bool:
        now_fresh = fresh(release)
        moments = next(m for m in now_fresh.plan if m.phase.name == "Readiness")
        row = next(entry for entry in moments.phase.items.all() if entry.title == "All PRs merged")
        return moments.is_late(row, staging_opens + timedelta(minutes=1))

    staging_opens = next(m.opens_at for m in release.plan if m.phase.name == "Staging")
    assert staging_opens is not None
    assert late()
    with time_machine.travel(staging_opens, tick=False):
        workflow.hold(release, "incident elsewhere", by=cast.ada)
        assert not late()
