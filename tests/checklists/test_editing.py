"""Saving, copying and retiring templates; each verb is all or nothing."""

from dataclasses import replace

import pytest

from checklists import editing
from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan
from checklists.editing import EditConflict, EditError, copy_template, save_template
from checklists.models import Role, Template, TemplateItem, TemplateVersion
from checklists.tminus import Offset
from tests.factories import SMALL

pytestmark = pytest.mark.django_db


def test_a_saved_version_gives_back_the_blueprint_it_was_made_of(ada):
    version = save_template(SMALL, by=ada)
    assert version.blueprint() == SMALL
    assert (version.number, version.created_by, version.template.slug) == (1, ada, "small-checklist")


def test_the_standard_checklist_is_saved_whole(ada):
    from checklists.markdown import parse
    from tests.factories import STANDARD

    plan = parse(STANDARD.read_text(encoding="utf-8")).blueprint
    assert save_template(plan, by=ada).blueprint() == plan


def test_equal_content_makes_no_new_version(ada):
    first = save_template(SMALL, by=ada)
    again = save_template(SMALL, by=ada, template=first.template)
    assert again == first
    assert TemplateVersion.objects.count() == 1


def test_a_change_makes_the_next_version_and_leaves_the_one_before(ada):
    first = save_template(SMALL, by=ada)
    longer = replace(SMALL, description="Read me first.")
    second = save_template(longer, by=ada, template=first.template, change_note="Says what it is for")
    assert (second.number, second.change_note) == (2, "Says what it is for")
    assert first.blueprint() == SMALL
    assert second.blueprint() == longer


def test_a_new_name_alone_renames_and_keeps_the_address(ada):
    first = save_template(SMALL, by=ada)
    renamed = save_template(replace(SMALL, name="Tiny"), by=ada, template=first.template)
    assert renamed == first
    template = Template.objects.get()
    assert (template.name, template.slug) == ("Tiny", "small-checklist")


def test_two_templates_never_share_a_name(ada):
    save_template(SMALL, by=ada)
    with pytest.raises(EditError, match="already a checklist named “Small checklist”"):
        save_template(replace(SMALL, name="SMALL checklist"), by=ada)
    assert Template.objects.count() == 1


def test_names_that_differ_in_signs_alone_get_addresses_of_their_own(ada):
    save_template(SMALL, by=ada)
    other = save_template(replace(SMALL, name="Small: checklist"), by=ada)
    assert other.template.slug == "small-checklist-2"


@pytest.mark.parametrize("name", ["Import", "New"])
def test_an_address_that_is_a_page_is_no_template_s(ada, name):
    assert save_template(replace(SMALL, name=name), by=ada).template.slug == f"{name.lower()}-2"


def test_saving_on_top_of_an_unseen_version_is_a_conflict_and_writes_nothing(ada, ben):
    template = save_template(SMALL, by=ada).template
    save_template(replace(SMALL, closing="Bye."), by=ben, template=template, seen_number=1)
    with pytest.raises(EditConflict, match="Ben Okri saved version 2 while you worked on version 1") as conflict:
        save_template(replace(SMALL, closing="Ciao."), by=ada, template=template, seen_number=1)
    assert conflict.value.number == 2
    assert TemplateVersion.objects.count() == 2


def test_roles_are_one_by_slug_and_keep_their_first_spelling(ada):
    save_template(SMALL, by=ada)
    other = replace(
        SMALL,
        name="Other",
        phases=(PhasePlan("Staging", items=(ItemPlan("Approve", role="QA LEAD"),)),),
        roles=(RolePlan("qa lead", "Approves"),),
        seats=(SeatPlan("Qa Lead"),),
    )
    version = save_template(other, by=ada)
    plan = version.blueprint()
    assert (plan.items[0].role, plan.roles[0].name, plan.seats[0].role) == ("QA Lead",) * 3
    assert Role.objects.filter(slug="qa-lead").count() == 1
    assert save_template(other, by=ada, template=version.template) == version


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (replace(SMALL, name=" "), "A checklist needs a name"),
        (replace(SMALL, name="x" * 201), "This text is 201 characters long; 200 fit"),
        (replace(SMALL, phases=(PhasePlan(""),)), "Phase 1: A phase needs a name"),
        (
            replace(SMALL, phases=(PhasePlan("P", items=(ItemPlan("a"), ItemPlan(" "))),)),
            "Phase 1, item 2: An item needs",
        ),
        (replace(SMALL, phases=(PhasePlan("P", items=(ItemPlan("t" * 301),)),)), "Phase 1, item 1: .* 301 characters"),
        (replace(SMALL, description="a\x00b"), "cannot be stored"),
        (replace(SMALL, roles=(RolePlan("QA Lead"), RolePlan("qa-lead"))), "Role 2: This role is listed twice"),
        (replace(SMALL, seats=(SeatPlan("QA Lead"), SeatPlan("QA lead"))), "Seat 2: This role already has a seat"),
        (
            replace(SMALL, phases=(PhasePlan("P", items=(ItemPlan("a"),) * 501),)),
            "has 501 items; relcoord keeps up to 500",
        ),
        (
            replace(SMALL, phases=(PhasePlan("P", items=(ItemPlan("a", kind=Kind.WATCH, watch_min=9, watch_max=5),)),)),
            "The verdict cannot be asked for before",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place_and_nothing_is_written(ada, plan, sentence):
    with pytest.raises(EditError, match=sentence):
        save_template(plan, by=ada)
    assert not Template.objects.exists()
    assert not Role.objects.exists()


def test_500_items_are_saved_and_read_in_few_queries(ada, django_assert_max_num_queries):
    phases = tuple(
        PhasePlan(f"Phase {p}", opens=Offset.parse("T-3d"), items=tuple(ItemPlan(f"Item {p}.{i}") for i in range(50)))
        for p in range(10)
    )
    plan = Blueprint(name="Long", phases=phases)
    with django_assert_max_num_queries(25):
        version = save_template(plan, by=ada)
    assert TemplateItem.objects.count() == 500
    with django_assert_max_num_queries(4):
        assert version.blueprint() == plan


def test_a_copy_is_a_template_of_its_own(ada):
    template = save_template(SMALL, by=ada).template
    copy = copy_template(template, by=ada, name="Small, for Payments")
    assert copy.blueprint() == replace(SMALL, name="Small, for Payments")
    assert (copy.number, copy.change_note) == (1, "Copied from Small checklist, version 1")
    assert copy.template != template


def test_a_retired_template_takes_no_new_version_until_it_is_restored(ada):
    template = save_template(SMALL, by=ada).template
    editing.retire_template(template, by=ada)
    editing.retire_template(template, by=ada)
    assert not Template.objects.in_use().exists()
    with pytest.raises(EditError, match="is retired. Restore it first"):
        save_template(replace(SMALL, closing="Bye."), by=ada, template=template)
    editing.restore_template(template, by=ada)
    assert template.retired_at is None
    assert save_template(replace(SMALL, closing="Bye."), by=ada, template=template).number == 2
