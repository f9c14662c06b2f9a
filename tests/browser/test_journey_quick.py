"""The journey's short form: `dev.py run` as a newcomer starts it, people in browsers of their own, the pages alone."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.acceptance import server, story
from tests.acceptance.journey import Journey


def test_people_come_in_and_take_a_release_from_its_plan_to_its_go(browser: Browser) -> None:
    with server.running() as site:
        journey = Journey(browser, site, examine=False)
        story.quick(journey)
        assert journey.finish() == []
