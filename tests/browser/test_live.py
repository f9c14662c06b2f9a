"""Two real browsers on one release, over the stream: what one does the other sees, and what happens without a stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from relcoord import stream
from releases import ticking, workflow
from releases.models import Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, vote_go, window

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOON = 12_000  # milliseconds: beside a stream a page asks every 30 s, so what comes within these came by the stream


@pytest.fixture
def cast(live_url: str) -> Cast:
    return Cast()


@pytest.fixture
def release(cast: Cast) -> Release:
    return ReleaseFactory(key="PAY-4.2", title="Payments 4.2", window=window(timedelta(hours=20)))


@pytest.fixture
def opened(page_as: Callable[..., Page], live_url: str, release: Release) -> Callable[..., Page]:
    """Open a page of the release as somebody, and wait until it is live: `opened(cast.ben, "decision")`."""

    def go(person: Any, name: str = "release", *, wait_for: str = "live", before: Any = None) -> Page:
        page = page_as(person)
        if before:
            before(page)
        page.goto(f"{live_url}{reverse(f'releases:{name}', args=[release.key])}")
        page.locator(f"#live[data-state={wait_for}]").wait_for()
        return page

    return go


def test_two_browsers_see_each_other_tick_vote_decide_reschedule_and_roll_back(
    opened: Callable[..., Page], live_url: str, release: Release, cast: Cast
) -> None:
    adas, bens = opened(cast.ada), opened(cast.ben)
    asked: list[str] = []
    bens.on("request", lambda request: asked.append(request.url) if "/live/?" in request.url else None)

    def ben_reads(words: str) -> None:
        bens.locator("#activity").get_by_text(re.compile(words)).first.wait_for(timeout=SOON)

    merged = item(release, "All PRs merged")
    adas.get_by_role("button", name="Done: All PRs merged").click()
    bens.locator(f'#item-{merged.pk}[data-state="done"]').wait_for(timeout=SOON)
    bens.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)
    assert len(asked) == 1, "one question, however many parts changed"

    ticking.reopen(merged, by=cast.ada)
    bring_to(release, Status.POLLING)
    adas.goto(f"{live_url}/r/PAY-4.2/decision/")
    adas.locator("#ballots").get_by_label("GO", exact=True).check()
    adas.get_by_role("button", name="Answer the poll").click()
    ben_reads("voted|answered|GO")
    bens.locator("#head[data-mode=decide]").wait_for(timeout=SOON)

    vote_go(release)
    adas.goto(f"{live_url}/r/PAY-4.2/decision/")
    adas.locator("#decide [name=call][value=go]").check()
    adas.locator("#decide [name=rationale]").fill("All green.")
    adas.get_by_role("button", name="Record GO for Payments 4.2").click()
    adas.get_by_role("button", name="Yes, record GO").click()
    ben_reads("decided GO")

    adas.goto(f"{live_url}/r/PAY-4.2/schedule/")
    adas.get_by_label("Day of T-0").fill(f"{release.t_zero + timedelta(days=3):%Y-%m-%d}")
    adas.locator("#reschedule").get_by_label(re.compile("Why|Reason", re.IGNORECASE)).fill("A fair is on")
    adas.get_by_role("button", name="Look at what moves").click()
    adas.locator("#move").click()
    ben_reads("moved T-0 from")
    bens.locator("#head[data-mode=prepare]").wait_for(timeout=SOON)

    bring_to(fresh(release), Status.DEPLOYING)
    adas.goto(f"{live_url}/r/PAY-4.2/rollback/")
    adas.get_by_label(re.compile("^What did you see")).fill("Every fourth log-in fails")
    adas.locator("#trigger").click()
    adas.get_by_role("button", name="Yes, start the rollback").click()
    ben_reads("started rollback 1")
    bens.locator("#head[data-mode=rollback]").wait_for(timeout=SOON)


def test_a_hidden_page_lets_its_stream_go_and_catches_up_when_it_is_seen_again(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    page, listening = opened(cast.ben), stream.application.hub.size
    show = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    show += " document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(show, True)
    page.wait_for_timeout(100)
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    page.wait_for_timeout(300)
    assert stream.application.hub.size == listening - 1
    assert page.locator("#head").get_by_text("0 of 13").is_visible(), "nobody looks, nothing is fetched"

    page.evaluate(show, False)
    page.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)
    workflow.hold(release, "on-call is tied up", by=cast.ada)
    page.locator("#head").get_by_text("HOLD", exact=True).wait_for(timeout=SOON)
    assert stream.application.hub.size == listening


def test_without_a_stream_the_page_says_so_and_polls(opened: Callable[..., Page], release: Release, cast: Cast) -> None:
    page = opened(
        cast.ben, wait_for="slower", before=lambda page: page.route("**/live/stream*", lambda route: route.abort())
    )
    assert page.locator("#live").inner_text().startswith("Slower, as of")
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    page.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)
