"""Who hears of what is overdue, and when. Each test named as its rule; time is passed in."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.blueprints import ItemPlan, PhasePlan, Stage
from checklists.tminus import Anchor, Offset
from releases import escalation, ledger, people, reminders, ticking, workflow
from releases.models import Item, Release, Reminder, Status
from releases.workflow import Window
from tests.factories import SMALL, Cast, ReleaseFactory, bring_to, fresh, item, role, saved, settle, settle_gate, window
from tests.releases.mailing import at, html, look, names, one
from tests.remembered import remembered
from tests.smtp import Sink, sink

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
QA = "QA sign-off obtained"


def due(release: Release, title: str, offset: str = "T-20h") -> datetime:
    """Give one item a due moment of its own, where no mark is near; returns it."""
    Item.objects.filter(phase__release=release, title=title).update(due=offset)
    moment = fresh(release).moment(Offset.parse(offset))
    assert moment is not None
    return moment


@pytest.fixture
def late(release: Release) -> datetime:
    """Ben's sign-off is due twenty hours before T-0; nothing else is open. Returns the moment."""
    return one_item_late(release)


@remembered
def one_item_late(release: Release) -> datetime:
    look(at(release, "T-3d"))
    settle_gate(release)
    ticking.reopen(item(release, QA), by=Cast().ben)
    moment = due(release, QA)
    look(moment - MINUTE)
    return moment


def overdue(mails: list[Any]) -> set[str]:
    """First names of those who got a mail about overdue items, which a T-reminder is not."""
    return names([message for message in mails if re.match(r"\S+: \d+ items? (still )?late", message.subject)])


# The holder


def test_an_overdue_item_is_told_to_who_holds_its_role(release: Release, late: datetime) -> None:
    mails = look(late + MINUTE)
    assert overdue(mails) == {"Ben"}
    message = one(mails, "Ben", "late")
    assert message.subject == "PAY-4.2: 1 item late"
    assert QA in message.body
    assert "late 1 min" in message.body
    assert "late 1 min" in html(message)


def test_nothing_is_told_before_it_is_overdue(release: Release, late: datetime) -> None:
    assert overdue(look(late)) == set()


def test_who_was_told_of_the_same_items_at_the_same_stage_is_not_told_again(release: Release, late: datetime) -> None:
    look(late + MINUTE)
    for minutes in (2, 30, 120, 238):
        assert overdue(look(late + minutes * MINUTE)) == set(), minutes
    look(late + 5 * HOUR)
    for hours in (6, 12, 15):
        assert overdue(look(late + hours * HOUR)) == set(), hours


def test_one_mail_a_person_and_stage_whatever_the_number_of_items(release: Release, cast: Cast, late: datetime) -> None:
    people.assign(release, role("Developers"), cast.ben, by=cast.ada)
    ticking.reopen(item(release, "Performance verified"), by=cast.gus)
    due(release, "Performance verified")
    mails = look(late + MINUTE)
    assert overdue(mails) == {"Ben", "Gus"}
    body = one(mails, "Ben", "2 items late").body
    assert QA in body
    assert "Performance verified" in body


def test_an_item_that_comes_late_after_the_mail_is_told_alone(release: Release, late: datetime, cast: Cast) -> None:
    look(late + MINUTE)
    people.assign(release, role("Developers"), cast.ben, by=cast.ada)
    ticking.reopen(item(release, "Performance verified"), by=cast.gus)
    due(release, "Performance verified", "T-19h")
    body = one(look(late + HOUR + MINUTE), "Ben", "1 item late").body
    assert "Performance verified" in body
    assert QA not in body


def test_optional_items_and_those_no_person_settles_escalate_to_nobody(release: Release) -> None:
    settle_gate(release)
    assert "Order cake" in {row.title for row in Item.objects.of(release).unsettled()}
    look(at(release, "T-4h") + MINUTE)
    look(release.t_zero + MINUTE)
    assert not release.reminders.filter(kind="escalation").exists()


def test_an_item_without_a_role_is_the_coordinators(release: Release, late: datetime) -> None:
    ticking.reopen(item(release, "All PRs merged"), by=release.coordinator)
    due(release, "All PRs merged")
    assert overdue(look(late + MINUTE)) == {"Ada", "Ben"}


def test_an_item_whose_role_nobody_holds_goes_to_the_coordinator_at_once(
    release: Release, late: datetime, cast: Cast
) -> None:
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    message = one(look(late + MINUTE), "Ada", "1 item late")
    assert "Nobody holds its role: give it to somebody." in message.body
    assert "nobody is QA Lead" in message.body


