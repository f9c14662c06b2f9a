"""What differs between two plans, said as people would."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.blueprints import Blueprint, ItemPlan, PhasePlan, RolePlan, SeatPlan
from checklists.diffing import How, diff
from checklists.tminus import Offset
from tests.factories import SMALL


def plan(*titles, phase="Staging", **more):
    return Blueprint("Plan", phases=(PhasePlan(phase, items=tuple(ItemPlan(title) for title in titles)),), **more)


def said(old, new):
    return [(change.how.value, change.what, change.title) for change in diff(old, new).changes]


def test_equal_plans_differ_in_nothing():
    found = diff(SMALL, SMALL)
    assert not found
    assert found.summary == f"{len(SMALL.items)} items the same"


def test_an_added_and_a_removed_item_are_told_with_their_phase():
    found = diff(plan("Deploy", "Run smoke tests"), plan("Deploy", "Check contrast"))
    assert [(change.how, change.title, change.place) for change in found.changes] == [
        (How.ADDED, "Check contrast", "Staging"),
        (How.REMOVED, "Run smoke tests", "Staging"),
    ]
    assert found.summary == "1 added, 1 removed, 1 item the same"


def test_a_title_that_changed_a_little_is_one_item_changed():
    (change,) = diff(plan("Run smoke tests"), plan("Run the smoke tests")).changes
    assert (change.how, change.title) == (How.CHANGED, "Run the smoke tests")
    assert [(word.text, word.before, word.after) for word in change.details[0].words] == [
        ("Run ", True, True),
        ("the ", False, True),
        ("smoke tests", True, True),
    ]


def test_one_item_that_moved_is_the_only_one_told():
    assert said(plan("a", "b", "c", "d"), plan("d", "a", "b", "c")) == [("moved", "item", "d")]


def test_an_item_that_went_to_another_phase_says_where_it_was():
    old = Blueprint("P", phases=(PhasePlan("One", items=(ItemPlan("Deploy"), ItemPlan("x"))), PhasePlan("Two")))
    new = Blueprint(
        "P", phases=(PhasePlan("One", items=(ItemPlan("x"),)), PhasePlan("Two", items=(ItemPlan("Deploy"),)))
    )
    (change,) = diff(old, new).changes
    assert (change.how, change.place, change.was) == (How.MOVED, "Two", "One")


def test_the_same_title_in_two_phases_stays_two_items():
    two = Blueprint(
        "P", phases=tuple(PhasePlan(name, items=(ItemPlan("Run smoke tests"),)) for name in ("Staging", "Production"))
    )
    without = replace(two, phases=(replace(two.phases[0], items=()), two.phases[1]))
    (change,) = diff(two, without).changes
    assert (change.how, change.place) == (How.REMOVED, "Staging")


def test_a_renamed_phase_keeps_its_items():
    assert said(plan("a", "b", phase="Staging"), plan("a", "b", phase="Rehearsal")) == [
        ("changed", "phase", "Rehearsal")
    ]


def test_offsets_flags_and_words_are_named_as_on_the_page():
    old = Blueprint("P", phases=(PhasePlan("One", opens=Offset.parse("T-3d"), items=(ItemPlan("a"),)),))
    item = ItemPlan("a", evidence_wanted=True)
    new = Blueprint("P", phases=(PhasePlan("One", opens=Offset.parse("T-2d"), items=(item,)),))
    details = [(d.label, d.before, d.after) for change in diff(old, new).changes for d in change.details]
    assert details == [("opens", "T-3d", "T-2d"), ("wants evidence", "no", "yes")]


def test_roles_seats_and_texts_are_told_too():
    old = plan("a", roles=(RolePlan("QA Lead"),), seats=(SeatPlan("QA Lead"),))
    new = plan("a", roles=(RolePlan("QA Lead", "Signs"),), seats=(SeatPlan("QA Lead", required=False),), closing="Bye")
    assert said(old, new) == [
        ("changed", "text", "closing words"),
        ("changed", "role", "QA Lead"),
        ("changed", "seat", "QA Lead"),
    ]


def test_500_rewritten_items_are_told_in_good_time():
    import time

    old = plan(*(f"Old item number {n}" for n in range(500)))
    new = plan(*(f"New thing {n} to do" for n in range(500)))
    start = time.process_time()
    assert len(diff(old, new).changes) == 1000
    assert time.process_time() - start < 2


def test_500_long_texts_that_repeat_themselves_are_woven_in_good_time():
    import time

    text = "What good looks like. " * 44
    old = Blueprint("P", phases=(PhasePlan("A", items=tuple(ItemPlan(f"Item {n}", text) for n in range(500))),))
    bad = tuple(replace(item, guidance=text.replace("good", "bad")) for item in old.items)
    start = time.process_time()
    details = [
        d.words
        for change in diff(old, replace(old, phases=(PhasePlan("A", items=bad),))).changes
        for d in change.details
    ]
    assert len(details) == 500
    assert time.process_time() - start < 2


words = st.sampled_from(["deploy", "run tests", "Run tests", "watch", "tell", "", "roll back now"])
items = st.lists(st.builds(ItemPlan, title=words, guidance=words, required=st.booleans()), max_size=5).map(tuple)
phases = st.lists(st.builds(PhasePlan, name=words, note=words, items=items), max_size=4).map(tuple)
roles = st.lists(st.builds(RolePlan, name=words), max_size=3).map(tuple)
plans = st.builds(Blueprint, name=words, phases=phases, roles=roles, closing=words)


@settings(max_examples=300, deadline=None)
@given(plans, plans)
def test_a_diff_is_empty_exactly_when_the_plans_are_equal(old, new):
    assert bool(diff(old, new)) == (old != new)
    assert not diff(old, old)


@pytest.mark.parametrize("length", [10, 5000])
def test_a_long_text_is_shown_whole_or_woven(length):
    (change,) = diff(plan("a", closing="old " * length), plan("a", closing="new " * length)).changes
    words = change.details[0].words
    assert "".join(word.text for word in words if word.before) == "old " * length
    assert "".join(word.text for word in words if word.after) == "new " * length
