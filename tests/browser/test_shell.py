"""The frame of every page in a real browser: reachable by eye, keyboard, screen reader and phone; calm without script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relcoord.models import User
from releases.models import Ballot, Status
from tests.factories import Cast, ReleaseFactory, bring_to

if TYPE_CHECKING:
    from playwright.sync_api import Page

CASES = json.loads((Path(__file__).parent.parent / "lib" / "clock_cases.json").read_text(encoding="utf-8"))
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
STRANGERS = ["/accounts/login/?next=/r/PAY-4.2/", "/accounts/password/reset/", "/nowhere-at-all/"]
SIGNED_IN = [
    "/help/",
    "/nowhere/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
    "/settings/",
]


@pytest.fixture
def ada(live_url: str) -> User:
    return User.objects.create_user("ada@example.org", "a long pass phrase", name="Ada Lovelace")


def too_wide(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_before_the_log_in_have_no_fault_of_accessibility(
    new_context: Callable[..., Any], live_url: str, axe: Callable[[Page], list[str]], scheme: str
) -> None:
    page = new_context(color_scheme=scheme, **PHONE).new_page()
    for path in STRANGERS:
        page.goto(live_url + path)
        assert axe(page) == [], path
        assert too_wide(page) <= 0, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_the_account_have_no_fault_of_accessibility(
    page_as: Callable[..., Page], live_url: str, ada: User, axe: Callable[[Page], list[str]], scheme: str
) -> None:
    page = page_as(ada, color_scheme=scheme, **PHONE)
    for path in SIGNED_IN:
        page.goto(live_url + path)
        assert axe(page) == [], path
        assert too_wide(page) <= 0, path


def test_one_logs_in_and_lands_where_one_was_going(page: Page, live_url: str, ada: User) -> None:
    page.goto(f"{live_url}/help/")
    assert page.get_by_text("You were going to /help/").is_visible()
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("E-mail").input_value() == "ada@example.org", "what was typed stays"
    page.get_by_label("Password").fill("a long pass phrase")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Help", exact=True).wait_for()


def test_one_logs_in_and_out_without_script(new_context: Callable[..., Any], live_url: str, ada: User) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{live_url}/help/")
    assert page.get_by_text("Use a passkey").is_hidden(), "it needs script"
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill("a long pass phrase")
    page.get_by_role("button", name="Log in").click()
    page.locator("#as-of").wait_for()
    page.get_by_text("Account of Ada Lovelace").locator("..").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()


def test_the_browser_s_clock_says_the_same_words_as_the_server_s(page: Page, live_url: str) -> None:
    page.goto(f"{live_url}/accounts/login/")
    said = page.evaluate("cases => cases.map(({kind, seconds}) => relcoord.clockWords[kind](seconds))", CASES)
    assert said == [case["text"] for case in CASES]
    assert page.evaluate("Object.keys(relcoord.clockWords)") == list(dict.fromkeys(case["kind"] for case in CASES))


def test_a_clock_on_the_client_that_is_wrong_does_no_harm(page: Page, live_url: str) -> None:
    page.clock.install(time="2030-01-01T00:00:00Z")
    page.goto(f"{live_url}/accounts/login/")
    off = page.evaluate("Math.abs(relcoord.now() - Date.parse(document.documentElement.dataset.now))")
    assert off < 60_000, "milliseconds between the page's clock and the server's"


def test_the_browser_s_zone_is_taken_when_nobody_chose_one(
    new_context: Callable[..., Any], page_as: Callable[..., Page], live_url: str, ada: User
) -> None:
    page = page_as(ada, timezone_id="Asia/Tokyo")
    page.goto(f"{live_url}/help/")
    page.reload()
    assert "Asia/Tokyo" in page.locator("footer").inner_text()


def test_question_mark_lists_the_keys_and_escape_closes_them(
    page_as: Callable[..., Page], live_url: str, ada: User
) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/help/")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    dialog.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_keys_are_letters_in_a_field_and_nothing_when_switched_off(
    page_as: Callable[..., Page], live_url: str, ada: User
) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/settings/")
    name = page.get_by_label("Name")
    name.focus()
    page.keyboard.press("End")
    page.keyboard.type("g?x")
    assert name.input_value().endswith("g?x")
    assert page.get_by_role("dialog").count() == 0

    User.objects.update(single_keys=False)
    page.goto(f"{live_url}/help/")
    page.keyboard.press("?")
    page.keyboard.type("gm")
    assert page.get_by_role("dialog").count() == 0
    assert page.url.endswith("/help/")


def test_two_keys_go_to_a_page(page_as: Callable[..., Page], live_url: str, ada: User) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/help/")
    page.keyboard.type("gm")
    page.get_by_role("heading", name="My work").wait_for()


def test_the_first_tab_skips_to_the_content(page_as: Callable[..., Page], live_url: str, ada: User) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/help/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    assert skip.evaluate("link => link === document.activeElement && link.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_menu_closes_with_escape_and_gives_the_focus_back(
    page_as: Callable[..., Page], live_url: str, ada: User
) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/help/")
    menu = page.locator(".bar details.menu")
    menu.locator("summary").press("Enter")
    page.get_by_role("link", name="Settings", exact=True).focus()
    page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_chosen_theme_is_seen_at_once_and_kept_for_the_log_in_page(
    page_as: Callable[..., Page], live_url: str, ada: User
) -> None:
    page = page_as(ada, color_scheme="light")
    page.goto(f"{live_url}/settings/")
    page.get_by_label("Dark").check()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state()
    page.goto(f"{live_url}/help/")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.context.clear_cookies(name="sessionid")
    page.goto(f"{live_url}/accounts/login/")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_typing_is_not_lost_by_leaving(page_as: Callable[..., Page], live_url: str, ada: User) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/settings/")
    page.get_by_label("Name").fill("Ada K.")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(f"{live_url}/help/")
    assert asked == ["beforeunload"]


def test_a_form_that_is_sent_twice_is_posted_once(page_as: Callable[..., Page], live_url: str, ada: User) -> None:
    page = page_as(ada)
    page.goto(f"{live_url}/settings/")
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).evaluate("button => { button.click(); button.click() }")
    assert len(posts) == 1


def test_a_session_that_ended_becomes_a_log_in_of_the_whole_page(page_as: Callable[..., Page], live_url: str) -> None:
    cast = Cast()
    page = page_as(cast.ada)
    page.goto(f"{live_url}/releases/")
    page.context.clear_cookies(name="sessionid")
    page.evaluate("htmx.ajax('GET', '/releases/', {target: '#main', swap: 'innerHTML'})")
    page.get_by_role("heading", name="Log in").wait_for()
    assert page.url.endswith("/accounts/login/?next=/releases/")


def test_a_digit_chooses_an_answer_and_sends_nothing(page_as: Callable[..., Page], live_url: str) -> None:
    cast = Cast()
    bring_to(ReleaseFactory(key="PAY-4.2"), Status.POLLING)
    ballots = Ballot.objects.count()
    page = page_as(cast.ben)
    page.goto(f"{live_url}/r/PAY-4.2/decision/")
    page.keyboard.press("2")
    assert page.get_by_role("radio").nth(1).is_checked()
    assert Ballot.objects.count() == ballots
