"""The go/no-go room and the rollback in a real browser: live, in two presses, with nothing typed lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse
from django.utils import timezone

from releases import gonogo, ticking
from releases.models import Choice, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, seat, vote_go, window

if TYPE_CHECKING:
    from playwright.sync_api import Page

THEMES = [("light", 1280), ("dark", 360)]  # colours do not depend on the width; the journey looks at all four


@pytest.fixture
def cast(live_url: str) -> Cast:
    return Cast()


@pytest.fixture
def polling(cast: Cast) -> Release:
    made = ReleaseFactory(key="PAY-4.2", title="Payments 4.2", window=window(timedelta(hours=5)))
    return bring_to(made, Status.POLLING)


@pytest.fixture
def opened(page_as: Callable[..., Page], live_url: str) -> Callable[..., Page]:
    """Open a page of a release as somebody: `opened("decision", polling, cast.ben)`."""

    def go(name: str, release: Release, person: Any, query: str = "", **options: Any) -> Page:
        page = page_as(person, **options)
        page.goto(f"{live_url}{reverse(f'releases:{name}', args=[release.key])}{query}")
        return page

    return go


def test_a_ballot_is_cast_without_a_reload_and_shows_on_the_other_screens(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    dana = opened("decision", polling, cast.dana)
    ben = opened("decision", polling, cast.ben)
    ben.evaluate("window.stayed = true")
    ben.locator("#ballots").get_by_label("NO-GO", exact=True).check()
    ben.get_by_label("Statement").fill("two queries fail")
    ben.get_by_role("button", name="Answer the poll").click()
    ben.locator("#seat-qa-lead .lamp", has_text="NO-GO").wait_for()
    assert ben.evaluate("window.stayed")
    assert ben.evaluate("document.activeElement.id") == f"vote-{seat(polling, 'QA Lead').pk}"
    dana.locator("#seat-qa-lead", has_text="two queries fail").wait_for()


def test_a_no_go_ballot_without_words_asks_for_them_in_place(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    ben = opened("decision", polling, cast.ben)
    ben.locator("#ballots").get_by_label("NO-GO", exact=True).check()
    ben.get_by_role("button", name="Answer the poll").click()
    ben.get_by_text("A NO-GO needs its statement").wait_for()
    assert ben.locator("#ballots").get_by_label("NO-GO", exact=True).is_checked()
    assert ben.evaluate("document.activeElement.name").endswith("statement")


def test_a_go_takes_two_presses_and_the_enter_key_alone_records_nothing(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    vote_go(polling)
    ada = opened("decision", polling, cast.ada)
    ada.locator("#decide").get_by_label("GO", exact=False).first.check()
    ada.get_by_label("Rationale").fill("All green.")
    ada.get_by_role("button", name="Record GO for Payments 4.2").click()
    assert fresh(polling).status == Status.POLLING
    ada.get_by_role("button", name="Yes, record GO").click()
    ada.locator("#call-h", has_text="GO").wait_for()
    assert fresh(polling).status == Status.CLEARED


def test_only_what_the_call_needs_is_unfolded(opened: Callable[..., Page], polling: Release, cast: Cast) -> None:
    ada = opened("decision", polling, cast.ada)
    decide = ada.locator("#decide")
    rationale, reasons = decide.get_by_text("Rationale: what spoke for it"), decide.get_by_text("Reasons", exact=True)
    assert not rationale.is_visible()
    decide.locator("[name=call][value=no_go]").check()
    assert reasons.is_visible()
    assert not decide.get_by_label("Day of T-0").is_visible()
    decide.locator("[name=then][value=new]").check()
    assert decide.get_by_label("Day of T-0").is_visible()
    decide.locator("[name=call][value=go]").check()
    assert rationale.is_visible()
    assert decide.get_by_text("A GO now goes against").is_visible()
    assert not decide.get_by_label("Day of T-0").is_visible()


def test_what_the_coordinator_writes_survives_a_refusal_and_other_peoples_ballots(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    ada = opened("decision", polling, cast.ada)
    decide = ada.locator("#decide")
    decide.locator("[name=call][value=no_go]").check()
    decide.locator("[name=rationale]").fill("Two queries fail.")
    decide.locator("[name=action-0-title]").fill("Rebuild the index")
    gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="two fail")
    ada.locator("#seat-qa-lead", has_text="two fail").wait_for()
    decide.get_by_role("button", name="Record NO-GO").click()
    decide.get_by_role("button", name="Yes, record NO-GO").click()
    decide.get_by_text("Name its owner").wait_for()
    assert decide.locator("[name=rationale]").input_value() == "Two queries fail."
    assert decide.locator("[name=action-0-title]").input_value() == "Rebuild the index"
    ada.wait_for_function("document.activeElement.name === 'action-0-owner'")
    decide.get_by_role("button", name="One more row").and_(decide.locator("#more-action")).click()
    decide.locator("[name=action-3-title]").wait_for()
    assert decide.locator("[name=rationale]").input_value() == "Two queries fail."
    assert fresh(polling).status == Status.POLLING


def test_the_question_of_the_override_follows_what_happens_meanwhile(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    vote_go(polling)
    ada = opened("decision", polling, cast.ada)
    ada.locator("#decide [name=call][value=go]").check()
    assert ada.get_by_text("Everything that must hold before a GO does").is_visible()
    ticking.block(item(polling, "Backup taken"), "the disk is full", by=cast.ada)
    ada.locator("#against", has_text="“Backup taken” is blocked").wait_for()
    ada.locator("#ballots").get_by_role("button", name="Still GO").click()
    ada.locator("#seat-release-coordinator .lamp", has_not_text="stale").wait_for()


def test_a_decision_is_recorded_without_script(opened: Callable[..., Page], polling: Release, cast: Cast) -> None:
    vote_go(polling)
    ada = opened("decision", polling, cast.ada, java_script_enabled=False)
    ada.locator("#decide [name=call][value=go]").check()
    ada.locator("#decide [name=rationale]").fill("All green.")
    ada.get_by_role("button", name="Record GO for Payments 4.2").click()
    ada.get_by_text("Decided by").wait_for()
    assert fresh(polling).status == Status.CLEARED


def test_a_rollback_is_run_on_a_phone_and_its_log_follows_on_the_other_screens(
    opened: Callable[..., Page], cast: Cast
) -> None:
    made = ReleaseFactory(key="ID-2.8", title="Identity 2.8", window=window(timedelta(hours=5)))
    rolling = bring_to(made, Status.ROLLING_BACK)
    dana = opened("rollback", rolling, cast.dana)
    eli = opened("rollback", rolling, cast.eli, viewport={"width": 360, "height": 740})
    eli.get_by_label("Critical: users cannot work").check()
    eli.get_by_label("Roll back").check()
    eli.get_by_role("button", name="Record the way out").click()
    eli.get_by_role("heading", name="Execute rollback").wait_for()
    dana.get_by_role("heading", name="Execute rollback").wait_for()
    eli.evaluate("window.stayed = true")
    eli.get_by_label("Add a line to the log").fill("the old image is warm")
    eli.keyboard.press("Enter")
    eli.locator("#log", has_text="the old image is warm").wait_for()
    assert eli.evaluate("window.stayed")
    assert eli.get_by_label("Add a line to the log").input_value() == ""
    assert eli.evaluate("document.activeElement.id") == "log-text"
    dana.locator("#log", has_text="the old image is warm").wait_for()


@pytest.mark.parametrize(("theme", "width"), THEMES)
def test_the_pages_are_accessible_and_fit_the_screen(
    opened: Callable[..., Page], polling: Release, cast: Cast, axe: Callable[[Page], list[str]], theme: str, width: int
) -> None:
    gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="two fail " * 30)
    rolling = bring_to(ReleaseFactory(key="ID-2.8", title="Identity " * 8), Status.ROLLING_BACK)
    cleared = bring_to(ReleaseFactory(key="CLR-1", title="Cleared"), Status.CLEARED)
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    for name, release in (
        ("decision", polling),
        ("decision", cleared),
        ("schedule", polling),
        ("start", cleared),
        ("go_withdraw", cleared),
        ("rollback", rolling),
        ("hold", polling),
        ("cancel", polling),
    ):
        page = opened(name, release, cast.ada, **options)
        if name == "decision" and release == polling:
            page.locator("#decide [name=call][value=no_go]").check()
            page.locator("#decide [name=then][value=new]").check()
        assert axe(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name


def test_times_are_given_in_the_readers_zone_and_the_window_form_in_the_releases(
    opened: Callable[..., Page], polling: Release, cast: Cast
) -> None:
    page = opened("schedule", polling, cast.ada, timezone_id="Asia/Kathmandu")
    here = timezone.localtime(polling.t_zero, polling.zone)
    assert page.get_by_label("T-0", exact=True).input_value() == f"{here:%H:%M}"
    assert page.get_by_label("Time zone").input_value() == "Europe/Berlin"
