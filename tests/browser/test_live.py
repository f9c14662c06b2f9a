"""Two real browsers on one release, over the stream: what one does the other sees, and what happens without a stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from releases import gonogo, rollback, ticking, workflow
from releases.models import Call, Choice, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, seat, vote_go, window

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOON = 4_000  # milliseconds: less than a poll, so what comes within them came by the stream


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


def test_two_browsers_see_each_other_tick_vote_decide_and_reschedule(
    opened: Callable[..., Page], release: Release, cast: Cast
) -> None:
    adas, bens = opened(cast.ada), opened(cast.ben)
    asked: list[str] = []
    bens.on("request", lambda request: asked.append(request.url) if "/live/?" in request.url else None)

    merged = item(release, "All PRs merged")
    adas.get_by_role("button", name="Done: All PRs merged").click()
    bens.locator(f'#item-{merged.pk}[data-state="done"]').wait_for(timeout=SOON)
    bens.locator("#head").get_by_text("1 of 13").wait_for(timeout=SOON)
    assert len(asked) == 1, "one question, however many parts changed"