def test_a_blocked_item_is_overdue_too(release: Release, late: datetime, cast: Cast) -> None:
    ticking.block(item(release, QA), "waiting for the vendor", by=cast.ben)
    assert "blocked: waiting for the vendor" in one(look(late + MINUTE), "Ben", "late").body


def test_the_mark_that_goes_out_in_the_same_moment_says_it_already(release: Release) -> None:
    mails = look(at(release, "T-1d"))
    assert "All PRs merged" in one(mails, "Ada", "T-1d").body
    assert overdue(look(at(release, "T-1d") + MINUTE)) == set()
    found = release.reminders.get(kind="escalation")
    assert (found.recipient.name, found.state, found.reason) == ("Ada Lovelace", "suppressed", "the T-1d mail said so")


def test_who_settles_an_item_in_time_hears_nothing(release: Release, late: datetime) -> None:
    settle(item(release, QA))
    assert overdue(look(late + MINUTE)) == set()
    assert not release.reminders.filter(kind="escalation").exists()


def test_what_is_settled_between_planning_and_sending_is_superseded(release: Release, late: datetime) -> None:
    ledger.plan(late + MINUTE)
    settle(item(release, QA))
    assert overdue(look(late + MINUTE)) == set()
    found = release.reminders.get(kind="escalation")
    assert (found.state, found.reason) == ("superseded", "settled in time")


def test_a_mail_that_waits_for_another_try_is_superseded_as_soon_as_it_is_settled(
    release: Release, late: datetime, settings: Any
) -> None:
    server: Sink
    with sink(settings) as server:
        server.rcpt["ben@example.org"] = "450 busy"
        ledger.tick(late + MINUTE)
        assert release.reminders.get(kind="escalation").state == "planned"
        settle(item(release, QA))
        ledger.retire(late + MINUTE + SECOND)
    assert release.reminders.get(kind="escalation").state == "superseded"


def test_who_holds_is_decided_at_send(release: Release, late: datetime, cast: Cast) -> None:
    ledger.plan(late + MINUTE)
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    assert names(look(late + MINUTE), " late") == {"Cy"}, "in the T-1d mail, which comes with the role"
    assert release.reminders.get(kind="escalation", recipient=cast.ben).state == "cancelled"


def test_the_deputy_hears_in_the_absent_holders_stead(release: Release, late: datetime, cast: Cast) -> None:
    day = timezone.localdate(late, release.zone)
    people.delegate(cast.ben, cast.cy, day, day, by=cast.ben)
    look(late - MINUTE)  # the T-1d mail, which comes with the deputizing
    mails = look(late + MINUTE)
    assert overdue(mails) == {"Cy"}
    assert "You stand in for Ben Osei, who is away." in one(mails, "Cy", "late").body


def test_an_item_that_is_opened_again_is_told_again(release: Release, late: datetime, cast: Cast) -> None:
    look(late + MINUTE)
    with time_machine.travel(late + HOUR, tick=False):
        settle(item(release, QA))
    with time_machine.travel(late + 2 * HOUR, tick=False):
        ticking.reopen(item(release, QA), by=cast.ben)
    assert overdue(look(late + 2 * HOUR + MINUTE)) == {"Ben"}
    assert overdue(look(late + 5 * HOUR + MINUTE)) == set(), "its time begins anew"
    assert overdue(look(late + 6 * HOUR + MINUTE)) == {"Ada"}


# Deputy and coordinator


def test_after_four_hours_the_coordinator_hears_of_it(release: Release, late: datetime) -> None:
    look(late + MINUTE)
    assert overdue(look(late + 4 * HOUR)) == set()
    mails = look(late + 4 * HOUR + MINUTE)
    assert overdue(mails) == {"Ada"}
    message = one(mails, "Ada", "still late")
    assert message.subject == "PAY-4.2: 1 item still late, waiting on Ben Osei"
    assert "Ben Osei was told already. Ask what is in the way" in message.body
    assert "late 4 h" in message.body


def test_after_four_hours_the_deputy_of_the_day_hears_of_it_again(release: Release, late: datetime, cast: Cast) -> None:
    day = timezone.localdate(late, release.zone)
    people.delegate(cast.ben, cast.cy, day, day + timedelta(days=1), by=cast.ben)
    look(late + MINUTE)
    mails = look(late + 4 * HOUR + MINUTE)
    assert overdue(mails) == {"Ada", "Cy"}
    assert "You were told already" in one(mails, "Cy", "still late").body


