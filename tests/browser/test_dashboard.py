"""The dashboard and My work in a real browser: filter, news, keys, phone, dark, without script."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from releases import ticking
from releases.models import Product, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, item, window

if TYPE_CHECKING:
    from playwright.sync_api import Page

PageAs = Callable[..., "Page"]
Axe = Callable[["Page"], list[str]]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return Cast()


@pytest.fixture
def board(cast: Cast) -> Release:
    """One rolling back, one deciding, one blocked, one closed."""
    search = Product.objects.create(slug="search", name="Search")
    bring_to(ReleaseFactory(key="ID-2.8", title="Identity 2.8"), Status.ROLLING_BACK)
    bring_to(ReleaseFactory(key="SRCH-9.1", title="Search 9.1", product=search), Status.POLLING)
    bring_to(ReleaseFactory(key="WEB-5.7", title="Website 5.7"), Status.CLOSED)
    release = ReleaseFactory(key="PAY-4.2", title="Payments 4.2", window=window(timedelta(days=2, hours=4)))
    ticking.block(item(release, "Backup taken"), "no space", by=cast.ada)
    return release


def test_the_page_is_whole_accessible_and_never_wider_than_the_screen(
    board: Release, cast: Cast, page_as: PageAs, live_url: str, axe: Axe
) -> None:
    for look in (
        {},
        PHONE | {"color_scheme": "dark"},
    ):  # colours do not depend on the width; the journey looks at all four
        page = page_as(cast.dana, **look)
        for path in ("/releases/", "/me/"):
            page.goto(live_url + path)
            assert axe(page) == []
            assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_what_is_typed_into_the_filter_narrows_the_table_and_the_address_follows(
    board: Release, cast: Cast, page_as: PageAs, live_url: str
) -> None:
    page = page_as(cast.dana)
    page.goto(f"{live_url}/releases/")
    rows = page.locator("#board tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("Key or title").press_sequentially("pay")
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Key or title")).to_be_focused()
    assert "q=pay" in page.url
    page.get_by_label("Key or title").fill("")
    page.get_by_label("Which").select_option("Ended")
    expect(page.locator("#board h2")).to_have_text("Ended releases")
    page.reload()
    expect(page.get_by_label("Which")).to_have_value("ended")
    page.go_back()


def test_without_script_the_filter_is_a_form(board: Release, cast: Cast, page_as: PageAs, live_url: str) -> None:
    page = page_as(cast.dana, java_script_enabled=False)
    page.goto(f"{live_url}/releases/")
    page.get_by_label("Key or title").fill("search")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#board tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name=re.compile("Answer the poll.*SRCH-9.1"))).to_be_visible()


def test_an_open_page_shows_what_others_do_without_a_reload(
    board: Release, cast: Cast, page_as: PageAs, live_url: str
) -> None:
    page = page_as(cast.dana)
    page.goto(f"{live_url}/releases/")
    row = page.locator("#board tr", has_text="Payments 4.2")
    expect(row).to_contain_text("1 blocked")
    page.get_by_label("Which").focus()
    ticking.set_done(item(board, "Backup taken"), True, by=cast.ada)
    expect(row).not_to_contain_text("blocked", timeout=15_000)
    expect(page.locator("#needs")).not_to_contain_text("Payments 4.2: 1 item blocked")


def test_keys_walk_the_rows_and_open_one(board: Release, cast: Cast, page_as: PageAs, live_url: str) -> None:
    page = page_as(cast.dana)
    page.goto(f"{live_url}/releases/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 2
    page.keyboard.press("Enter")
    page.wait_for_url("**/r/**")
    page.go_back()
    page.keyboard.press("/")
    expect(page.get_by_label("Key or title")).to_be_focused()
    page.keyboard.press("Tab")
    page.locator("h1").click()
    page.keyboard.press("c")
    page.wait_for_url("**/releases/new/")


def test_a_tick_on_my_work_settles_and_can_be_undone(
    board: Release, cast: Cast, page_as: PageAs, live_url: str
) -> None:
    row = item(board, "All PRs merged")
    page = page_as(cast.ada)
    page.goto(f"{live_url}/me/")
    page.get_by_role("button", name="Done: All PRs merged, PAY-4.2").click()
    expect(page.locator(".messages")).to_contain_text("All PRs merged")
    expect(page.locator("#done")).to_contain_text("All PRs merged")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_load_state()
    row.refresh_from_db()
    assert row.state == "open"


def test_sixty_releases_keep_the_page_short_and_quick(cast: Cast, page_as: PageAs, live_url: str) -> None:
    for number in range(60):
        ReleaseFactory(key=f"R-{number:02}", window=window(timedelta(days=1, hours=3 * number)))
    page = page_as(cast.ada)
    page.goto(f"{live_url}/releases/")
    expect(page.locator("#board tbody tr")).to_have_count(50)
    expect(page.locator(".tl-names li")).to_have_count(12)
    assert len(page.content()) < 200_000
    page.get_by_role("link", name="Later").click()
    expect(page.locator("#board tbody tr")).to_have_count(10)
