"""The dashboard over HTTP: what it shows to whom, its filters, its fragments, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from releases import ticking, workflow
from releases.models import FINAL, Item, Phase, Product, Release, Status
from tests.factories import Cast, ReleaseFactory, UserFactory, bring_to, item, window
from tests.web import markup, signed_in, text

DASHBOARD = "/releases/"


@pytest.fixture
def ada(cast: Cast) -> Client:
    return signed_in(cast.ada)


def htmx(client: Client, target: str, **query: str) -> str:
    answer = client.get(DASHBOARD, query, headers={"HX-Request": "true", "HX-Target": target})
    assert answer.status_code == 200
    return markup(answer)


def test_the_front_door_leads_to_the_releases(ada: Client) -> None:
    assert ada.get("/")["Location"] == DASHBOARD


def test_an_empty_site_says_in_one_sentence_how_it_begins(ada: Client) -> None:
    said = text(ada.get(DASHBOARD))
    assert "No releases yet." in said
    assert "Plan a release" in said
    assert "Needs you" not in said


def test_a_healthy_day_says_that_nothing_needs_attention_and_what_comes_next(ada: Client, release: Release) -> None:
    said = text(ada.get(DASHBOARD))
    assert "Nothing needs your attention" in said
    assert "Next: Payments, Readiness opens" in said


def test_what_needs_the_reader_stands_first_with_one_button(cast: Cast, release: Release) -> None:
    bring_to(release, Status.POLLING)
    page = signed_in(cast.dana).get(DASHBOARD)
    assert "1 thing" in text(page)
    assert f'href="{reverse("releases:decision", args=["PAY-4.2"])}"' in markup(page)
    assert "Payments waits for your GO or NO-GO" in text(page)


def test_more_than_eight_things_are_folded(ada: Client) -> None:
    for number in range(10):
        workflow.hold(ReleaseFactory(title=f"Held {number}"), "the vendor is away", by=Cast().ada)
    page = ada.get(DASHBOARD)
    assert "10 things" in text(page)
    assert 'id="more-asks"' in markup(page)
    assert "2 more" in text(page)


def test_each_row_says_clock_state_progress_and_who_is_waited_on(ada: Client, cast: Cast, release: Release) -> None:
    bring_to(release, Status.POLLING)
    said = text(ada.get(DASHBOARD))
    assert "Go/No-Go, 0 of 4 answered" in said
    assert "7 of 13" in said
    assert "Ada (you), Ben, Dana" in said
    assert "1 deciding" in said


def test_a_clash_names_both_releases_and_the_person(ada: Client) -> None:
    search = Product.objects.create(slug="search", name="Search")
    ReleaseFactory(key="PAY-1", title="Payments 1")
    ReleaseFactory(key="SRCH-1", title="Search 1", product=search)
    assert "Payments 1 and Search 1: Eli Tanaka is on call for both at the same time" in text(ada.get(DASHBOARD))


def test_titles_are_text_and_never_markup(ada: Client, cast: Cast) -> None:
    wild = ReleaseFactory(key="X-1", title="<script>alert(1)</script> & <b>co</b>")
    workflow.hold(wild, "<img src=x onerror=alert(1)>", by=cast.ada)
    page = markup(ada.get(DASHBOARD))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_what_rows_asks_and_lanes_name_is_text_too(cast: Cast) -> None:
    shop = Product.objects.create(slug="shop", name="<s>Shop")
    eve = UserFactory(name="<i>Eve <i>Adams")
    for key in ("X-1", "X-2"):
        release = ReleaseFactory(key=key, product=shop, coordinator=eve)
    Phase.objects.filter(release=release).update(name="<q>Early")
    Item.objects.filter(pk=item(release, "All PRs merged").pk).update(title="<u>Merged")
    ticking.block(item(release, "<u>Merged"), "<del>no", by=eve)

    page = markup(signed_in(eve).get(DASHBOARD))

    assert not re.search(r"<(s|i|q|u|del)>", page)
    for words in ("&lt;s&gt;Shop", "&lt;i&gt;Eve", "&lt;q&gt;Early", "&lt;u&gt;Merged", "&lt;del&gt;no"):
        assert words in page, words


# Filters


@pytest.fixture
def several(cast: Cast) -> None:
    search = Product.objects.create(slug="search", name="Search")
    ReleaseFactory(key="PAY-4.2", title="Payments 4.2")
    ReleaseFactory(key="SRCH-9.1", title="Search 9.1", product=search)
    bring_to(ReleaseFactory(key="WEB-5.7", title="Website 5.7"), Status.CLOSED)
    ReleaseFactory(key="LONE-1", title="Lone 1", holders={}, coordinator=cast.gus)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ({}, {"PAY-4.2", "SRCH-9.1", "LONE-1"}),
        ({"which": "mine"}, {"PAY-4.2", "SRCH-9.1"}),
        ({"which": "ended"}, {"WEB-5.7"}),
        ({"which": "all"}, {"PAY-4.2", "SRCH-9.1", "WEB-5.7", "LONE-1"}),
        ({"which": "nonsense"}, {"PAY-4.2", "SRCH-9.1", "LONE-1"}),
        ({"product": "search"}, {"SRCH-9.1"}),
        ({"q": "pay"}, {"PAY-4.2"}),
        ({"q": "Search 9"}, {"SRCH-9.1"}),
        ({"q": "web", "which": "all"}, {"WEB-5.7"}),
        ({"q": "%"}, set()),
        ({"page": "77"}, {"PAY-4.2", "SRCH-9.1", "LONE-1"}),
        ({"page": "x"}, {"PAY-4.2", "SRCH-9.1", "LONE-1"}),
    ],
)
def test_the_table_shows_what_was_asked_for(several: None, ada: Client, query: dict[str, str], keys: set[str]) -> None:
    board = markup(ada.get(DASHBOARD, query)).split('id="board"')[1].split('class="history"')[0]
    assert {key for key in ("PAY-4.2", "SRCH-9.1", "WEB-5.7", "LONE-1") if f">{key}<" in board} == keys


def test_a_filter_nothing_fits_says_so_and_leads_back(several: None, ada: Client) -> None:
    said = text(ada.get(DASHBOARD, {"q": "nothing like it"}))
    assert "No release fits." in said
    assert "0 fit" in said


def test_the_filter_comes_back_as_it_was_typed(several: None, ada: Client) -> None:
    page = markup(ada.get(DASHBOARD, {"q": 'a"<b>', "which": "ended", "product": "search"}))
    assert 'value="a&quot;&lt;b&gt;"' in page
    assert '<option value="ended" selected>' in page
    assert '<option value="search" selected>' in page


def test_an_address_with_a_nul_is_refused_before_anything_reads_it(ada: Client, release: Release) -> None:
    for url in (f"{DASHBOARD}?q=%00", "/r/%00/", "/releases/new/?checklist=%00", "/checklists/%00/"):
        assert ada.get(url).status_code == 400, url


def test_whoever_is_on_nothing_sees_all_that_is_not_restricted(several: None, cast: Cast) -> None:
    ReleaseFactory(key="SEC-1", title="Secret 1", restricted=True)
    said = text(signed_in(cast.cy).get(DASHBOARD, {"which": "all"}))
    assert "Payments 4.2" in said
    assert "Secret 1" not in said
    assert "You are on no release" in text(signed_in(cast.cy).get(DASHBOARD, {"which": "mine"}))


def test_fifty_rows_make_a_page_and_the_later_ones_the_next(ada: Client, cast: Cast) -> None:
    for number in range(51):
        ReleaseFactory(key=f"R-{number:02}", window=window(timedelta(days=2, minutes=number)))
    first, second = text(ada.get(DASHBOARD)), text(ada.get(DASHBOARD, {"page": "2"}))
    assert "R-49" in first
    assert "R-50" not in first.split("Coming releases")[1]
    assert "Page 2 of 2" in second
    assert "Sooner" in second


# Fragments and news


def test_htmx_gets_the_region_it_asked_for_and_no_more(several: None, ada: Client) -> None:
    board = htmx(ada, "board", q="pay")
    assert board.lstrip().startswith('<section id="board"')
    assert "<html" not in board
    assert "Search 9.1" not in board
    above = htmx(ada, "above")
    assert above.lstrip().startswith('<div class="stack" id="above"')
    assert "<table" not in above


def test_history_restored_by_htmx_is_a_whole_page(several: None, ada: Client) -> None:
    restored = {"HX-Request": "true", "HX-Target": "board", "HX-History-Restore-Request": "true"}
    assert "<html" in markup(ada.get(DASHBOARD, headers=restored))


def test_an_open_page_hears_of_a_change_and_else_of_nothing(ada: Client, cast: Cast, release: Release) -> None:
    live = ada.get(DASHBOARD).context["live_url"]
    assert ada.get(live).status_code == 204
    ticking.block(item(release, "All PRs merged"), "two reviews missing", by=cast.ada)
    news = ada.get(live).json()
    assert news["changed"] == ["above", "board"]
    assert ada.get(f"/releases/live/?token={news['token']}").status_code == 204


@pytest.mark.parametrize("status", [status for status in Status if status not in FINAL])
def test_the_page_and_its_token_count_the_same_in_every_state(ada: Client, release: Release, status: Status) -> None:
    bring_to(release, status)
    page = ada.get(DASHBOARD)
    assert page.context["summary"].startswith("1 ")
    assert ada.get(page.context["live_url"]).status_code == 204


# What it costs


def statements(client: Client, url: str = DASHBOARD, **headers: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url, headers=headers).status_code == 200
    return len(asked)


def one_of_each(cast: Cast) -> None:
    bring_to(ReleaseFactory(), Status.POLLING)
    bring_to(ReleaseFactory(), Status.ROLLING_BACK)
    bring_to(ReleaseFactory(), Status.CLOSED)
    workflow.hold(ReleaseFactory(), "the vendor is away", by=cast.ada)
    ticking.block(item(ReleaseFactory(), "All PRs merged"), "two reviews missing", by=cast.ada)


def test_the_page_asks_as_much_for_five_releases_as_for_twenty(ada: Client, cast: Cast) -> None:
    one_of_each(cast)
    statements(ada)  # the shell's values are kept for a while
    cache.set("heartbeat", {"reminders": timezone.now()}, 600)
    few = statements(ada)
    for _ in range(3):
        one_of_each(cast)
    assert statements(ada) == few
    assert few <= 14


def test_a_fragment_asks_less_than_the_page(ada: Client, cast: Cast) -> None:
    one_of_each(cast)
    statements(ada)
    whole = statements(ada)
    for target in ("board", "above"):
        assert statements(ada, **{"HX-Request": "true", "HX-Target": target}) < whole
    assert statements(ada, "/releases/live/") <= 3


def test_the_badge_is_counted_once_a_minute_and_anew_after_ones_own_act(
    ada: Client, cast: Cast, release: Release
) -> None:
    bring_to(release, Status.POLLING)
    cache.clear()
    first = statements(ada)
    assert statements(ada) < first
    signed_in(cast.ada).post(reverse("absence_add"), {})
    assert cache.get(f"mine:{cast.ada.pk}") is None
