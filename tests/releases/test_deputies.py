"""Who gets the mail of somebody who is away, each test named as its rule. Days are those of the release's zone."""

from __future__ import annotations

from datetime import datetime, timedelta

import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.models import User
from releases import gonogo, ledger, people, reminders, workflow
from releases.models import ActionItem, Choice, Delegation, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, role, seat, settle_gate, vote_go, window
from tests.releases.mailing import at, html, look, marked, names, one

HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def away(release: Release, person: User, deputy: User, first: datetime, last: datetime | None = None) -> Delegation:
    """`person` is away on the days of these moments; `deputy` stands in."""
    days = [timezone.localdate(moment, release.zone) for moment in (first, last or first)]
    return people.delegate(person, deputy, days[0], days[1], by=person)


# Marks


def test_the_deputy_of_the_day_gets_the_mark_and_the_absent_person_none(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    look(at(release, "T-3d"))
    mails = look(at(release, "T-1d"))
    assert names(mails, "T-1d:") == {"Ada", "Cy", "Gus"}
    assert "QA sign-off obtained" in one(mails, "Cy", "T-1d").body


def test_the_mail_says_for_whom_one_stands_in(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    message = one(look(at(release, "T-1d")), "Cy", "T-1d")
    assert "You stand in for Ben Osei, who is away." in message.body
    assert "You stand in for <b>Ben Osei</b>, who is away." in html(message)
    assert "You get this because you are QA Lead for Ben Osei." in message.body
    assert "You stand in" not in one(look(at(release, "T-4h")), "Ben", "T-4h").body


def test_only_the_days_of_the_absence_change_who_gets_it(release: Release, cast: Cast) -> None:
    away(release, cast.ada, cast.cy, at(release, "T-3d"))
    assert marked(release, "T-3d") == {"Cy"}
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}


def test_an_absence_named_after_planning_moves_the_planned_mail_to_the_deputy(release: Release, cast: Cast) -> None:
    look(at(release, "T-3d"))
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    look(at(release, "T-3d") + MINUTE)
    assert names(look(at(release, "T-1d")), "T-1d:") == {"Ada", "Cy", "Gus"}
    ended = release.reminders.get(kind="mark", mark="T-1d", recipient=cast.ben)
    assert (ended.state, ended.reason) == ("cancelled", "away; Cy Young stands in")


def test_an_absence_taken_back_after_planning_gives_the_mail_back(release: Release, cast: Cast) -> None:
    row = away(release, cast.ben, cast.cy, at(release, "T-1d"))
    look(at(release, "T-3d"))
    people.end_delegation(row, by=cast.ben)
    assert names(look(at(release, "T-1d")), "T-1d:") == {"Ada", "Ben", "Gus"}
    assert release.reminders.get(mark="T-1d", recipient=cast.cy).state == "cancelled"


def test_who_gets_it_is_decided_at_the_claim_when_nothing_retired_the_row(release: Release, cast: Cast) -> None:
    ledger.plan(at(release, "T-3d"))
    pk = release.reminders.get(mark="T-1d", recipient=cast.ben).pk
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    assert ledger.claim(pk, at(release, "T-1d")) is None


def test_a_mail_that_is_late_goes_to_whoever_is_there_when_it_goes_out(cast: Cast) -> None:
    release = ReleaseFactory(window=window(timedelta(days=3, hours=1), zone="UTC"))
    due = at(release, "T-1d")
    midnight = due.replace(hour=0, minute=0, second=0) + DAY
    away(release, cast.ben, cast.cy, midnight, midnight + DAY)
    ledger.plan(due - HOUR)
    assert "Cy" not in names(look(due - MINUTE))
    late = names(look(midnight + MINUTE), "T-1d:")
    assert "Cy" in late
    assert "Ben" not in late


def test_the_day_is_counted_in_the_zone_of_the_release(cast: Cast) -> None:
    t_zero = (timezone.now() + 9 * DAY).replace(hour=23, minute=0, second=0, microsecond=0)
    release = ReleaseFactory(window=workflow.Window(t_zero, t_zero + HOUR, "Pacific/Auckland"))
    mark = at(release, "T-1d")
    in_utc, in_auckland = mark.date(), timezone.localdate(mark, release.zone)
    assert in_auckland == in_utc + DAY, "23:00 UTC is the next day there"
    people.delegate(cast.ben, cast.cy, in_utc, in_utc, by=cast.ben)
    people.delegate(cast.gus, cast.cy, in_auckland, in_auckland, by=cast.gus)
    assert marked(release, "T-1d") == {"Ada", "Ben", "Cy"}


def test_a_deputy_who_is_away_too_stands_in_for_nobody_and_the_mail_stays_where_it_was(
    release: Release, cast: Cast
) -> None:
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    away(release, cast.cy, cast.sam, at(release, "T-1d"))
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}


