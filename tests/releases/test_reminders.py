"""What the ledger owes and to whom, each test named as its rule. Time is passed in; mails land in Django's own outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from checklists.blueprints import PhasePlan
from checklists.tminus import Offset
from releases import gonogo, ledger, people, reminders, ticking, workflow
from releases.models import ActionItem, Choice, Release, Reminder, Status
from releases.workflow import Window
from tests.factories import (
    SMALL,
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    role,
    saved,
    seat,
    settle,
    settle_gate,
    vote_go,
    window,
)
from tests.releases.mailing import at, look, marked, names, one, row, state

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


# Marks


def test_the_marks_are_the_distinct_opening_offsets_before_t_zero(release: Release) -> None:
    found = reminders.marks(release)
    assert [(mark.name, mark.rank) for mark in found] == [("T-3d", 1), ("T-1d", 2), ("T-4h", 3)]


def test_a_mark_is_worth_sending_until_the_next_one_and_the_last_until_t_zero(release: Release) -> None:
    found = reminders.marks(release)
    assert [mark.not_after for mark in found] == [found[1].due_at, found[2].due_at, release.t_zero]


def test_equal_instants_are_one_mark_named_by_the_nearer_offset(cast: Cast) -> None:
    t_zero = datetime(2027, 6, 16, 9, 0, tzinfo=BERLIN)  # no clock change near: T-2d and T-48h are one instant
    release = ReleaseFactory(window=Window(t_zero, t_zero + 2 * HOUR, "Europe/Berlin"))
    release.phases.filter(name="Readiness").update(opens="T-1d24h")
    release.phases.filter(name="Staging").update(opens="T-47h60min")
    found = reminders.marks(fresh(release))
    assert [mark.rank for mark in found] == [1, 2]
    assert found[0].due_at == t_zero - timedelta(hours=48)
    assert found[1].name == "T-4h"


def test_a_phase_that_opens_at_t_zero_or_with_its_stage_gives_no_mark(release: Release) -> None:
    offsets = [phase.opens for phase in release.phases.all()]
    assert "T-0" in offsets
    assert all(mark.due_at < release.t_zero for mark in reminders.marks(release))


@pytest.mark.parametrize(
    ("zone", "t_zero", "mark", "utc"),
    [
        ("Europe/Berlin", "2027-03-28 09:00", "T-1d", "2027-03-27 08:00"),  # 23 hours before
        ("Europe/Berlin", "2027-03-29 02:30", "T-1d", "2027-03-28 01:30"),  # 02:30 does not exist
        ("Europe/Berlin", "2027-11-01 02:30", "T-1d", "2027-10-31 00:30"),  # 02:30 comes twice: the first
        ("Asia/Kathmandu", "2027-03-28 09:00", "T-1d", "2027-03-27 03:15"),
        ("Europe/Berlin", "2027-03-28 09:00", "T-4h", "2027-03-28 03:00"),
    ],
)
def test_days_keep_the_wall_clock_and_hours_are_elapsed_across_a_clock_change(
    zone: str, t_zero: str, mark: str, utc: str, cast: Cast
) -> None:
    begins = datetime.fromisoformat(t_zero).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    release = ReleaseFactory(window=Window(begins, begins + 2 * HOUR, zone))
    assert at(release, mark) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_marks_far_away_are_planned_however_early_a_checklist_opens(cast: Cast) -> None:
    early = PhasePlan("Early planning", opens=Offset.parse("T-14w"), items=SMALL.phases[0].items[:1])
    version = saved(replace(SMALL, name="Long checklist", phases=(early, *SMALL.phases)))
    release = ReleaseFactory(version=version, window=window(timedelta(weeks=20)))
    ledger.tick(timezone.now())
    assert row(release, "T-98d", "Ada").state == "planned"
    assert marked(release, "T-98d") == {"Ada"}


# Who gets what


def test_each_mark_mails_those_with_something_open_and_nobody_else(release: Release) -> None:
    # T-3d opens Readiness, whose items are all without a role: the coordinator's
    assert marked(release, "T-3d") == {"Ada"}
    assert state(release, "T-3d", "Ben") == ("suppressed", "nothing open")
    # T-1d opens Staging: QA signs off, Gus verifies
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}
    # T-4h opens Go/No-Go: Fay and Eli have items, Dana a seat
    assert marked(release, "T-4h") == {"Ada", "Ben", "Gus", "Fay", "Eli", "Dana"}


def test_what_is_open_is_decided_at_send(release: Release) -> None:
    look(at(release, "T-3d"))
    settle(item(release, "QA sign-off obtained"))
    assert marked(release, "T-1d") == {"Ada", "Gus"}
    assert state(release, "T-1d", "Ben") == ("suppressed", "nothing open")


def test_who_holds_is_decided_at_send(release: Release, cast: Cast) -> None:
    look(at(release, "T-3d"))
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    assert marked(release, "T-1d") == {"Ada", "Gus", "Cy"}


def test_somebody_who_left_and_came_back_is_reminded_and_not_twice(release: Release, cast: Cast) -> None:
    look(at(release, "T-3d"))
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    look(at(release, "T-3d") + MINUTE)
    people.assign(release, role("QA Lead"), cast.ben, by=cast.ada)
    assert "Ben" in marked(release, "T-1d")
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    look(at(release, "T-1d") + MINUTE)
    people.assign(release, role("QA Lead"), cast.ben, by=cast.ada)
    assert names(look(at(release, "T-1d") + 2 * MINUTE), "T-1d:") == set()


def test_who_comes_after_a_mark_gets_it_at_once(release: Release, cast: Cast) -> None:
    look(at(release, "T-1d"))
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    assert names(look(at(release, "T-1d") + 2 * HOUR), "T-1d:") == {"Cy"}


def test_one_mail_a_person_and_mark_across_their_roles(release: Release, cast: Cast) -> None:
    people.assign(release, role("Developers"), cast.ben, by=cast.ada)
    look(at(release, "T-3d"))
    mine = one(look(at(release, "T-1d")), "Ben", "T-1d")
    assert "QA sign-off obtained" in mine.body
    assert "Performance verified" in mine.body


def test_an_open_action_item_is_something_open_for_its_owner(release: Release, cast: Cast) -> None:
    ActionItem.objects.create(
        release=release,
        source="no_go",
        blocks="poll",
        title="Rebuild the index",
        owner=cast.cy,
        due_at=release.t_zero - 5 * HOUR,
    )
    mails = look(at(release, "T-3d"))
    assert names(mails, "T-3d") == {"Ada", "Cy"}
    assert "Rebuild the index" in one(mails, "Cy", "T-3d").body
    ActionItem.objects.update(state="done")
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}


def test_settled_gates_leave_only_the_votes_to_remind_of(release: Release) -> None:
    look(at(release, "T-1d"))
    settle_gate(release)
    mails = look(at(release, "T-4h"))
    assert names(mails, "your GO or NO-GO is next") == {"Ada", "Dana", "Ben", "Fay"}
    assert names(mails, "T-4h") == {"Ada", "Dana", "Ben", "Fay"}


def test_while_the_poll_is_open_only_those_without_a_ballot_are_asked(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.POLLING)
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.GO, by=cast.ben)
    mails = look(at(release, "T-4h"))
    assert names(mails, "T-4h: your GO or NO-GO") == {"Ada", "Dana", "Fay"}
    assert "T-4h" not in {message.subject for message in mails if message.to[0].startswith("Ben")}


def test_a_ballot_that_turned_stale_is_asked_for_again(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.POLLING)
    vote_go(release)
    ticking.block(item(release, "All PRs merged"), "one came in late", by=cast.ada)
    assert "Ben" in names(look(at(release, "T-4h")), "your GO or NO-GO")


def test_after_the_decision_only_the_coordinator_hears_how_it_stands(release: Release) -> None:
    release = bring_to(release, Status.CLEARED)
    assert marked(release, "T-4h") == {"Ada"}


def test_who_has_no_account_any_more_gets_nothing(release: Release, cast: Cast) -> None:
    ledger.tick(at(release, "T-3d"))
    cast.ben.is_active = False
    cast.ben.save()
    assert marked(release, "T-1d") == {"Ada", "Gus"}


def test_who_may_no_longer_see_a_restricted_release_is_told_nothing_of_it(cast: Cast) -> None:
    release = ReleaseFactory(restricted=True)
    workflow.hold(release, "secret trouble", by=cast.ada)
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    told = {message.to[0].split()[0] for message in look(timezone.now()) if "secret trouble" in message.body}
    assert told == {"Ada", "Dana", "Eli", "Fay", "Gus"}


# Catch-up


def test_a_mark_goes_out_once_however_often_the_ledger_is_looked_at(release: Release) -> None:
    assert marked(release, "T-3d")
    assert names(look(at(release, "T-3d") + timedelta(seconds=30)), "T-3d") == set()
    assert names(look(at(release, "T-3d") + 3 * HOUR), "T-3d") == set()


def test_nothing_goes_out_before_its_mark(release: Release) -> None:
    assert names(look(at(release, "T-3d") - timedelta(seconds=1)), "T-3d") == set()


def test_after_an_outage_a_person_gets_the_newest_mark_still_valid_and_it_says_how_late(release: Release) -> None:
    mails = look(at(release, "T-1d") + 2 * HOUR)
    assert names(mails, "T-3d") == set()
    assert names(mails, "T-1d") == {"Ada", "Ben", "Gus"}
    assert "T-1d was 2 h ago" in one(mails, "Ben", "T-1d").body


def test_a_mark_nobody_could_send_in_time_is_missed_with_an_event_and_shows_as_trouble(release: Release) -> None:
    ledger.tick(at(release, "T-3d") - MINUTE)  # planned, then everything stands still
    ledger.plan(at(release, "T-3d"))
    assert [row.kind for row in reminders.trouble(release)] == []
    ledger.miss(at(release, "T-1d") + MINUTE)
    assert state(release, "T-3d", "Ada")[0] == "missed"
    event = release.events.get(action="reminder.missed", data__to="Ada Lovelace")
    assert event.data["mark"] == "T-3d"
    assert "Ada Lovelace" in {row.recipient.name for row in reminders.trouble(release)}


def test_a_later_mark_that_went_out_makes_a_missed_one_good(release: Release) -> None:
    ledger.tick(at(release, "T-3d") - MINUTE)
    look(at(release, "T-1d"))
    assert state(release, "T-3d", "Ada")[0] == "missed"
    assert "Ada Lovelace" not in {row.recipient.name for row in reminders.trouble(release)}


def test_a_t_3d_mail_never_follows_a_t_1d_mail(release: Release) -> None:
    ledger.tick(at(release, "T-3d") - MINUTE)
    late = at(release, "T-1d") + MINUTE  # as if it had backed off, and were still worth sending
    Reminder.objects.filter(mark="T-3d").update(not_after=release.t_zero, next_attempt_at=late)
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}
    assert names(look(late), "T-3d") == set()
    assert state(release, "T-1d", "Ada")[0] == "sent"
    ended = release.reminders.get(mark="T-3d", recipient__name="Ada Lovelace")
    assert (ended.state, ended.reason) == ("superseded", "a later mark has gone out")


def test_a_late_creation_gets_only_the_newest_past_mark(cast: Cast) -> None:
    release = ReleaseFactory(window=window(timedelta(hours=20)))
    ledger.tick(timezone.now())
    assert set(release.reminders.filter(kind="mark").values_list("mark", flat=True)) == {"T-1d", "T-4h"}


# Reschedule, hold, NO-GO, cancel


def test_a_reschedule_supersedes_the_old_plan_and_makes_a_new_one(release: Release, cast: Cast) -> None:
    ledger.tick(timezone.now())
    workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    ledger.tick(timezone.now())
    moved = fresh(release)
    old = moved.reminders.filter(kind="mark", schedule_version=1)
    assert set(old.values_list("state", flat=True)) == {"superseded"}
    assert moved.reminders.filter(kind="mark", schedule_version=2, state="planned").count() == 18
    assert marked(moved, "T-3d") == {"Ada"}


def test_a_mark_that_was_sent_is_not_sent_again_because_the_release_moved_nearer(release: Release, cast: Cast) -> None:
    now = at(release, "T-3d")
    look(now)
    near = Window(release.t_zero - 5 * HOUR, release.window_end - 5 * HOUR, release.time_zone)
    workflow.reschedule(release, near, by=cast.ada, reason="earlier is better")
    assert names(look(now + MINUTE), "T-3d") == set()


def test_a_mark_that_was_sent_is_sent_again_when_its_moment_comes_again(release: Release, cast: Cast) -> None:
    look(at(release, "T-3d"))
    workflow.reschedule(release, window(timedelta(days=30)), by=cast.ada, reason="a freeze")
    ledger.tick(timezone.now())
    assert marked(release, "T-3d") == {"Ada"}


def test_a_past_mark_whose_mail_is_on_its_way_when_the_release_moves_is_not_sent_twice(
    release: Release, cast: Cast
) -> None:
    now = at(release, "T-3d")
    ledger.plan(now)
    sending = ledger.claim(row(release, "T-3d", "Ada").pk, now)
    assert sending is not None
    near = Window(release.t_zero - 5 * HOUR, release.window_end - 5 * HOUR, release.time_zone)
    workflow.reschedule(release, near, by=cast.ada, reason="earlier is better")
    ledger.plan(now + MINUTE)
    assert not release.reminders.filter(mark="T-3d", schedule_version=2, recipient=cast.ada).exists()


@pytest.mark.parametrize("stop", ["hold", "no-go"])
def test_while_the_clock_is_stopped_no_mark_goes_out_and_none_is_missed(
    stop: str, release: Release, cast: Cast
) -> None:
    ledger.tick(timezone.now())
    if stop == "hold":
        workflow.hold(release, "incident elsewhere", by=cast.ada)
    else:
        bring_to(release, Status.NO_GO)
    for moment in ("T-3d", "T-1d", "T-4h"):
        assert marked(release, moment) == set()
    assert names(look(release.t_zero), "T-0 is here") == set()
    assert not release.reminders.filter(state="missed").exists()
    assert not release.reminders.planned().filter(kind__in=("mark", "alarm")).exists()


def test_resume_plans_the_marks_anew(release: Release, cast: Cast) -> None:
    ledger.tick(timezone.now())
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    ledger.tick(timezone.now())
    workflow.resume(release, by=cast.ada)
    assert marked(release, "T-3d") == {"Ada"}


def test_the_marks_come_again_after_a_no_go_with_the_same_t_zero(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.NO_GO)
    ledger.tick(timezone.now())
    same = Window(release.t_zero, release.window_end, release.time_zone)
    workflow.reschedule(release, same, by=cast.ada, reason="the query is fixed")
    assert "Ada" in marked(release, "T-3d")


def test_a_cancelled_release_reminds_nobody(release: Release, cast: Cast) -> None:
    ledger.tick(timezone.now())
    workflow.cancel(release, "merged into 4.3", by=cast.ada)
    assert marked(release, "T-1d") == set()


def test_a_release_that_has_started_reminds_nobody_more(release: Release) -> None:
    ledger.tick(timezone.now())
    bring_to(release, Status.DEPLOYING)
    for moment in ("T-1d", "T-4h"):
        assert marked(release, moment) == set()
    assert names(look(release.window_end), "the window is over") == set()


# Alarms


def test_an_undecided_release_alarms_coordinator_and_project_manager(release: Release) -> None:
    ledger.tick(release.t_zero - 2 * HOUR)
    assert names(look(release.t_zero - HOUR), "under an hour to T-0") == {"Ada", "Dana"}
    assert names(look(release.t_zero), "T-0 is here") == {"Ada", "Dana"}


def test_a_release_with_an_open_poll_is_undecided_too(release: Release) -> None:
    bring_to(release, Status.POLLING)
    mails = look(release.t_zero - HOUR)
    assert names(mails, "under an hour to T-0") == {"Ada", "Dana"}
    assert "The poll is open." in one(mails, "Dana", "under an hour").body


def test_a_go_that_was_not_started_alarms_at_the_end_of_its_window(release: Release) -> None:
    release = bring_to(release, Status.CLEARED)
    assert names(look(release.t_zero), "T-0 is here") == set()
    assert names(look(release.window_end), "the window is over") == {"Ada", "Dana"}


def test_an_undecided_release_does_not_hear_of_a_go_that_lapsed(release: Release) -> None:
    ledger.tick(release.t_zero)
    assert names(look(release.window_end), "the window is over") == set()


def test_who_leads_is_decided_at_send(release: Release, cast: Cast) -> None:
    ledger.tick(release.t_zero - 2 * HOUR)
    people.transfer(release, cast.gus, by=cast.ada)
    assert names(look(release.t_zero - HOUR), "under an hour to T-0") == {"Gus", "Dana"}


def test_empty_required_roles_alarm_the_coordinator_from_creation_in_one_mail(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]}, window=window(timedelta(days=9)))
    mails = look(timezone.now())
    assert names(mails, "nobody is Project Manager and On-call Engineer yet") == {"Ada"}
    assert names(look(timezone.now() + HOUR), "nobody is") == set()
    people.assign(release, role("Project Manager"), cast.dana, by=cast.ada)
    assert names(look(timezone.now() + 2 * HOUR), "nobody is") == set(), "fewer are empty: nothing new to say"
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    assert names(look(timezone.now() + 3 * HOUR), "nobody is QA Lead and On-call Engineer") == {"Ada"}


def test_an_alarm_whose_role_was_filled_in_time_is_not_sent(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben], role("Project Manager"): [cast.dana]})
    ledger.plan(timezone.now())
    people.assign(release, role("On-call Engineer"), cast.eli, by=cast.ada)
    assert names(look(timezone.now()), "nobody is") == set()


# For pages


def test_each_look_is_noted_for_the_pages(release: Release) -> None:
    assert reminders.scheduler_age(timezone.now()) is None
    ledger.tick()
    age = reminders.scheduler_age(timezone.now())
    assert age is not None
    assert age < timedelta(seconds=30)


def test_the_next_mail_of_a_release_is_known(release: Release) -> None:
    ledger.tick(at(release, "T-3d"))
    following = reminders.next_for(release)
    assert following is not None
    assert following.mark == "T-1d"
