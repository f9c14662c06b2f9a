"""What the board says of a release, what needs whom, which releases clash, and the picture of fourteen days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.models import User
from releases import board, gonogo, items, people, rollback, ticking, workflow
from releases.asks import Ask, asks
from releases.board import Entry
from releases.conflicts import conflicts
from releases.history import history
from releases.models import ActionItem, Call, Choice, Product, Release, Status
from releases.timeline import LANES, Scale, timeline
from tests.factories import (
    Cast,
    ReleaseFactory,
    UserFactory,
    bring_to,
    fresh,
    item,
    role,
    seat,
    settle_gate,
    vote_go,
    window,
)

BERLIN = ZoneInfo("Europe/Berlin")


def row_of(release: Release, now: datetime | None = None) -> Entry:
    return board.entry(board.loaded(Release.objects.filter(pk=release.pk))[0], now or timezone.now())


def words(release: Release, now: datetime | None = None) -> tuple[str, str]:
    return row_of(release, now).words


def waiting(release: Release, now: datetime | None = None) -> dict[str, int]:
    return {person.name: number for person, number in row_of(release, now).waiting_on}


def asked(user: User, *releases: Release, now: datetime | None = None) -> list[Ask]:
    return asks([row_of(release, now) for release in releases], user)


# Where it stands


def test_a_release_on_track_carries_no_state(release: Release) -> None:
    state, _ = words(release)
    assert state == ""


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.POLLING, "polling"),
        (Status.CLEARED, "go"),
        (Status.NO_GO, "no_go"),
        (Status.DEPLOYING, "deploying"),
        (Status.DEPLOYED, ""),
        (Status.ROLLING_BACK, "rolling_back"),
        (Status.ROLLED_BACK, "rolled_back"),
        (Status.CLOSED, "closed"),
        (Status.CANCELLED, "cancelled"),
    ],
)
def test_each_status_has_its_words(release: Release, status: Status, state: str) -> None:
    found, said = words(bring_to(release, status))
    assert found == state
    assert said


def test_a_blocked_item_comes_before_late_ones(release: Release, cast: Cast) -> None:
    ticking.block(item(release, "All PRs merged"), "two reviews missing", by=cast.ada)
    assert words(release) == ("blocked", "Early, 1 blocked")
    after = release.t_zero - timedelta(hours=23)
    assert words(release, after) == ("blocked", "Staging, 1 blocked")


def test_an_item_is_late_once_its_phase_is_due_and_not_while_the_clock_is_held(release: Release, cast: Cast) -> None:
    after = release.t_zero - timedelta(hours=23)
    assert words(release, after) == ("late", "Staging, 2 late")
    workflow.hold(release, "the vendor is away", by=cast.ada)
    assert words(release, after) == ("hold", "On hold")


def test_what_is_due_within_four_hours_is_said(release: Release) -> None:
    settle_gate(release)
    ticking.reopen(item(release, "Performance verified"), by=release.coordinator)
    soon = release.t_zero - timedelta(hours=5)
    assert words(release, soon) == ("due_soon", "Staging, 1 due soon")


def test_a_required_role_nobody_holds_is_said(cast: Cast) -> None:
    holders = cast.holders()
    del holders[role("On-call Engineer")]
    bare = ReleaseFactory(holders=holders)
    assert words(bare) == ("risk", "No On-call Engineer named")
    assert waiting(bare) == {"Ada Lovelace": 1}


def test_t_zero_passed_without_a_decision_is_said_whether_polled_or_not(release: Release) -> None:
    after = release.t_zero + timedelta(minutes=1)
    assert words(release, after) == ("late", "T-0 has passed undecided")
    bring_to(release, Status.POLLING)
    assert words(release, after) == ("late", "T-0 has passed undecided")


def test_a_go_says_when_its_window_opens_and_when_it_has_lapsed(release: Release) -> None:
    bring_to(release, Status.CLEARED)
    assert words(release)[1] == "GO"
    assert words(release, release.t_zero + timedelta(minutes=1)) == ("now", "GO, window is open")
    assert words(release, release.window_end + timedelta(minutes=1)) == ("late", "GO lapsed with its window")


def test_a_running_watch_is_said_with_its_minutes(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    watch = items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    assert words(release, watch.started_at + timedelta(minutes=12)) == ("deploying", "Watching, 12 of 30 min")


def test_a_rollback_says_its_step(release: Release) -> None:
    bring_to(release, Status.ROLLING_BACK)
    assert words(release) == ("rolling_back", "Rolling back, step 2 of 6")


# Who is waited on


def test_people_are_waited_on_for_phases_that_have_opened_the_busiest_first(release: Release) -> None:
    assert waiting(release) == {}
    in_readiness = release.t_zero - timedelta(days=2)
    assert waiting(release, in_readiness) == {"Ada Lovelace": 2}
    in_staging = release.t_zero - timedelta(hours=20)
    assert list(waiting(release, in_staging).items()) == [("Ada Lovelace", 2), ("Ben Osei", 1), ("Gus Rao", 1)]


def test_seats_without_a_ballot_are_waited_on_when_they_are_required(release: Release) -> None:
    bring_to(release, Status.POLLING)
    assert waiting(release) == {"Ada Lovelace": 1, "Ben Osei": 1, "Dana Ruiz": 1}


def test_a_stopped_clock_waits_on_its_coordinator(release: Release, cast: Cast) -> None:
    workflow.hold(release, "the vendor is away", by=cast.ada)
    assert waiting(release) == {"Ada Lovelace": 1}


def test_an_owner_of_what_blocks_the_poll_is_waited_on(release: Release, cast: Cast) -> None:
    ActionItem.objects.create(
        release=release, source="no_go", blocks="poll", title="Fix it", owner=cast.gus, due_at=timezone.now()
    )
    assert waiting(release) == {"Gus Rao": 1}


def test_a_ballot_that_counts_no_more_counts_as_unanswered(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    vote_go(release)
    assert row_of(release).unanswered == ()
    ticking.block(item(release, "Assess risks"), "a new one", by=cast.fay)
    found = row_of(release)
    assert len(found.unanswered) == len(found.stale) == 4


# What needs whom


def titles(user: User, *releases: Release, now: datetime | None = None) -> list[str]:
    return [ask.title for ask in asked(user, *releases, now=now)]


def test_nothing_needs_somebody_who_is_on_no_release(release: Release, cast: Cast) -> None:
    bring_to(release, Status.ROLLING_BACK)
    assert asked(cast.cy, release) == []


def test_a_rollback_needs_those_who_run_it_and_nobody_else(release: Release, cast: Cast) -> None:
    bring_to(release, Status.ROLLING_BACK)
    for person in (cast.ada, cast.dana, cast.eli):
        (ask,) = asked(person, release)
        assert (ask.state, ask.primary, ask.button) == ("rolling_back", True, "Open rollback")
        assert "step 2 of 6: Assess severity" in ask.note
    assert asked(cast.gus, release) == []


def test_news_promised_in_a_rollback_are_said_in_the_readers_zone(release: Release, cast: Cast) -> None:
    bring_to(release, Status.ROLLING_BACK)
    row = release.rollbacks.get()
    rollback.promise_update(row, timezone.now() + timedelta(minutes=20), by=cast.ada)
    with timezone.override("Asia/Tokyo"):
        at = timezone.localtime(fresh(release).rollbacks.get().next_update_at)
        assert asked(cast.eli, release)[0].note.endswith(f"{at:%H:%M}")


def test_a_poll_needs_each_voter_until_they_have_answered_then_the_coordinator(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    assert titles(cast.ben, release) == ["Payments waits for your GO or NO-GO"]
    gonogo.cast_ballot(release, seat(release, "Release Coordinator"), Choice.GO, by=cast.ada)
    assert titles(cast.ada, release) == ["Payments waits for Dana Ruiz (Project Manager), Ben Osei (QA Lead)"]
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="two queries fail")
    assert titles(cast.ben, release) == []
    gonogo.cast_ballot(release, seat(release, "Project Manager"), Choice.GO, by=cast.dana)
    (ask,) = asked(cast.ada, release)
    assert ask.title == "Payments: every required seat has answered"
    assert ask.note == "3 of 4 answered, QA Lead says NO-GO"


def test_a_stale_ballot_is_asked_again_with_the_reason(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    vote_go(release)
    ticking.block(item(release, "Assess risks"), "a new one", by=cast.fay)
    (ask,) = [ask for ask in asked(cast.ben, release) if ask.state == "polling"]
    assert ask.title == "Payments: confirm your ballot"
    assert "Something got worse since" in ask.note


def test_late_items_are_told_to_their_holder_and_with_names_to_those_who_oversee(release: Release, cast: Cast) -> None:
    late = release.t_zero - timedelta(hours=3)
    assert titles(cast.ben, release, now=late) == ["Payments: QA sign-off obtained"]
    assert titles(cast.ada, release, now=late) == ["Payments: 2 of yours late", "Payments: 2 items late"]
    (ask,) = asked(cast.dana, release, now=late)
    assert ask.title == "Payments: 4 items late"
    assert ask.note == "Ada Lovelace 2, Ben Osei, Gus Rao"
    assert titles(cast.eli, release, now=late) == []


def test_a_blocked_item_is_told_to_those_who_oversee_with_its_reason(release: Release, cast: Cast) -> None:
    ticking.block(item(release, "All PRs merged"), "two reviews missing", by=cast.ada)
    (ask,) = asked(cast.dana, release)
    assert (ask.state, ask.note) == ("blocked", "All PRs merged: two reviews missing")


def test_undecided_an_hour_before_t_zero_alarms_coordinator_and_project_manager(release: Release, cast: Cast) -> None:
    settle_gate(release)
    near = release.t_zero - timedelta(minutes=59)
    for person in (cast.ada, cast.dana):
        assert "Payments is undecided" in titles(person, release, now=near)
    assert titles(cast.ben, release, now=near) == []
    assert titles(cast.ada, release, now=near - timedelta(minutes=2)) == []


def test_a_go_that_is_not_started_alarms_in_its_window_and_after_it(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLEARED)
    (now,) = asked(cast.dana, release, now=release.t_zero + timedelta(minutes=1))
    assert (now.state, now.primary) == ("now", True)
    (over,) = asked(cast.dana, release, now=release.window_end + timedelta(minutes=1))
    assert (over.state, over.primary) == ("late", False)


def test_a_hold_a_no_go_and_an_empty_role_need_the_coordinator(release: Release, cast: Cast) -> None:
    people.unassign(release, role("On-call Engineer"), cast.eli, by=cast.ada)
    assert titles(cast.ada, release) == ["Payments: nobody is On-call Engineer"]
    workflow.hold(release, "the vendor is away", by=cast.ada)
    assert titles(cast.ada, release) == ["Payments is on hold", "Payments: nobody is On-call Engineer"]
    other = bring_to(ReleaseFactory(title="Search"), Status.NO_GO)
    assert titles(cast.ada, other) == ["Search is NO-GO and not rescheduled"]
    assert asked(cast.ada, other)[0].face == "NO-GO"


def test_a_watch_that_ran_its_longest_asks_its_holder_for_the_verdict(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    watch = items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    assert titles(cast.ada, release, now=watch.started_at + timedelta(minutes=29)) == []
    assert titles(cast.ada, release, now=watch.started_at + timedelta(minutes=30)) == ["Payments: Monitor metrics"]


def test_a_deputy_is_asked_what_their_absent_holder_would_be(release: Release, cast: Cast) -> None:
    today = timezone.localdate()
    people.delegate(cast.ben, cast.cy, today, today, by=cast.ben)
    bring_to(release, Status.POLLING)
    assert titles(cast.cy, release) == ["Payments waits for your GO or NO-GO"]


def test_the_most_urgent_comes_first(cast: Cast) -> None:
    blocked = ReleaseFactory(key="A-1", title="Blocked")
    ticking.block(item(blocked, "All PRs merged"), "two reviews missing", by=cast.ada)
    polled = bring_to(ReleaseFactory(key="B-1", title="Polled"), Status.POLLING)
    failing = bring_to(ReleaseFactory(key="C-1", title="Failing"), Status.ROLLING_BACK)
    assert [ask.release.key for ask in asked(cast.ada, blocked, polled, failing)] == ["C-1", "B-1", "A-1"]


def test_a_release_that_ended_needs_nobody(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLOSED)
    assert asked(cast.ada, release) == []


# Clashes


def clash(first: Release, second: Release) -> list[str]:
    loaded = board.loaded(Release.objects.filter(pk__in=[first.pk, second.pk]))
    return [found.sentence for found in conflicts(loaded)]


def on_its_own(key: str, product: str, in_: timedelta, **holders: User) -> Release:
    named = {role(name.replace("_", " ")): [person] for name, person in holders.items()}
    row = Product.objects.get_or_create(slug=product, defaults={"name": product.title()})[0]
    coordinator = UserFactory(name=f"{key.title()} Lead")
    return ReleaseFactory(key=key, product=row, window=window(in_), holders=named, coordinator=coordinator)


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_windows_of_one_product_that_overlap_clash(cast: Cast) -> None:
    first = on_its_own("A-1", "pay", timedelta(days=2))
    second = on_its_own("A-2", "pay", timedelta(days=2, hours=1))
    assert clash(first, second) == ["both windows are of Pay, and overlap"]


def test_an_on_call_shared_on_one_day_clashes_and_on_two_days_does_not(cast: Cast, noon: datetime) -> None:
    with time_machine.travel(noon, tick=False):
        first = on_its_own("A-1", "pay", timedelta(days=2), On_call_Engineer=cast.eli)
        same_day = on_its_own("B-1", "search", timedelta(days=2, hours=5), On_call_Engineer=cast.eli)
        next_day = on_its_own("C-1", "web", timedelta(days=3), On_call_Engineer=cast.eli)
        assert clash(first, same_day) == ["Eli Tanaka is on call for both on the same day"]
        assert clash(first, next_day) == []


def test_people_shared_by_windows_that_overlap_clash_by_name(cast: Cast) -> None:
    first = on_its_own("A-1", "pay", timedelta(days=2), QA_Lead=cast.ben)
    second = on_its_own("B-1", "search", timedelta(days=2, hours=1), QA_Lead=cast.ben)
    assert clash(first, second) == ["the windows overlap and share Ben Osei"]


def test_what_is_over_or_stopped_clashes_with_nothing(cast: Cast) -> None:
    first, second = ReleaseFactory(), ReleaseFactory()
    assert clash(first, second) == ["both windows are of Payments, and overlap"]
    bring_to(second, Status.CANCELLED)
    assert clash(first, second) == []


# Fourteen days


@pytest.mark.parametrize(
    ("local", "percent"),
    [((23, 0), 5.88), ((23, 12), 17.65), ((24, 0), 29.41), ((22, 0), 0.0), ((20, 0), 0.0)],
)
def test_today_is_drawn_four_times_as_wide(noon: datetime, local: tuple[int, int], percent: float) -> None:
    scale = Scale(noon, BERLIN)
    assert scale.percent(datetime(2026, 11, local[0], local[1], tzinfo=BERLIN)) == percent


def test_what_lies_beyond_the_picture_is_at_its_edge(noon: datetime) -> None:
    assert Scale(noon, BERLIN).percent(noon + timedelta(days=60)) == 100.0


@pytest.mark.parametrize("day", [datetime(2026, 10, 25, 9, tzinfo=UTC), datetime(2026, 3, 29, 9, tzinfo=UTC)])
def test_a_day_on_which_clocks_change_runs_from_midnight_to_midnight(day: datetime) -> None:
    scale = Scale(day, BERLIN)
    hours = [(scale.starts[1] + timedelta(minutes=30 * step)) for step in range(60)]
    found = [scale.percent(moment) for moment in hours]
    assert found == sorted(found)
    assert scale.percent(scale.starts[2]) == 29.41
    assert scale.percent(scale.starts[2] - timedelta(minutes=1)) < 29.41


def test_a_lane_has_its_bands_the_gate_and_what_went_wrong(release: Release, noon: datetime) -> None:
    failing = bring_to(release, Status.ROLLING_BACK)
    drawn = timeline(board.loaded(Release.objects.filter(pk=failing.pk)), timezone.now(), BERLIN)
    assert drawn is not None
    (lane,) = drawn.lanes
    assert [band.words for band in lane.bands] == ["Readiness", "Staging", "Go/No-Go", "Production"]
    assert lane.flag == "rolling back"
    assert lane.gate_x.endswith("%")


def test_only_so_many_lanes_are_drawn_and_the_rest_is_counted(cast: Cast) -> None:
    for _ in range(LANES + 2):
        ReleaseFactory()
    drawn = timeline(board.loaded(Release.objects.order_by("t_zero", "key")), timezone.now(), BERLIN)
    assert drawn is not None
    assert (len(drawn.lanes), drawn.more) == (LANES, 2)


def test_there_is_no_picture_of_nothing(release: Release) -> None:
    assert timeline([], timezone.now(), BERLIN) is None
    far = ReleaseFactory(window=window(timedelta(days=40)))
    assert timeline(board.loaded(Release.objects.filter(pk=far.pk)), timezone.now(), BERLIN) is None
    ended = bring_to(release, Status.CANCELLED)
    assert timeline(board.loaded(Release.objects.filter(pk=ended.pk)), timezone.now(), BERLIN) is None


# How the last ones went


def test_the_history_counts_what_ended_the_oldest_first(cast: Cast) -> None:
    assert history(Release.objects.all()) is None
    bring_to(ReleaseFactory(key="A-1"), Status.CLOSED)
    bring_to(ReleaseFactory(key="B-1"), Status.ROLLED_BACK)
    bring_to(ReleaseFactory(key="C-1"), Status.CANCELLED)
    found = history(Release.objects.all())
    assert found is not None
    assert [dot.state for dot in found.dots] == ["override", "rollback"]
    assert (found.total, found.first_go, found.rolled_back, found.moved) == (2, 2, 1, 0)


def test_a_go_of_the_second_poll_is_no_go_of_the_first(release: Release, cast: Cast) -> None:
    bring_to(release, Status.NO_GO)
    later = window(timedelta(days=4))
    workflow.reschedule(fresh(release), later, by=cast.ada, reason="the queries are fixed")
    settle_gate(fresh(release))
    gonogo.open_poll(fresh(release), by=cast.ada)
    vote_go(fresh(release))
    gonogo.decide(fresh(release), Call.GO, by=cast.ada, rationale="all green")
    Release.objects.filter(pk=release.pk).update(
        status=Status.CLOSED, started_at=timezone.now(), deployed_at=timezone.now(), ended_at=timezone.now()
    )
    found = history(Release.objects.all())
    assert found is not None
    assert (found.first_go, found.moved) == (0, 1)


# Queries


def test_the_board_reads_as_much_for_one_release_as_for_many(cast: Cast) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as asked_for:
            rows = board.entries(board.loaded(Release.objects.all()), timezone.now())
            for row in rows:
                _ = (row.words, row.waiting_on, row.late, row.next_phase)
            asks(rows, cast.ada)
            conflicts([row.release for row in rows])
            timeline([row.release for row in rows], timezone.now(), BERLIN)
        return len(asked_for)

    def one_of_each() -> None:
        bring_to(ReleaseFactory(), Status.ROLLING_BACK)
        vote_go(bring_to(ReleaseFactory(), Status.POLLING))
        ticking.block(item(ReleaseFactory(), "All PRs merged"), "two reviews missing", by=cast.ada)
        items.start_watch(item(bring_to(ReleaseFactory(), Status.DEPLOYING), "Monitor metrics"), by=cast.ada)
        people.delegate(cast.ben, cast.gus, timezone.localdate(), timezone.localdate(), by=cast.ben)

    one_of_each()
    count()  # roles are kept for a while
    before = count()
    one_of_each()
    one_of_each()
    assert count() == before
    assert before <= 6