def test_a_holder_who_goes_away_after_the_first_mail_has_their_deputy_told_at_the_next_look(
    release: Release, late: datetime, cast: Cast
) -> None:
    look(late + MINUTE)
    day = timezone.localdate(late, release.zone)
    people.delegate(cast.ben, cast.cy, day, day + timedelta(days=1), by=cast.ben)
    assert names(look(late + HOUR), " late") == {"Cy"}, "in the T-1d mail, which comes with the deputizing"


def test_inside_t_4h_one_hour_is_enough(release: Release, late: datetime) -> None:
    moment = due(release, QA, "T-3h")
    look(moment + MINUTE)
    assert overdue(look(moment + HOUR)) == set()
    assert overdue(look(moment + HOUR + MINUTE)) == {"Ada"}


def test_the_four_hours_end_an_hour_after_t_4h(release: Release, late: datetime) -> None:
    moment = due(release, QA, "T-6h")
    near = at(release, "T-4h")
    look(moment + MINUTE)
    assert overdue(look(near + HOUR - MINUTE)) == set(), "told 2 h before T-4h: 4 h would be T-2h"
    assert overdue(look(near + HOUR)) == {"Ada"}


def test_after_an_outage_the_holder_hears_first_and_the_coordinator_hours_later(
    release: Release, late: datetime
) -> None:
    assert overdue(look(late + 9 * HOUR)) == {"Ben"}
    assert overdue(look(late + 12 * HOUR)) == set()
    assert overdue(look(late + 13 * HOUR)) == {"Ada"}


# After the deployment


@pytest.fixture
def deployed(release: Release) -> Release:
    return bring_to(release, Status.DEPLOYED)


def test_what_is_due_two_hours_after_the_deployment_escalates_the_same_way(deployed: Release, cast: Cast) -> None:
    assert deployed.deployed_at is not None
    deadline = deployed.deployed_at + 2 * HOUR
    assert overdue(look(deadline)) == set()
    message = one(look(deadline + MINUTE), "Ada", "2 items late")
    assert "The deployment has ended" in message.body
    assert "Close release ticket" in message.body
    assert overdue(look(deadline + HOUR)) == set()
    assert overdue(look(deadline + HOUR + MINUTE)) == {"Ada"}


def test_the_two_hour_deadline_is_told_to_who_holds_then_to_the_coordinator(cast: Cast) -> None:
    after = PhasePlan(
        "Post-deployment",
        Stage.POST_DEPLOYMENT,
        opens=Offset(Anchor.DEPLOYED),
        due=Offset(Anchor.DEPLOYED, minutes=120),
        items=(ItemPlan("Release announced", role="Project Manager"),),
    )
    version = saved(replace(SMALL, name="Announced", phases=(*SMALL.phases[:4], after, SMALL.phases[5])))
    release = bring_to(ReleaseFactory(version=version), Status.DEPLOYED)
    deadline = fresh(release).deployed_at + 2 * HOUR  # type: ignore[operator]
    assert overdue(look(deadline + MINUTE)) == {"Dana"}
    assert overdue(look(deadline + HOUR + MINUTE)) == {"Ada"}


def test_a_closed_release_escalates_nothing(release: Release) -> None:
    closed = bring_to(release, Status.CLOSED)
    assert overdue(look(closed.deployed_at + 3 * HOUR)) == set()  # type: ignore[operator]


def test_a_rollback_stops_it(deployed: Release, cast: Cast) -> None:
    from releases import rollback

    deadline = deployed.deployed_at + 2 * HOUR  # type: ignore[operator]
    ledger.plan(deadline + MINUTE)
    rollback.trigger(deployed, "error rate 4 %", by=cast.ada)
    assert overdue(look(deadline + MINUTE)) == set()
    assert {row.reason for row in deployed.reminders.filter(kind="escalation")} == {"the release is rolling back"}


# The clock


def test_while_the_clock_is_held_nothing_escalates(release: Release, late: datetime, cast: Cast) -> None:
    with time_machine.travel(late - HOUR, tick=False):
        workflow.hold(release, "incident elsewhere", by=cast.ada)
    assert overdue(look(late + MINUTE)) == set()
    assert overdue(look(late + 9 * HOUR)) == set()
    with time_machine.travel(late + 10 * HOUR, tick=False):
        workflow.resume(release, by=cast.ada)
    assert overdue(look(late + 10 * HOUR + MINUTE)) == {"Ben"}