def test_a_deputy_without_an_account_stands_in_for_nobody(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.cy, at(release, "T-1d"))
    User.objects.filter(pk=cast.cy.pk).update(is_active=False)
    assert marked(release, "T-1d") == {"Ada", "Ben", "Gus"}


def test_a_deputy_who_is_on_the_release_gets_one_mail_for_both(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.gus, at(release, "T-1d"))
    mails = look(at(release, "T-1d"))
    assert names(mails, "T-1d:") == {"Ada", "Gus"}
    body = one(mails, "Gus", "T-1d").body
    assert "QA sign-off obtained" in body
    assert "Performance verified" in body
    assert "you are Developers and QA Lead for Ben Osei" in body


def test_the_deputy_hears_of_the_action_items_of_the_absent_owner(release: Release, cast: Cast) -> None:
    due = release.t_zero - 5 * HOUR
    ActionItem.objects.create(
        release=release, source="no_go", blocks="poll", title="Rebuild", owner=cast.sam, due_at=due
    )
    away(release, cast.sam, cast.cy, at(release, "T-3d"))
    mails = look(at(release, "T-3d"))
    assert names(mails, "T-3d:") == {"Ada", "Cy"}
    assert "owned by Sam Staff" in one(mails, "Cy", "T-3d").body


def test_the_coordinators_deputy_gets_the_summary_and_hears_what_they_cannot_do(release: Release, cast: Cast) -> None:
    away(release, cast.ada, cast.cy, at(release, "T-4h"))
    body = one(look(at(release, "T-4h")), "Cy", "T-4h").body
    assert "How it stands:" in body
    assert "as soon as Ada Lovelace opens the poll" in body
    assert "To decide in their place, take the release over" in body


# Alarms


def test_alarms_go_to_the_deputies_of_an_absent_coordinator_and_project_manager(release: Release, cast: Cast) -> None:
    away(release, cast.ada, cast.cy, release.t_zero - HOUR)
    away(release, cast.dana, cast.sam, release.t_zero - HOUR)
    ledger.tick(release.t_zero - 2 * HOUR)
    mails = look(release.t_zero - HOUR)
    assert names(mails, "under an hour to T-0") == {"Cy", "Sam"}
    assert "You stand in for Ada Lovelace, who is away. To decide" in one(mails, "Cy", "under an hour").body
    assert "You stand in for Dana Ruiz, who is away.\n" in one(mails, "Sam", "under an hour").body


def test_an_absence_that_begins_after_planning_moves_the_alarm(release: Release, cast: Cast) -> None:
    ledger.tick(release.t_zero - 2 * HOUR)
    away(release, cast.ada, cast.cy, release.t_zero - HOUR)
    assert names(look(release.t_zero - HOUR), "under an hour to T-0") == {"Cy", "Dana"}


def test_empty_required_roles_alarm_who_stands_in_for_the_coordinator(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]}, window=window(9 * DAY))
    now = timezone.now()
    away(release, cast.ada, cast.cy, now)
    assert names(look(now), "nobody is Project Manager and On-call Engineer yet") == {"Cy"}
    assert names(look(now + MINUTE), "nobody is") == set()


def test_empty_required_roles_alarm_the_coordinator_again_at_t_3d(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]}, window=window(9 * DAY))
    look(timezone.now())
    due = at(release, "T-3d")
    assert names(look(due - MINUTE), "nobody is") == set()
    message = one(look(due), "Ada", "nobody is")
    assert message.subject.endswith(" T-3d: nobody is Project Manager and On-call Engineer")
    assert "three days before T-0" in html(message)
    assert names(look(due + HOUR), "nobody is") == set()


def test_a_role_filled_before_t_3d_does_not_alarm_again(cast: Cast) -> None:
    holders = {role("QA Lead"): [cast.ben], role("Project Manager"): [cast.dana]}
    release = ReleaseFactory(holders=holders, window=window(9 * DAY))
    look(timezone.now())
    people.assign(release, role("On-call Engineer"), cast.eli, by=cast.ada)
    assert names(look(at(release, "T-3d")), "nobody is") == set()


