"""Who gets a ticket to listen, what it opens, and what verbs tell the streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
import time_machine
from django.core import signing
from django.db import transaction
from django.test import Client

from relcoord.lib import broadcast, tickets
from relcoord.lib.tickets import LIFE, Ticket
from releases import people, ticking
from releases.models import Release
from tests import provision
from tests.factories import Cast, ReleaseFactory, fresh, item, role, settle_gate, window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def held(address: str) -> str:
    return parse_qs(urlsplit(address).query)["ticket"][0]


def opens(address: str, after: float = 0.0) -> Ticket | None:
    """What the ticket in `address` opens, so many seconds from now."""
    return tickets.read(held(address), time.time() + after)


def test_a_ticket_says_who_listens_to_which_release_and_from_where_on() -> None:
    address = tickets.address(7, 42, 9, NOON)
    assert tickets.read(held(address), NOON.timestamp()) == Ticket(7, 42, 9, NOON.timestamp())


def test_a_ticket_is_for_some_minutes() -> None:
    text = held(tickets.address(7, 42, 9, NOON))
    assert tickets.read(text, NOON.timestamp() + LIFE - 1)
    assert tickets.read(text, NOON.timestamp() + LIFE) is None


def test_a_ticket_made_by_others_opens_nothing() -> None:
    text, now = held(tickets.address(7, 42, 9, NOON)), NOON.timestamp()
    what = [7, 43, 9, int(now * 1000)]
    for forged in (
        "",
        "x",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        signing.Signer(salt=tickets.SALT, key="k" * 50).sign_object(what),
        signing.Signer(salt="unsubscribe").sign_object(what),
        signing.Signer(salt=tickets.SALT).sign_object({"release": 43}),
        signing.Signer(salt=tickets.SALT).sign_object([7]),
    ):
        assert tickets.read(forged, now) is None, forged


def test_a_page_and_each_answer_to_its_poll_bring_a_ticket_for_its_reader(
    release: Release, cast: Cast, client: Client
) -> None:
    client.force_login(cast.ben)
    page = client.get(release.get_absolute_url())
    first = opens(page.context["live_stream"])
    assert first
    assert (first.user, first.release, first.revision) == (cast.ben.pk, release.pk, fresh(release).event_sequence)
    assert page.context["live_stream"] in page.content.decode().replace("&amp;", "&")

    quiet = client.get(page.context["live_url"])
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    news = client.get(page.context["live_url"])
    assert (quiet.status_code, news.status_code) == (204, 200)
    assert opens(quiet.headers["X-Live-Stream"])
    later = opens(news.headers["X-Live-Stream"])
    assert later
    assert later.revision == fresh(release).event_sequence > first.revision


@pytest.mark.parametrize("page", ["/releases/", "/me/"])
def test_a_page_across_releases_hears_that_something_changed_and_not_what(
    page: str, release: Release, cast: Cast, client: Client
) -> None:
    client.force_login(cast.ben)
    answer = client.get(page)
    for address in (answer.context["live_stream"], client.get(answer.context["live_url"]).headers["X-Live-Stream"]):
        ticket = opens(address)
        assert ticket
        assert (ticket.user, ticket.release) == (cast.ben.pk, None)


def test_nobody_gets_a_ticket_for_what_they_may_not_see(cast: Cast, client: Client) -> None:
    hidden = ReleaseFactory(key="SEC-1", restricted=True)
    for name in ("", "live/", "decision/"):
        assert "X-Live-Stream" not in client.get(f"/r/SEC-1/{name}").headers, "who is not signed in"
    client.force_login(cast.cy)
    for name in ("", "live/", "decision/"):
        answer = client.get(f"/r/SEC-1/{name}")
        assert answer.status_code == 404
        assert "X-Live-Stream" not in answer.headers
        assert "ticket=" not in answer.content.decode()
    people.assign(hidden, role("QA Lead"), cast.cy, by=cast.ada)
    assert "X-Live-Stream" in client.get("/r/SEC-1/live/").headers


@time_machine.travel(NOON, tick=False)
def test_a_page_knows_the_next_moment_that_passes_without_a_click(cast: Cast, client: Client) -> None:
    release = ReleaseFactory(window=window(timedelta(days=3, minutes=1)))
    client.force_login(cast.ben)
    opening = int((NOON + timedelta(minutes=1)).timestamp() * 1000)

    page = client.get(release.get_absolute_url())
    assert page.context["live_next"] == opening
    assert client.get(page.context["live_url"]).headers["X-Live-Next"] == str(opening)
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        assert int(client.get(page.context["live_url"]).headers["X-Live-Next"]) > opening


# What verbs tell


@pytest.fixture
def heard(settings: Any) -> Iterator[Any]:
    """What came over Redis since it was asked last: `heard()`."""
    with provision.redis() as url:
        settings.REDIS_URL = url
        with closing(redis.Redis.from_url(url, decode_responses=True)) as client, client.pubsub() as news:
            news.subscribe(broadcast.channel(url))
            assert news.get_message(timeout=5)

            def since() -> list[str]:
                client.publish(broadcast.channel(url), "end")
                said: list[str] = []
                while said[-1:] != ["end"]:
                    message = news.get_message(timeout=5)
                    assert message
                    said.append(message["data"])
                return said[:-1]

            yield since


@pytest.mark.django_db(transaction=True)
def test_a_transaction_is_told_once_when_it_is_committed_and_never_when_it_is_not(heard: Any) -> None:
    cast, release = Cast(), ReleaseFactory()
    heard()
    with transaction.atomic():
        ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
        assert heard() == [], "nobody may fetch what is not there yet"
    assert heard() == [f"{release.pk} {fresh(release).event_sequence}"]

    with transaction.atomic():
        ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
        transaction.set_rollback(True)
    assert heard() == []


@pytest.mark.django_db(transaction=True)
def test_a_verb_of_many_events_is_told_as_one(heard: Any) -> None:
    cast, release = Cast(), ReleaseFactory()
    settle_gate(release)
    before = fresh(release).event_sequence
    heard()
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    after = fresh(release).event_sequence
    assert after > before + 1, "the computed item followed"
    assert heard() == [f"{release.pk} {after}"]


@pytest.mark.django_db(transaction=True)
def test_a_dead_redis_fails_no_verb_and_is_waited_for_once(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{provision.free_port()}/0"
    monkeypatch.setattr(broadcast, "counted", broadcast.Counter())
    cast, release = Cast(), ReleaseFactory()
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    assert fresh(release).event_sequence > 2
    assert broadcast.counted["failed"] == 1
    assert broadcast.counted["skipped"] >= 2
    assert broadcast.counted["sent"] == 0


def test_two_sites_on_one_redis_do_not_hear_each_other() -> None:
    assert broadcast.channel("redis://one:6379/0") != broadcast.channel("redis://one:6379/1")
    assert broadcast.channel("redis://one:6379") == broadcast.channel("redis://one:6379/0")
