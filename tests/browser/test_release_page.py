"""The release page in a real browser: one request a tick, focus that stays, news without a reload, nothing typed lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from releases import amending, ticking, workflow
from releases.models import Item, Release, State, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, settle_gate, standard, window

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOON = 8_000  # milliseconds: news come by the stream


@pytest.fixture
def cast(live_url: str) -> Cast:
    return Cast()


@pytest.fixture
def release(cast: Cast) -> Release:
    return ReleaseFactory(key="PAY-4.2", title="Payments 4.2", window=window(timedelta(hours=20)))


@pytest.fixture
def opened(page_as: Callable[..., Page], live_url: str, release: Release) -> Callable[..., Page]:
    """Open the release's page as somebody: `opened(cast.fay)`."""

    def go(person: Any, **options: Any) -> Page:
        page = page_as(person, **options)
        page.goto(f"{live_url}{release.get_absolute_url()}")
        return page

    return go


def row(page: Page, of: Item) -> Any:
    return page.locator(f"#item-{of.pk}")


def unfold(page: Page, of: Item) -> None:
    page.locator(f"#{of.phase.anchor}").evaluate("phase => { phase.open = true }")


def test_a_tick_is_one_request_and_the_focus_stays(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    done = item(release, "All PRs merged")
    page = opened(cast.ada)
    page.locator("#live[data-state=live]").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url.split('/r/')[-1]}"))

    page.get_by_role("button", name="Done: All PRs merged").click()
    page.get_by_text("All PRs merged is done").wait_for()
    row(page, done).and_(page.locator('[data-state="done"]')).wait_for()

    assert page.locator("#head").get_by_text("1 of 13").is_visible()
    assert page.locator("#phase-1-count").inner_text().strip() == "1 of 3"
    assert page.evaluate("document.activeElement.id") == f"tick-{done.pk}"
    page.wait_for_timeout(600)
    assert [line for line in asked if "/live/" not in line] == [f"POST PAY-4.2/items/{done.pk}/done/"]
    assert not [line for line in asked if "/live/" in line], (
        "the answer had everything; nothing was asked a second time"
    )


