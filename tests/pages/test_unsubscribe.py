"""The link that ends mails of a kind, and the settings that choose them; each test named as its rule."""

from __future__ import annotations

import logging

import pytest
from django.core import signing
from django.test import Client

from releases import optout
from releases.models import OptOut, Release
from tests.factories import Cast
from tests.snapshot import changed, snapshot
from tests.web import signed_in, text

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def link(cast: Cast) -> str:
    return optout.path(cast.ben, "closed")


@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_the_link_shows_a_form_and_changes_nothing(method: str, link: str) -> None:
    before = snapshot()
    answer = getattr(Client(), method)(link)
    assert answer.status_code == 200
    assert changed(before, snapshot()) == []
    if method == "get":
        assert "No more of these mails? A release was closed: ben@example.org" in text(answer)
        assert "no-store" in answer["Cache-Control"]


def test_a_mail_programs_post_without_log_in_or_cookie_opts_out(link: str, cast: Cast) -> None:
    answer = Client(enforce_csrf_checks=True).post(link, ONE_CLICK)
    assert answer.status_code == 200, "RFC 8058: no redirect, no log-in"
    assert "You get no more of these mails" in text(answer)
    assert list(OptOut.objects.values_list("user", "kind")) == [(cast.ben.pk, "closed")]


def test_the_buttons_post_does_the_same_and_a_second_one_nothing_more(link: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.post(link)
    before = snapshot()
    assert client.post(link).status_code == 200
    assert changed(before, snapshot()) == []
    assert "You get no more of these mails" in text(client.get(link))


@pytest.mark.parametrize("token", ["nonsense", "eyJhIjoxfQ:1:x", "%00"])
def test_a_link_that_was_not_made_here_is_not_found_and_ends_nothing(token: str, cast: Cast) -> None:
    for method in ("get", "post"):
        assert getattr(Client(), method)(f"/unsubscribe/{token}/").status_code in (400, 404)
    assert not OptOut.objects.exists()


def test_no_log_holds_the_token(link: str, caplog: pytest.LogCaptureFixture) -> None:
    broken = link[:-3] + "xx/"
    token = broken.rstrip("/").rsplit("/", 1)[1]
    with caplog.at_level(logging.DEBUG):
        assert Client().post(broken).status_code == 404
        assert Client().put(link).status_code == 405
    assert "/unsubscribe/***/" in caplog.text
    assert token not in caplog.text
    assert link.rstrip("/").rsplit("/", 1)[1] not in caplog.text


def test_the_settings_show_the_choice_and_take_it(link: str, cast: Cast) -> None:
    Client().post(link, ONE_CLICK)
    ben = signed_in(cast.ben)
    page = ben.get("/settings/").content.decode()
    assert 'value="closed"' in page
    assert page.count("checked") >= 7
    answer = ben.post("/settings/mails/", {"wanted": ["mark", "closed"]}, follow=True)
    assert "Saved" in text(answer)
    assert optout.wanted(cast.ben) == ["mark", "closed"]


def test_the_settings_offer_no_way_out_of_votes_and_rollback(cast: Cast) -> None:
    ben = signed_in(cast.ben)
    page = ben.get("/settings/").content.decode()
    for kind in ("asked", "decision", "rollback_started", "alarm", "escalation"):
        assert f'name="wanted" value="{kind}"' not in page
    assert ben.post("/settings/mails/", {"wanted": ["asked"]}).status_code == 422
    assert not OptOut.objects.exists()


def test_the_coordinator_sees_on_the_reminders_page_who_opted_out(release: Release, cast: Cast) -> None:
    Client().post(optout.path(cast.ben, "mark"), ONE_CLICK)
    page = text(signed_in(cast.ada).get(f"/r/{release.key}/reminders/"))
    assert "Ben Osei has opted out of mails about: T-reminder. If it matters, tell Ben directly." in page


def test_a_token_says_whose_mails_end_whoever_is_signed_in(link: str, cast: Cast) -> None:
    signed_in(cast.gus).post(link)
    assert [row.user for row in OptOut.objects.select_related("user")] == [cast.ben]
    assert signing.loads(link.rstrip("/").rsplit("/", 1)[1], salt="unsubscribe")["person"] == cast.ben.pk
