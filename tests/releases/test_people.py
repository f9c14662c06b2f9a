"""People and roles, each test named as its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from relcoord.models import User
from releases import birth, people, permissions, ticking
from releases.errors import DomainError, Refused
from releases.models import Assignment, Product, Release, Status
from tests.factories import SMALL, Cast, ReleaseFactory, bring_to, fresh, item, role, saved, window


def test_a_role_may_have_several_holders_and_each_may_tick(release: Release, cast: Cast) -> None:
    people.assign(release, role("Risk Champion"), cast.gus, by=cast.ada)
    assert ticking.set_done(item(release, "Assess risks"), True, by=cast.gus).state_for == ""


def test_assigning_tells_the_person_once_and_not_oneself(release: Release, cast: Cast) -> None:
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)
    people.assign(release, role("Risk Champion"), cast.cy, by=cast.ada)
    people.assign(release, role("Developers"), cast.ada, by=cast.ada)
    mails = release.reminders.filter(kind="assigned", about__startswith="event:")
    assert mails.filter(recipient=cast.cy).count() == 1
    assert not mails.filter(recipient=cast.ada).exists()


def test_assigning_twice_is_one_assignment(release: Release, cast: Cast) -> None:
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)
    assert release.events.filter(action="role.assigned").count() == 1


def test_staff_and_the_coordinator_assign_and_nobody_else(release: Release, cast: Cast) -> None:
    people.assign(release, role("Developers"), cast.cy, by=cast.sam)
    for person in (cast.ben, cast.dana, cast.cy):
        with pytest.raises(Refused, match="Ada Lovelace"):
            people.assign(release, role("Developers"), cast.fay, by=person)


def test_a_release_always_has_one_coordinator(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="one coordinator"):
        people.assign(release, role("Release Coordinator"), cast.ben, by=cast.ada)
    with pytest.raises(DomainError, match="always has a coordinator"):
        people.unassign(release, role("Release Coordinator"), cast.ada, by=cast.ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        Release.objects.filter(pk=release.pk).update(coordinator=None)


def test_a_transfer_moves_column_and_assignment_together(release: Release, cast: Cast) -> None:
    people.transfer(release, cast.dana, by=cast.ada, reason="holiday")
    holders = Assignment.objects.filter(release=release, role__slug="release-coordinator")
    assert fresh(release).coordinator == cast.dana
    assert [row.user for row in holders] == [cast.dana]
    event = release.events.get(action="coordinator.transferred")
    assert (event.before["coordinator"]["name"], event.after["coordinator"]["name"]) == ("Ada Lovelace", "Dana Ruiz")
    with pytest.raises(Refused):
        people.transfer(release, cast.ben, by=cast.ada)


@pytest.mark.parametrize("who", ["dana", "sam", "gus"])
def test_project_manager_deputy_and_staff_may_take_over_with_a_reason(who: str, release: Release, cast: Cast) -> None:
    today = timezone.localdate()
    people.delegate(cast.ada, cast.gus, today, today, by=cast.ada)
    person = getattr(cast, who)
    with pytest.raises(DomainError, match="why"):
        people.take_over(release, " ", by=person)
    people.take_over(release, "Ada cannot be reached", by=person)
    assert fresh(release).coordinator == person
    assert release.reminders.get(kind="taken_over").recipient == cast.ada


def test_others_may_not_take_over(release: Release, cast: Cast) -> None:
    for person in (cast.ben, cast.eli, cast.cy):
        with pytest.raises(Refused, match="Dana Ruiz"):
            people.take_over(release, "Ada cannot be reached", by=person)


def test_a_dated_deputy_may_act_and_both_names_are_recorded(release: Release, cast: Cast) -> None:
    today = timezone.localdate(timezone=release.zone)
    people.delegate(cast.ben, cast.gus, today, today, by=cast.ben)
    done = ticking.set_done(item(release, "QA sign-off obtained"), True, by=cast.gus)
    assert (done.state_by, done.state_for) == (cast.gus, "Ben Osei")


def test_the_coordinators_deputy_does_their_items_and_not_their_verbs(release: Release, cast: Cast) -> None:
    today = timezone.localdate(timezone=release.zone)
    people.delegate(cast.ada, cast.gus, today, today, by=cast.ada)
    done = ticking.set_done(item(release, "All PRs merged"), True, by=cast.gus)
    assert (done.state_by, done.state_for) == (cast.gus, "Ada Lovelace")
    with pytest.raises(Refused):
        ticking.set_done(item(release, "Assess risks"), True, by=cast.gus, on_behalf="Ada would")
    with pytest.raises(Refused):
        ticking.waive(item(release, "Assess risks"), "Ada would", by=cast.gus)


def test_a_deputy_may_not_act_before_or_after_the_absence(release: Release, cast: Cast) -> None:
    today = timezone.localdate(timezone=release.zone)
    people.delegate(cast.ben, cast.gus, today + timedelta(days=1), today + timedelta(days=1), by=cast.ben)
    with pytest.raises(Refused):
        ticking.set_done(item(release, "QA sign-off obtained"), True, by=cast.gus)
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False), pytest.raises(Refused):
        ticking.set_done(item(release, "QA sign-off obtained"), True, by=cast.gus)


def test_an_absence_is_said_by_oneself_or_staff_and_recorded_in_each_release(release: Release, cast: Cast) -> None:
    today = timezone.localdate()
    with pytest.raises(DomainError, match="Only Ben Osei or staff"):
        people.delegate(cast.ben, cast.gus, today, today, by=cast.gus)
    with pytest.raises(DomainError, match="ends before"):
        people.delegate(cast.ben, cast.gus, today, today - timedelta(days=1), by=cast.ben)
    with pytest.raises(DomainError, match="somebody else"):
        people.delegate(cast.ben, cast.ben, today, today, by=cast.ben)
    people.delegate(cast.ben, cast.gus, today, today, by=cast.sam)
    assert release.events.filter(action="absence.named").count() == 1


def test_a_coordinator_invites_and_the_person_is_owed_a_link(release: Release, cast: Cast) -> None:
    new = people.invite(" New.Person@Example.org ", "New  Person", by=cast.ada, release=release)
    assert (new.email, new.name, new.has_usable_password()) == ("new.person@example.org", "New Person", False)
    assert release.reminders.get(kind="invitation").recipient == new
    with pytest.raises(Refused):
        people.invite("x@example.org", "X", by=cast.ben, release=release)
    with pytest.raises(DomainError, match="already"):
        people.invite("new.person@example.org", "Again", by=cast.ada, release=release)
    with pytest.raises(DomainError, match="mail address"):
        people.invite("nonsense", "X", by=cast.ada, release=release)


def test_pasted_people_are_read_and_those_unknown_invited(release: Release, cast: Cast) -> None:
    rows = people.assign_pasted(
        release, role("Developers"), "Ben Osei <ben@example.org>\n\nNia New <nia@example.org>,\n", by=cast.ada
    )
    assert [row.user.name for row in rows] == ["Ben Osei", "Nia New"]
    assert User.objects.get(email="nia@example.org").invitations.count() == 1


def test_a_bad_pasted_line_is_named_and_nobody_is_assigned(release: Release, cast: Cast) -> None:
    before = release.assignments.count()
    with pytest.raises(DomainError, match="Line 2: “somebody”"):
        people.assign_pasted(release, role("Developers"), "Nia New <nia@example.org>\nsomebody", by=cast.ada)
    assert release.assignments.count() == before
    assert not User.objects.filter(email="nia@example.org").exists()


def test_people_of_a_final_release_no_longer_change(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLOSED)
    with pytest.raises(DomainError, match="no longer change"):
        people.assign(release, role("Developers"), cast.cy, by=cast.ada)


def test_rights_are_read_at_each_request(release: Release, cast: Cast) -> None:
    assert permissions.may(cast.fay, "tick", fresh(release), item(release, "Assess risks"))
    people.unassign(release, role("Risk Champion"), cast.fay, by=cast.ada)
    assert not permissions.may(cast.fay, "tick", fresh(release), item(release, "Assess risks"))


def test_a_verb_that_is_not_in_the_table_is_nobodys(release: Release, cast: Cast) -> None:
    with pytest.raises(KeyError):
        permissions.may(cast.ada, "launch", release)


# Birth


def test_a_release_copies_its_checklist_and_keeps_it(release: Release, cast: Cast) -> None:
    assert [phase.items.count() for phase in release.phases.order_by("position")] == [3, 2, 4, 2, 2]
    assert release.seats.count() == 4
    assert release.assignments.count() == 6
    assert release.events.get().action == "release.created"


def test_a_new_release_takes_over_the_people_of_the_products_last(release: Release, cast: Cast) -> None:
    found = birth.people_of_last(release.product)
    assert {held.slug: [person.name for person in users] for held, users in found.items()}["qa-lead"] == ["Ben Osei"]
    assert birth.people_of_last(Product.objects.create(slug="new", name="New")) == {}


def test_creation_says_what_is_unassigned_and_which_required_role_is_empty(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]})
    missing = birth.unassigned(release)
    assert {held.name for held in missing.empty_required} == {"Project Manager", "On-call Engineer"}
    assert {held.name for held in missing.empty_others} == {"Developers", "Risk Champion"}
    assert missing.items_without_role == 7


def create(cast: Cast, **fields: object) -> Release:
    product = Product.objects.get_or_create(slug="pay", name="Payments")[0]
    given = {"key": "PAY-9", "title": "Payments 9", "window": window(), "product": product, "coordinator": cast.ada}
    return birth.create_release(saved(SMALL), by=cast.ada, **(given | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("window", timedelta(minutes=-1), "in the past"),
        ("key", "PAY 9", "letters, digits"),
        ("key", "", "blank"),
        ("title", "  ", "needs a title"),
    ],
)
def test_creation_refuses_what_cannot_be(field: str, value: object, sentence: str, cast: Cast) -> None:
    bad = window(value) if isinstance(value, timedelta) else value
    with pytest.raises(DomainError, match=sentence):
        create(cast, **{field: bad})
    assert not Release.objects.exists()


def test_a_key_is_used_once_whatever_its_case(cast: Cast) -> None:
    create(cast)
    with pytest.raises(DomainError, match="exists already"):
        create(cast, key="pay-9")


def test_no_release_is_made_from_a_retired_template(cast: Cast) -> None:
    version = saved(SMALL)
    version.template.retired_at = timezone.now()
    version.template.save()
    with pytest.raises(DomainError, match="retired"):
        create(cast)