def test_undo_and_the_keyboard(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    page, first = opened(cast.ada), item(release, "All PRs merged")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('.row').id") == f"item-{first.pk}"
    page.keyboard.press("x")
    page.get_by_text("All PRs merged is done").wait_for()
    page.keyboard.press("u")
    page.get_by_text("All PRs merged is open again").wait_for()
    assert item(release, "All PRs merged").state == State.OPEN


def test_what_another_does_arrives_without_a_reload(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    bens = opened(cast.ben)
    merged = item(release, "All PRs merged")
    ticking.set_done(merged, True, by=cast.ada)

    row(bens, merged).and_(bens.locator('[data-state="done"]')).wait_for(timeout=SOON)
    bens.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)
    bens.locator("#activity").get_by_text("ticked “All PRs merged”").wait_for(timeout=SOON)


def test_a_change_of_state_redraws_the_list_and_keeps_open_what_was_open(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    page = opened(cast.ben)
    unfold(page, item(release, "Release announced"))
    workflow.hold(release, "on-call is tied up", by=cast.ada)

    page.locator("#head").get_by_text("HOLD", exact=True).wait_for(timeout=SOON)
    page.locator("#gate").get_by_text("On hold").wait_for(timeout=SOON)
    page.wait_for_timeout(500)
    assert page.locator("#phase-5").get_attribute("open") is not None


def test_an_item_turns_late_before_the_readers_eyes(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    merged = item(release, "All PRs merged")
    Item.objects.filter(pk=merged.pk).update(due=_offset_in(release, seconds=4))
    page = opened(cast.ben)
    assert "late" not in row(page, merged).inner_text()
    row(page, merged).get_by_text("late moments").wait_for(timeout=SOON + 4_000)


def _offset_in(release: Release, seconds: int) -> str:
    """An offset that names the moment some seconds from now: T-0 moves to a whole number of minutes from there."""
    t_zero = timezone.now() + timedelta(seconds=seconds, minutes=600)
    Release.objects.filter(pk=release.pk).update(t_zero=t_zero, window_end=t_zero + timedelta(hours=2))
    return "T-600m"


def test_news_never_replace_what_somebody_types(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    risks = item(release, "Assess risks")
    page = opened(cast.fay)
    unfold(page, risks)
    row(page, risks).locator("summary[data-key='.']").click()
    row(page, risks).get_by_role("link", name="Mark blocked").click()
    field = row(page, risks).get_by_label("What blocks it?")
    field.fill("the report is mis")
    assert page.url.endswith("/r/PAY-4.2/")

    ticking.set_done(risks, True, by=cast.ada, on_behalf="Fay said so")
    row(page, risks).get_by_text("Updated.").wait_for(timeout=SOON)
    assert field.input_value() == "the report is mis"
    page.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)

    field.fill("the report is missing")
    row(page, risks).get_by_role("button", name="Mark blocked").click()
    row(page, risks).get_by_text("Ada Lovelace changed “Assess risks”").wait_for()
    assert item(release, "Assess risks").state == State.DONE


def test_typing_survives_a_redraw_of_the_whole_list(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    risks = item(release, "Assess risks")
    page = opened(cast.fay)
    unfold(page, risks)
    row(page, risks).locator("summary[data-key='.']").click()
    row(page, risks).get_by_role("link", name="Write a note").click()
    row(page, risks).get_by_label("Note").fill("half a thou")

    workflow.hold(release, "a fix is awaited", by=cast.ada)
    page.locator("#gate").get_by_text("On hold").wait_for(timeout=SOON)
    page.wait_for_timeout(800)
    assert row(page, risks).get_by_label("Note").input_value() == "half a thou"


def test_evidence_is_asked_for_in_the_row_and_ticks_with_it(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    verified = item(release, "Performance verified")
    page = opened(cast.gus)
    unfold(page, verified)
    page.get_by_role("button", name="Done: Performance verified").click()
    field = row(page, verified).get_by_label("Link or note that shows it")
    field.wait_for()
    assert field.evaluate("field => field === document.activeElement")
    field.fill("https://ci.example.org/run/4812")
    row(page, verified).get_by_role("button", name="Save and mark done").click()
    row(page, verified).get_by_role("link", name="ci.example.org/run/4812").wait_for()
    assert item(release, "Performance verified").state == State.DONE


def test_ticking_for_another_names_the_consequence_in_the_row(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    risks = item(release, "Assess risks")
    page = opened(cast.ada)
    unfold(page, risks)
    page.get_by_role("button", name="Done for Fay: Assess risks").click()
    row(page, risks).get_by_text("The record will show: Ada Lovelace for Fay Lindqvist").wait_for()
    row(page, risks).get_by_label("Why do you tick it for them?").fill("She said so by phone")
    row(page, risks).get_by_role("button", name="Mark done").click()
    row(page, risks).get_by_text("For Fay Lindqvist: She said so by phone").wait_for()


def test_taking_the_go_back_names_the_consequence_first(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    bring_to(release, Status.CLEARED)
    merged = item(release, "All PRs merged")
    page = opened(cast.ada)
    unfold(page, merged)
    page.locator(f"#tick-{merged.pk}").click()
    row(page, merged).get_by_text("The GO is revoked").wait_for()
    row(page, merged).get_by_label("Why is the GO taken back?").fill("A change came in late")
    row(page, merged).get_by_role("button", name="Open it again").click()
    page.locator("#gate").get_by_text("Not ready: 1 item holds the Go/No-Go").wait_for()
    assert fresh(release).status == Status.PREPARING


def test_a_lost_answer_offers_to_try_again(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    merged = item(release, "All PRs merged")
    page = opened(cast.ada)
    page.evaluate("console.error = () => {}")  # htmx says there what the test means to happen
    page.route("**/done/", lambda route: route.abort())
    page.get_by_role("button", name="Done: All PRs merged").click()
    row(page, merged).get_by_text("Not saved.").wait_for()
    page.unroute("**/done/")
    row(page, merged).get_by_role("button", name="Retry").click()
    page.get_by_text("All PRs merged is done").wait_for()
    assert item(release, "All PRs merged").state == State.DONE


def test_the_page_works_without_scripts(
    page_as: Callable[..., Page], live_url: str, release: Release, cast: Cast
) -> None:
    page = page_as(cast.fay, java_script_enabled=False)
    page.goto(f"{live_url}/r/PAY-4.2/#item-{item(release, 'Assess risks').pk}")
    page.get_by_role("button", name="Done: Assess risks").click()  # its phase unfolded, because the address names it
    page.get_by_text("Assess risks is done").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Assess risks is open again").wait_for()

    risks = item(release, "Assess risks")
    page.goto(f"{live_url}/r/PAY-4.2/items/{risks.pk}/?form=block")
    page.get_by_label("What blocks it?").fill("the report is missing")
    page.get_by_role("button", name="Mark blocked").click()
    page.get_by_text("Assess risks is blocked").wait_for()
    assert item(release, "Assess risks").state_reason == "the report is missing"


def test_guidance_and_status_come_when_they_are_asked_for(
    page_as: Callable[..., Page], live_url: str, cast: Cast
) -> None:
    release = ReleaseFactory(key="PAY-5.0", version=standard(), window=window(timedelta(hours=20)))
    page = page_as(cast.ada)
    page.goto(f"{live_url}{release.get_absolute_url()}")
    merged = item(release, "All PRs merged")
    row(page, merged).get_by_text("how", exact=True).click()
    row(page, merged).get_by_text("Compare the release branch with the planned scope").wait_for()
    page.get_by_text("Status as text").click()
    page.locator("#status-text").get_by_text("PAY-5.0 Payments: T−").wait_for()


@pytest.mark.parametrize(("size", "scheme"), [((1440, 900), "light"), ((360, 780), "dark")], ids=["desktop", "phone"])
@pytest.mark.parametrize("status", [Status.PREPARING, Status.DEPLOYING, Status.ROLLING_BACK])
def test_nobody_is_shut_out(
    page_as: Callable[..., Page],
    live_url: str,
    release: Release,
    cast: Cast,
    axe: Callable[[Page], list[str]],
    scheme: str,
    size: tuple[int, int],
    status: Status,
) -> None:
    if status == Status.PREPARING:
        ticking.block(item(release, "All PRs merged"), "two are open", by=cast.ada)
        amending.edit_item(
            item(release, "Backup taken"), by=cast.ada, title="Backup " + "averylongwordwithoutblanks" * 6
        )
    bring_to(release, status) if status != Status.PREPARING else None
    page = page_as(cast.ada, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(f"{live_url}{release.get_absolute_url()}")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [(1440, 900), (360, 780)], ids=["desktop", "phone"])
def test_the_pages_around_it_shut_nobody_out_either(
    page_as: Callable[..., Page],
    live_url: str,
    release: Release,
    cast: Cast,
    axe: Callable[[Page], list[str]],
    size: tuple[int, int],
) -> None:
    settle_gate(release)
    risks = item(release, "Assess risks")
    page = page_as(cast.ada, viewport={"width": size[0], "height": size[1]})
    for path in (f"items/{risks.pk}/", f"items/{risks.pk}/edit/", "items/add/", "items/give/", "edit/"):
        page.goto(f"{live_url}/r/PAY-4.2/{path}")
        assert axe(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
