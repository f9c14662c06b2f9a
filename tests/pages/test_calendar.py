"""The secret address of a person's calendar, the settings that make it, the file of a release; each named as its rule."""

from __future__ import annotations

import html
import logging
import re

import pytest
from django.test import Client

from relcoord.models import User
from releases import feed, workflow
from releases.models import CalendarFeed, Release
from tests.factories import Cast, ReleaseFactory
from tests.rfc5545 import read
from tests.snapshot import changed, snapshot
from tests.web import markup, signed_in, text

RESET = "/settings/calendar/"


@pytest.fixture
def address(release: Release, cast: Cast) -> str:
    return f"/cal/{feed.reset(cast.ben)}.ics"


def made(client: Client) -> str:
    """Have an address made on the settings page, as a person does; returns its path."""
    answer = client.post(RESET)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    found = re.search(r'id="feed-address" value="http://localhost:8000(/cal/[^"]+\.ics)" readonly', markup(answer))
    assert found
    return html.unescape(found[1])


def test_the_settings_make_an_address_show_it_once_and_reset_it(release: Release, cast: Cast) -> None:
    ben = signed_in(cast.ben)
    assert "You have no address yet. Make an address" in text(ben.get("/settings/"))
    first = made(ben)
    page = ben.get("/settings/")
    assert "Your address was made" in text(page)
    assert "/cal/" not in markup(page), "shown once"
    assert first.removeprefix("/cal/").removesuffix(".ics") not in str(list(CalendarFeed.objects.values()))
    assert Client().get(first).status_code == 200
    second = made(ben)
    for method in ("get", "head"):
        assert getattr(Client(), method)(first).status_code == 404, "at once"
        assert getattr(Client(), method)(second).status_code == 200
    assert made(signed_in(cast.gus)) != second
    assert Client().get(second).status_code == 200, "another's reset is their own"
    assert ben.get(RESET).status_code == 405


def test_a_program_reads_the_feed_without_a_log_in_and_changes_nothing(address: str, release: Release) -> None:
    before = snapshot()
    answer = Client().get(address)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert not answer.cookies
    calendar = read(answer.content)
    assert calendar.get("NAME") == "Releases of Ben Osei"
    assert release.t_zero in {event.dtstart for event in calendar.inside}
    head = Client().head(address)
    assert (head.status_code, head.content) == (200, b"")
    again = Client().get(address, headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert changed(before, snapshot()) == []
    workflow.hold(release, "incident elsewhere", by=release.coordinator)
    newer = Client().get(address, headers={"If-None-Match": answer["ETag"]})
    assert newer.status_code == 200
    assert {event.status for event in read(newer.content).inside} == {"TENTATIVE"}


def test_an_address_of_nobody_and_of_a_closed_account_are_not_found(address: str, cast: Cast) -> None:
    strangers = Client()
    for path in ("/cal/x.ics", "/cal/%00.ics", f"/cal/{CalendarFeed.objects.get().token_hash}.ics", address[:-4]):
        assert strangers.get(path).status_code in (400, 404), path
    User.objects.filter(pk=cast.ben.pk).update(is_active=False)
    assert strangers.get(address).status_code == 404
    assert signed_in(cast.gus).get(address).status_code == 404


def test_no_log_holds_the_token(address: str, caplog: pytest.LogCaptureFixture) -> None:
    token = address.removeprefix("/cal/").removesuffix(".ics")
    with caplog.at_level(logging.DEBUG):
        assert Client(enforce_csrf_checks=True).post(address).status_code == 403
        assert Client().post(address).status_code == 405
        assert Client().get(address + "/").status_code == 404
        assert Client().get(address.replace(".ics", "x.ics")).status_code == 404
    assert caplog.text.count("/cal/***") >= 4
    assert token not in caplog.text


def test_whoever_may_see_a_release_takes_its_moments_as_a_file(release: Release, cast: Cast) -> None:
    path = f"/r/{release.key}/calendar.ics"
    cy = signed_in(cast.cy)
    assert f'href="{path}"' in markup(cy.get(release.get_absolute_url()))
    answer = cy.get(path)
    assert answer["Content-Disposition"] == 'attachment; filename="PAY-4.2.ics"'
    calendar = read(answer.content)
    assert calendar.method == "PUBLISH"
    assert [event.uid.split(".")[0] for event in calendar.inside] == ["window", "poll"]
    assert calendar.inside[0].dtstart == release.t_zero
    assert not any(event.attendee for event in calendar.inside)
    hidden = ReleaseFactory(key="SEC-1", restricted=True)
    assert cy.get(f"/r/{hidden.key}/calendar.ics").status_code == 404
    assert Client().get(path).status_code == 302
