"""My work: what is mine across releases, by time."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from releases import people, ticking, workflow
from releases.models import ActionItem, Release, Status
from releases.views.mywork import Work, work_of
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item
from tests.web import markup, signed_in, text

ME = "/me/"


def titles(work: Work, group: str) -> list[str]:
    return [task.item.title for task in getattr(work, group)]


@pytest.fixture
def ada(cast: Cast) -> Client:
    return signed_in(cast.ada)


def test_items_are_grouped_by_when_their_phase_opens(release: Release, cast: Cast) -> None:
    work = work_of(cast.ada, timezone.now())
    assert titles(work, "now") == []
    assert titles(work, "next") == ["All PRs merged", "Backup taken"]
    assert "Close release ticket" not in titles(work, "later")  # it cannot be ticked yet
    opened = work_of(cast.ada, release.t_zero - timedelta(days=2))
    assert titles(opened, "now") == ["All PRs merged", "Backup taken"]


def test_each_sees_what_their_roles_hold_and_only_that(release: Release, cast: Cast) -> None:
    near = release.t_zero - timedelta(hours=3)
    assert titles(work_of(cast.ben, near), "now") == ["QA sign-off obtained"]
    assert titles(work_of(cast.gus, near), "now") == ["Performance verified"]
    assert work_of(cast.cy, near).count == 0


def test_late_items_come_first(release: Release, cast: Cast) -> None:
    other = ReleaseFactory(key="B-1")
    ticking.block(item(other, "Backup taken"), "no space", by=cast.ada)
    work = work_of(cast.ada, release.t_zero - timedelta(hours=23))
    assert [task.late for task in work.now] == sorted((task.late for task in work.now), reverse=True)


def test_an_optional_item_asks_nobody(release: Release, cast: Cast) -> None:
    assert "Order cake" not in titles(work_of(cast.ada, release.t_zero - timedelta(days=2)), "now")


def test_what_is_asked_of_me_stands_above_items_and_is_counted(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    ActionItem.objects.create(
        release=release, source="no_go", blocks="poll", title="Fix it", owner=cast.dana, due_at=timezone.now()
    )
    said = text(signed_in(cast.dana).get(ME))
    assert "Asked of you 2" in said
    assert "Payments waits for your GO or NO-GO" in said
    assert "Action item of Payments, from its NO-GO. Holds the next poll" in said
    assert work_of(cast.dana, timezone.now()).count == 2


def test_a_deputy_sees_for_whom_they_stand_in(release: Release, cast: Cast) -> None:
    today = timezone.localdate()
    people.delegate(cast.ben, cast.cy, today, today, by=cast.ben)
    with time_machine.travel(timezone.now(), tick=False):
        said = text(signed_in(cast.cy).get(ME))
    assert "QA sign-off obtained" in said
    assert "for Ben Osei, who is away" in said


def test_nothing_to_do_says_what_comes_next(release: Release, cast: Cast) -> None:
    said = text(signed_in(cast.ben).get(ME))
    assert "Nothing is open for you" in said
    assert "Next for you: QA sign-off obtained, Payments, opens" in said
    assert "What you hold in a release shows here" in text(signed_in(cast.cy).get(ME))


def test_a_tick_on_my_work_comes_back_to_it(release: Release, cast: Cast, ada: Client) -> None:
    row = item(release, "All PRs merged")
    page = markup(ada.get(ME))
    url = reverse("releases:item_done", args=[release.key, row.pk])
    assert f'action="{url}"' in page
    answer = ada.post(url, {"v": str(row.version), "to": "done", "next": ME})
    assert (answer.status_code, answer["Location"]) == (303, ME)
    said = text(ada.get(ME))
    assert "All PRs merged is done" in said
    assert "Settled today 1" in said


def test_what_wants_more_than_a_tick_leads_to_its_page(release: Release, cast: Cast, ada: Client) -> None:
    bring_to(release, Status.DEPLOYING)
    watch = item(release, "Monitor metrics")
    page = markup(ada.get(ME))
    assert f'id="item-{watch.pk}"' in page
    assert f'id="tick-{watch.pk}"' not in page


def test_a_stopped_clock_is_said_on_each_row(release: Release, cast: Cast, ada: Client) -> None:
    workflow.hold(release, "the vendor is away", by=cast.ada)
    said = text(ada.get(ME))
    assert "PAY-4.2 HOLD" in said
    assert "Payments is on hold" in said


def test_a_blocked_item_shows_its_reason(release: Release, cast: Cast, ada: Client) -> None:
    ticking.block(item(release, "All PRs merged"), "two <b>reviews</b> missing", by=cast.ada)
    page = ada.get(ME)
    assert "Blocked: two &lt;b&gt;reviews&lt;/b&gt; missing" in markup(page)


def test_the_badge_says_what_the_page_says(release: Release, cast: Cast, ada: Client) -> None:
    bring_to(release, Status.POLLING)
    ada.get(ME)
    assert cache.get(f"mine:{cast.ada.pk}") == work_of(cast.ada, timezone.now()).count == 1
    assert "1 open for you" in text(ada.get("/settings/"))


def test_an_open_page_hears_when_something_of_mine_changes(release: Release, cast: Cast, ada: Client) -> None:
    live = ada.get(ME).context["live_url"]
    assert ada.get(live).status_code == 204
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    assert ada.get(live).json()["changed"] == ["mine"]
    fragment = markup(ada.get(ME, headers={"HX-Request": "true", "HX-Target": "mine"}))
    assert fragment.lstrip().startswith('<div class="stack" id="mine"')


def test_what_ended_leaves_my_work(release: Release, cast: Cast) -> None:
    workflow.cancel(fresh(release), "not needed", by=cast.ada)
    assert work_of(cast.ada, release.t_zero).count == 0


def test_it_asks_as_much_for_two_releases_as_for_twenty(cast: Cast, ada: Client) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert ada.get(ME).status_code == 200
        return len(asked)

    def two() -> None:
        bring_to(ReleaseFactory(), Status.POLLING)
        ticking.block(item(ReleaseFactory(), "All PRs merged"), "two reviews missing", by=cast.ada)

    two()
    statements()
    cache.set("heartbeat", {"reminders": timezone.now()}, 600)
    few = statements()
    for _ in range(9):
        two()
    assert statements() == few
    assert few <= 20


def test_a_long_list_is_cut_and_says_how_much_is_left(cast: Cast, ada: Client) -> None:
    for _ in range(21):
        ReleaseFactory()
    said = text(ada.get(ME))
    assert "Next 42" in said
    assert "And 2 more, on the pages of their releases." in said