def test_a_role_found_empty_after_t_3d_alarms_once(cast: Cast) -> None:
    ReleaseFactory(holders={role("QA Lead"): [cast.ben]}, window=window(2 * DAY))
    assert names(look(timezone.now()), "nobody is") == {"Ada"}
    assert names(look(timezone.now() + MINUTE), "nobody is") == set()


def test_a_hold_over_t_3d_does_not_swallow_the_second_alarm(cast: Cast) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]}, window=window(9 * DAY))
    look(timezone.now())
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    assert names(look(at(release, "T-3d")), "nobody is") == set()
    with time_machine.travel(at(release, "T-3d") + HOUR, tick=False):
        workflow.resume(release, by=cast.ada)
        assert names(look(timezone.now()), "nobody is") == {"Ada"}


# The ask to vote


def test_the_poll_asks_the_deputy_of_the_day_and_not_the_absent_voter(release: Release, cast: Cast) -> None:
    settle_gate(release)
    away(release, cast.ben, cast.cy, timezone.now())
    gonogo.open_poll(release, by=cast.ada)
    mails = look(timezone.now())
    assert names(mails, "your GO or NO-GO, asks Ada Lovelace") == {"Ada", "Cy", "Dana", "Fay"}
    body = one(mails, "Cy", "asks").body
    assert "You answer as QA Lead." in body
    assert "You stand in for Ben Osei, who is away." in body


def test_an_absence_that_begins_while_the_ask_waits_moves_it(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    away(release, cast.ben, cast.cy, timezone.now())
    assert names(look(timezone.now()), "asks Ada") == {"Ada", "Cy", "Dana", "Fay"}
    assert release.reminders.get(kind="asked", recipient=cast.ben).reason == "away; Cy Young stands in"


def test_who_comes_back_to_an_open_poll_is_asked_unless_the_seat_has_answered(release: Release, cast: Cast) -> None:
    settle_gate(release)
    row = away(release, cast.ben, cast.cy, timezone.now())
    gonogo.open_poll(release, by=cast.ada)
    look(timezone.now())
    people.end_delegation(row, by=cast.ben)
    assert names(look(timezone.now()), "asks Ada") == {"Ben"}
    assert names(look(timezone.now()), "asks Ada") == set()
    vote_go(release)
    away(release, cast.dana, cast.cy, timezone.now())
    assert names(look(timezone.now()), "asks Ada") == set()


def test_the_deputys_ballot_answers_for_the_absent_voter(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    away(release, cast.ben, cast.cy, timezone.now())
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.GO, by=cast.cy)
    assert names(look(timezone.now()), "asks Ada") == {"Ada", "Dana", "Fay"}


def test_a_withdrawn_poll_is_told_to_the_deputy_who_was_asked(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    away(release, cast.ben, cast.cy, timezone.now())
    gonogo.withdraw_poll(release, "asked too early", by=cast.ada)
    assert "Cy" in {row.recipient.name.split()[0] for row in release.reminders.filter(kind="withdrawn")}


def test_a_deputy_who_is_on_nothing_and_goes_away_too_leaves_the_mail_with_the_absent_person(
    release: Release, cast: Cast
) -> None:
    away(release, cast.ben, cast.cy, timezone.now(), release.t_zero)
    ledger.plan(timezone.now())
    assert release.reminders.planned().filter(kind="mark", recipient=cast.ben).count() == 0
    away(release, cast.cy, cast.gus, timezone.now(), release.t_zero)
    ledger.plan(timezone.now())
    assert release.reminders.planned().filter(kind="mark", recipient=cast.ben).count() == 3


# What it costs


def test_planning_for_the_absent_asks_no_more_however_many_releases(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.cy, timezone.now(), release.t_zero)
    now = timezone.now()
    ledger.tick(now)
    with CaptureQueriesContext(connection) as one_release:
        ledger.tick(now + MINUTE)
    for _ in range(3):
        ReleaseFactory()
    ledger.tick(now + 2 * MINUTE)
    with CaptureQueriesContext(connection) as four_releases:
        ledger.tick(now + 3 * MINUTE)
    assert len(four_releases) == len(one_release) <= 26


def test_recipients_today_are_those_who_are_there(release: Release, cast: Cast) -> None:
    away(release, cast.ben, cast.cy, timezone.now())
    found = {person.name.split()[0] for person in reminders.recipients(fresh(release))}
    assert found == {"Ada", "Cy", "Dana", "Eli", "Fay", "Gus"}