def test_a_planned_escalation_is_superseded_when_the_clock_stops(release: Release, late: datetime, cast: Cast) -> None:
    ledger.plan(late + MINUTE)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    assert overdue(look(late + MINUTE)) == set()
    assert release.reminders.get(kind="escalation").reason == "the clock is stopped"


def test_the_hours_of_a_hold_do_not_count(release: Release, late: datetime, cast: Cast) -> None:
    look(late + MINUTE)
    with time_machine.travel(late + HOUR, tick=False):
        workflow.hold(release, "incident elsewhere", by=cast.ada)
    with time_machine.travel(late + 8 * HOUR, tick=False):
        workflow.resume(release, by=cast.ada)
    assert overdue(look(late + 8 * HOUR + MINUTE)) == set(), "Ben was told; the clock has just begun to run"
    assert overdue(look(late + 12 * HOUR)) == {"Ada"}


def test_a_no_go_stops_it(release: Release) -> None:
    bring_to(release, Status.NO_GO)
    Item.objects.filter(phase__release=release, title=QA).update(state="open", due="T-20h")
    assert overdue(look(fresh(release).t_zero - HOUR)) == set()


def test_a_reschedule_supersedes_what_was_planned_and_what_is_late_then_is_told_anew(
    release: Release, late: datetime, cast: Cast
) -> None:
    ledger.plan(late + MINUTE)
    later = Window(release.t_zero + 40 * HOUR, release.window_end + 40 * HOUR, release.time_zone)
    workflow.reschedule(release, later, by=cast.ada, reason="a holiday")
    assert overdue(look(late + MINUTE)) == set()
    assert release.reminders.get(kind="escalation").reason == "the release moved"
    look(at(fresh(release), "T-1d"))  # which lists the backup that reopened
    assert overdue(look(late + 40 * HOUR + MINUTE)) == {"Ben"}


def test_a_cancelled_release_escalates_nothing(release: Release, late: datetime, cast: Cast) -> None:
    ledger.plan(late + MINUTE)
    workflow.cancel(release, "merged into 4.3", by=cast.ada)
    assert overdue(look(late + MINUTE)) == set()


# The ledger


def test_planning_twice_adds_nothing(release: Release, late: datetime) -> None:
    assert ledger.plan(late + MINUTE) == 1
    assert ledger.plan(late + 2 * MINUTE) == 0
    assert release.reminders.filter(kind="escalation").count() == 1


def test_two_drivers_at_once_write_one_row(release: Release, late: datetime) -> None:
    now = late + MINUTE
    rows = []
    for _ in range(2):
        seen = fresh(release)
        escalation.load([seen])
        rows += escalation.owed(seen, now, escalation.Told())
    assert len(rows) == 2
    Reminder.objects.bulk_create(rows, ignore_conflicts=True)
    assert release.reminders.filter(kind="escalation").count() == 1


def test_an_escalation_that_failed_is_trouble_the_coordinator_sees(
    release: Release, late: datetime, settings: Any
) -> None:
    with sink(settings) as server:
        server.rcpt["ben@example.org"] = "550 no such mailbox"
        ledger.tick(late + MINUTE)
    assert [(row.kind, row.recipient.name) for row in reminders.trouble(release)] == [("escalation", "Ben Osei")]


def test_items_are_read_only_where_something_can_be_overdue(cast: Cast) -> None:
    now = timezone.now()
    for _ in range(2):
        ReleaseFactory(window=window(timedelta(days=30)))
    ledger.tick(now)
    with CaptureQueriesContext(connection) as queries:
        ledger.plan(now + MINUTE)
    assert not [q["sql"] for q in queries if 'FROM "releases_item"' in q["sql"] and "guidance" in q["sql"]]


def test_a_release_whose_items_cannot_be_planned_keeps_no_other_from_its_escalation(
    release: Release, late: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = ReleaseFactory(window=window(timedelta(days=2)))
    owed = escalation.owed

    def broken(one_: Release, *rest: Any) -> Any:
        if one_.pk == other.pk:
            raise KeyError("items")
        return owed(one_, *rest)

    monkeypatch.setattr(escalation, "owed", broken)
    with caplog.at_level("CRITICAL"):
        ledger.plan(late + MINUTE)
    assert release.reminders.filter(kind="escalation").exists()
