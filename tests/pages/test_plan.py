"""Planning a release over HTTP: one page, nothing saved until everything fits, nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from checklists.editing import retire_template
from checklists.models import Template
from releases.models import Product, Release, Submission
from tests.factories import SMALL, Cast, ReleaseFactory, saved
from tests.snapshot import changed, snapshot
from tests.web import markup, signed_in, text

NEW = "/releases/new/"
NOW = "2026-09-01T09:00:00Z"


@pytest.fixture(autouse=True)
def _in_september() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def checklist(db: None) -> Template:
    return saved(SMALL).template


@pytest.fixture
def ada(cast: Cast, checklist: Template) -> Client:
    return signed_in(cast.ada)


def typed(cast: Cast, **other: Any) -> dict[str, Any]:
    return {
        "key": "PAY-4.2",
        "title": "Payments 4.2",
        "product": "Payments",
        "template": "small-checklist",
        "coordinator": str(cast.ada.pk),
        "notes": "Ask *Dana*.",
        "window-day": "2026-10-15",
        "window-at": "14:00",
        "window-zone": "Europe/Berlin",
        "window-ends": "2 h",
        "once": "a-form",
        "do": "plan",
    } | other


def test_the_page_offers_the_reader_as_coordinator_and_a_window_next_week(ada: Client, cast: Cast) -> None:
    page = ada.get(NEW)
    assert f'<option value="{cast.ada.pk}" selected>' in markup(page)
    assert 'value="2026-09-08"' in markup(page)
    said = text(page)
    assert "10 items in 5 phases, 4 seats in the Go/No-Go" in said or "items in 5 phases, 4 seats" in said
    assert "Staging Mon 7 Sep 14:00 UTC" in said


def test_a_release_is_planned_in_one_post(ada: Client, cast: Cast) -> None:
    answer = ada.post(
        NEW, typed(cast, **{"role-qa-lead": [str(cast.ben.pk)], "role-developers": [str(cast.gus.pk), ""]})
    )
    assert (answer.status_code, answer["Location"]) == (303, "/r/PAY-4.2/")
    release = Release.objects.get()
    assert (release.title, release.product.name, release.coordinator) == ("Payments 4.2", "Payments", cast.ada)
    assert release.t_zero.isoformat() == "2026-10-15T12:00:00+00:00"
    held = {(row.role.slug, row.user.name) for row in release.assignments.select_related("role", "user")}
    assert held == {
        ("release-coordinator", "Ada Lovelace"),
        ("qa-lead", "Ben Osei"),
        ("developers", "Gus Rao"),
    }


def test_what_is_still_nobodys_is_said_at_once(ada: Client, cast: Cast) -> None:
    answer = ada.post(NEW, typed(cast), follow=True)
    said = text(answer)
    assert "PAY-4.2 is planned." in said
    assert "items have no role and are Ada Lovelace’s until given to somebody" in said
    assert "Nobody is Project Manager, QA Lead, On-call Engineer yet." in said


WRONG = {
    "no key": ({"key": ""}, "Give it a key, such as PAY-4.2."),
    "a key with a blank": ({"key": "PAY 4"}, "Write it in letters, digits, dots and hyphens"),
    "a key that is a path": ({"key": "../x"}, "Write it in letters, digits, dots and hyphens"),
    "no title": ({"title": "  "}, "Give it a title"),
    "no product": ({"product": "!!"}, "Give the product a name in letters or digits"),
    "a day that is none": ({"window-day": "2026-02-30"}, "Write the day like 2026-11-26"),
    "the past": ({"window-day": "2026-08-31"}, "T-0 is in the past"),
    "no such zone": ({"window-zone": "Europe/Berln"}, "Did you mean Europe/Berlin"),
    "an end before the start": ({"window-ends": "13:00"}, "The window ends before it begins"),
    "no coordinator": ({"coordinator": ""}, "Say who coordinates it"),
    "somebody unknown": ({"role-qa-lead": ["999999"]}, "Choose people from the list"),
    "no number": ({"role-qa-lead": ["x"]}, "Choose people from the list"),
    "another checklist": ({"template": "never-was"}, "Select a valid choice"),
    "a NUL": ({"title": "a\x00b"}, "Null characters are not allowed"),
    "too long": ({"title": "x" * 121}, "at most 120 characters"),
}


@pytest.mark.parametrize(("other", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    ada: Client, cast: Cast, other: dict[str, Any], sentence: str
) -> None:
    before = snapshot()
    data = typed(cast, **({"role-developers": [str(cast.gus.pk), str(cast.fay.pk)], "restricted": "on"} | other))
    answer = ada.post(NEW, data)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert "Nothing is saved yet." in text(answer)
    assert changed(before, snapshot()) == []
    page = markup(answer)
    for name in ("key", "title", "product", "window-day", "window-at", "window-zone", "window-ends"):
        if data[name] and "\x00" not in data[name]:
            assert f'name="{name}" value="{data[name]}"' in page or data[name].isspace(), name
    assert "Ask *Dana*." in page
    for person in (cast.gus, cast.fay):
        assert page.count(f'<option value="{person.pk}" selected>') == 1
    assert "checked" in page.split('name="restricted"')[1].split(">")[0]
    assert 'name="once" value="a-form"' in page


@pytest.mark.parametrize(
    ("day", "at", "sentence", "instants"),
    [
        ("2026-10-25", "02:30", "02:30 comes twice", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"]),
        ("2027-03-28", "02:30", "02:30 does not exist", ["2027-03-28T00:30:00+00:00", "2027-03-28T01:30:00+00:00"]),
    ],
)
def test_a_wall_time_that_is_not_one_instant_is_asked_for_and_then_taken(
    ada: Client, cast: Cast, day: str, at: str, sentence: str, instants: list[str]
) -> None:
    answer = ada.post(NEW, typed(cast, **{"window-day": day, "window-at": at}))
    assert answer.status_code == 422
    assert sentence in text(answer)
    for instant in instants:
        assert f'type="radio" name="window-start_meant" value="{instant}"' in markup(answer)
    chosen = ada.post(NEW, typed(cast, **{"window-day": day, "window-at": at, "window-start_meant": instants[1]}))
    assert chosen.status_code == 303
    assert Release.objects.get().t_zero.isoformat() == instants[1]


def test_a_key_is_used_once_whatever_its_case(ada: Client, cast: Cast) -> None:
    ReleaseFactory(key="PAY-4.2")
    answer = ada.post(NEW, typed(cast, key="pay-4.2", once="another-form"))
    assert answer.status_code == 422
    assert "pay-4.2 exists already; keys are used once." in text(answer)


def test_the_same_form_sent_twice_plans_one_release_and_leads_to_it(ada: Client, cast: Cast) -> None:
    first, second = ada.post(NEW, typed(cast)), ada.post(NEW, typed(cast))
    assert (first.status_code, second.status_code) == (303, 303)
    assert first["Location"] == second["Location"]
    assert Release.objects.count() == Submission.objects.count() == 1


def test_a_nul_where_no_form_looks_is_taken_out(ada: Client, cast: Cast) -> None:
    nul = {"template": "small\x00-checklist", "product": "Pay\x00ments"}
    assert ada.post(NEW, typed(cast, do="people", **nul)).status_code == 200
    assert ada.post(NEW, typed(cast, once="a\x00b", **nul)).status_code == 422
    assert ada.post(NEW, typed(cast, once="a\x00b")).status_code == 303


def test_another_persons_key_of_a_form_is_not_theirs_to_follow(ada: Client, cast: Cast) -> None:
    ada.post(NEW, typed(cast))
    answer = signed_in(cast.gus).post(NEW, typed(cast))
    assert answer.status_code == 422
    assert "exists already" in text(answer)


# The product and its people


def test_a_product_is_found_by_name_and_a_new_one_made(ada: Client, cast: Cast) -> None:
    known = Product.objects.create(slug="payments", name="Payments")
    ada.post(NEW, typed(cast, product="  PAYMENTS "))
    assert Release.objects.get().product == known
    ada.post(NEW, typed(cast, key="NEW-1", product="Brand  new", once="b"))
    assert Release.objects.get(key="NEW-1").product.name == "Brand new"


def test_the_people_of_the_last_release_are_taken_with_everything_typed_kept(ada: Client, cast: Cast) -> None:
    before_it = ReleaseFactory(key="PAY-4.1", product=Product.objects.create(slug="payments", name="Payments"))
    before = snapshot()
    answer = ada.post(NEW, typed(cast, do="people", title="Payments 4.2 & more"))
    page = markup(answer)
    assert answer.status_code == 200
    assert "These are the people of the last release of Payments" in text(answer)
    for name, person in (("qa-lead", cast.ben), ("developers", cast.gus), ("on-call-engineer", cast.eli)):
        select = page.split(f'name="role-{name}"')[1].split("</select>")[0]
        assert f'value="{person.pk}" selected' in select
    assert 'value="Payments 4.2 &amp; more"' in page
    assert changed(before, snapshot()) == []
    assert before_it.assignments.count() == 6


@pytest.mark.parametrize(
    ("product", "sentence"),
    [("Nothing yet", "There is no earlier release of Nothing yet."), ("", "Say the product first, above.")],
)
def test_a_product_without_an_earlier_release_says_so(ada: Client, cast: Cast, product: str, sentence: str) -> None:
    answer = ada.post(NEW, typed(cast, do="people", product=product, **{"role-qa-lead": [str(cast.ben.pk)]}))
    assert sentence in text(answer)
    assert f'value="{cast.ben.pk}" selected' in markup(answer)


def test_a_closed_account_is_not_taken_over(ada: Client, cast: Cast) -> None:
    ReleaseFactory(key="PAY-4.1", product=Product.objects.create(slug="payments", name="Payments"))
    cast.ben.is_active = False
    cast.ben.save()
    assert "Ben Osei" not in text(ada.post(NEW, typed(cast, do="people")))


def test_a_role_gets_one_more_place_and_only_that_part_comes_back_to_htmx(ada: Client, cast: Cast) -> None:
    data = typed(cast, do="more-developers", **{"role-developers": [str(cast.gus.pk)]})
    answer = ada.post(NEW, data, headers={"HX-Request": "true", "HX-Target": "who"})
    page = markup(answer)
    assert page.lstrip().startswith('<div class="stack who-form" id="who"')
    assert page.count('name="role-developers"') == 2
    assert page.count('name="role-qa-lead"') == 1
    assert 'aria-label="Developers, 2"' in page


def test_the_moments_follow_what_is_typed(ada: Client, cast: Cast) -> None:
    data = typed(cast, do="preview", **{"window-day": "2026-10-27", "window-at": "09:00"})
    answer = ada.post(NEW, data, headers={"HX-Request": "true", "HX-Target": "preview"})
    said = text(answer)
    assert "Readiness Sat 24 Oct 09:00 CEST" in said  # a day keeps its wall clock across the change
    assert "Staging Mon 26 Oct 09:00 CET" in said
    assert "Go/No-Go Tue 27 Oct 05:00 CET" in said
    assert "Post-deployment after the deployment" in said
    broken = ada.post(NEW, data | {"window-at": ""}, headers={"HX-Request": "true", "HX-Target": "preview"})
    assert "Say day, time and zone, and the moments stand here." in text(broken)


def test_a_near_t_zero_says_which_phases_are_open_at_once(ada: Client, cast: Cast) -> None:
    answer = ada.post(NEW, typed(cast, do="preview", **{"window-day": "2026-09-02", "window-at": "14:00"}))
    assert text(answer).count("open at once") == 1


# Who may see it, and what it is made from


def test_a_restricted_release_is_for_its_people_and_those_named(ada: Client, cast: Cast) -> None:
    ada.post(NEW, typed(cast, restricted="on", viewers=[str(cast.gus.pk)]))
    url = Release.objects.get().get_absolute_url()
    assert signed_in(cast.gus).get(url).status_code == 200
    assert signed_in(cast.cy).get(url).status_code == 404


def test_without_a_checklist_there_is_nothing_to_plan_from(cast: Cast) -> None:
    said = text(signed_in(cast.ada).get(NEW))
    assert "A release is made from a checklist, and there is none yet." in said
    before = snapshot()
    client = signed_in(cast.ada)
    before = snapshot()
    assert client.post(NEW, typed(cast)).status_code == 200
    assert changed(before, snapshot()) == []


def test_a_retired_checklist_is_not_offered(ada: Client, cast: Cast, checklist: Template) -> None:
    retire_template(checklist, by=cast.sam)
    assert "there is none yet" in text(ada.get(NEW))


def test_the_address_may_name_the_checklist(ada: Client, checklist: Template) -> None:
    assert '<option value="small-checklist" selected>' in markup(ada.get(NEW, {"checklist": checklist.slug}))
    assert ada.get(NEW, {"checklist": "never-was"}).status_code == 200


def test_namesakes_are_told_apart_by_their_address(ada: Client, cast: Cast) -> None:
    cast.gus.name = "Ben Osei"
    cast.gus.save()
    said = text(ada.get(NEW))
    assert "Ben Osei · ben@example.org" in said
    assert "Ben Osei · gus@example.org" in said


def test_the_dashboard_leads_here_and_the_answer_to_htmx_leads_on(ada: Client, cast: Cast) -> None:
    assert reverse("releases:create") == NEW
    answer = ada.post(NEW, typed(cast), headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/r/PAY-4.2/")
