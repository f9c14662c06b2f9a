"""Planning a release in a real browser: with script, without it, and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from releases.models import Product, Release
from tests.factories import SMALL, Cast, ReleaseFactory, saved

if TYPE_CHECKING:
    from playwright.sync_api import Page

PageAs = Callable[..., "Page"]
Axe = Callable[["Page"], list[str]]


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    saved(SMALL)
    return Cast()


def fill(page: Page, key: str = "PAY-4.2") -> None:
    page.get_by_label("Key", exact=False).first.fill(key)
    page.get_by_label("Title").fill("Payments 4.2")
    page.get_by_label("Product").fill("Payments")


def test_the_page_is_accessible_and_never_wider_than_the_screen(
    cast: Cast, page_as: PageAs, live_url: str, axe: Axe
) -> None:
    for look in ({}, {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}}):
        page = page_as(cast.ada, **look)
        for path in ("/releases/new/", "/settings/"):
            page.goto(live_url + path)
            assert axe(page) == []
            assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        page.goto(f"{live_url}/releases/new/")
        page.get_by_role("button", name="Plan the release").click()
        expect(page.get_by_role("alert").first).to_contain_text("Nothing is saved yet")
        assert axe(page) == []


def test_moments_follow_the_window_and_people_get_more_places_as_one_types(
    cast: Cast, page_as: PageAs, live_url: str
) -> None:
    page = page_as(cast.ada)
    page.goto(f"{live_url}/releases/new/")
    fill(page)
    page.get_by_label("Day of T-0").fill("2030-10-15")
    page.get_by_label("T-0", exact=True).fill("09:00")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    page.get_by_label("Time zone").blur()
    expect(page.locator("#preview")).to_contain_text("Mon 14 Oct 09:00 JST")
    page.get_by_label("Developers", exact=False).first.select_option(label="Gus Rao")
    page.get_by_role("button", name="Another Developers").click()
    expect(page.locator("select[name=role-developers]")).to_have_count(2)
    page.get_by_label("Developers, 2").select_option(label="Ben Osei")
    expect(page.get_by_label("Title")).to_have_value("Payments 4.2")
    page.get_by_role("button", name="Plan the release").last.click()
    page.wait_for_url("**/r/PAY-4.2/")
    release = Release.objects.get()
    held = release.assignments.filter(role__slug="developers").values_list("user__name", flat=True)
    assert sorted(held) == ["Ben Osei", "Gus Rao"]
    assert release.t_zero.isoformat() == "2030-10-15T00:00:00+00:00"


def test_the_people_of_the_last_release_come_with_one_press(cast: Cast, page_as: PageAs, live_url: str) -> None:
    ReleaseFactory(key="PAY-4.1", product=Product.objects.create(slug="payments", name="Payments"))
    page = page_as(cast.ada)
    page.goto(f"{live_url}/releases/new/")
    fill(page)
    page.get_by_role("button", name="Take the last release’s people").click()
    expect(page.locator("#who")).to_contain_text("These are the people of the last release of Payments")
    expect(page.locator("select[name=role-qa-lead]")).to_have_value(str(cast.ben.pk))
    expect(page.get_by_label("Title")).to_have_value("Payments 4.2")


def test_who_else_may_look_is_asked_only_of_a_restricted_release(cast: Cast, page_as: PageAs, live_url: str) -> None:
    page = page_as(cast.ada)
    page.goto(f"{live_url}/releases/new/")
    expect(page.get_by_label("Who else may look")).to_be_hidden()
    page.get_by_label("Restricted").check()
    expect(page.get_by_label("Who else may look")).to_be_visible()


def test_without_script_the_same_form_plans_a_release(cast: Cast, page_as: PageAs, live_url: str) -> None:
    page = page_as(cast.ada, java_script_enabled=False)
    page.goto(f"{live_url}/releases/new/")
    fill(page)
    page.get_by_role("button", name="Another QA Lead").click()
    expect(page.locator("select[name=role-qa-lead]")).to_have_count(1)
    page.locator("select[name=role-qa-lead]").select_option(label="Ben Osei")
    page.get_by_role("button", name="Another QA Lead").click()
    expect(page.locator("select[name=role-qa-lead]")).to_have_count(2)
    assert page.url.endswith("#at-qa-lead")
    page.get_by_label("Window ends").fill("nonsense")
    page.get_by_role("button", name="Plan the release").last.click()
    expect(page.get_by_role("alert").first).to_contain_text("Nothing is saved yet")
    expect(page.locator("select[name=role-qa-lead]")).to_have_value(str(cast.ben.pk))
    page.get_by_label("Window ends").fill("90 min")
    page.get_by_role("button", name="Plan the release").last.click()
    page.wait_for_url("**/r/PAY-4.2/")
    expect(page.locator("body")).to_contain_text("PAY-4.2 is planned.")
