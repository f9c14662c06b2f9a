"""Working the ledger off: leases, failures, what is final. Each test named as its rule; the SMTP server is a real one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.lib.mail import Courier
from releases import ledger, mail, people, reminders, ticking, workflow
from releases.models import Delegation, Heartbeat, Release, Reminder, Status
from tests.factories import Cast, ReleaseFactory, bring_to, item, role, window
from tests.releases.mailing import at, row, state
from tests.smtp import Sink, sink

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ADA, BEN, GUS = "ada@example.org", "ben@example.org", "gus@example.org"


@pytest.fixture
def smtp(settings: Any) -> Iterator[Sink]:
    with sink(settings) as server:
        yield server


@pytest.fixture
def planned(release: Release) -> Release:
    """At T-1d Ada, Ben and Gus are owed a mail; nothing else is."""
    ledger.plan(at(release, "T-3d"))
    Reminder.objects.exclude(mark="T-1d", recipient__email__in=(ADA, BEN, GUS)).delete()
    return release


def work(now: datetime) -> int:
    """Work off what is due at `now`, without planning more."""
    return ledger.deliver(lambda: now)


# Leases


def test_a_row_is_claimed_by_one_driver_and_its_lease_ends_with_the_same_message_id(planned: Release) -> None:
    now, pk = at(planned, "T-1d"), row(planned, "T-1d", "Ben").pk
    first = ledger.claim(pk, now)
    assert first is not None
    assert ledger.claim(pk, now) is None
    assert ledger.free_leases(now + 119 * SECOND) == 0
    assert ledger.free_leases(now + ledger.LEASE) == 1
    again = ledger.claim(pk, now + ledger.LEASE)
    assert again is not None
    assert again.message_id == first.message_id
    assert again.lease_token != first.lease_token
    assert again.attempts == 2


def test_a_sender_whose_lease_is_over_sends_nothing(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d")
    held = ledger.claim(row(planned, "T-1d", "Ben").pk, now)
    assert held is not None
    ledger.free_leases(now + ledger.LEASE)
    with Courier() as courier:
        assert ledger.send(held, courier, lambda: now) is False
    assert smtp.taken == []


def test_a_sender_that_slept_past_the_window_sends_nothing(planned: Release, smtp: Sink) -> None:
    held = ledger.claim(row(planned, "T-1d", "Ben").pk, at(planned, "T-1d"))
    assert held is not None
    with Courier() as courier:
        assert ledger.send(held, courier, lambda: held.not_after) is False
    assert smtp.taken == []


def test_a_sender_that_slept_while_the_release_moved_sends_nothing(planned: Release, smtp: Sink, cast: Cast) -> None:
    now = at(planned, "T-1d")
    held = ledger.claim(row(planned, "T-1d", "Ben").pk, now)
    assert held is not None
    workflow.reschedule(planned, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    with Courier() as courier:
        assert ledger.send(held, courier, lambda: now) is False
    assert smtp.taken == []
    held.refresh_from_db()
    assert (held.state, held.reason) == ("superseded", "the release moved")


@pytest.mark.parametrize("change", ["moved", "held", "cancelled", "left"])
def test_the_claim_looks_again(change: str, planned: Release, cast: Cast) -> None:
    pk = row(planned, "T-1d", "Ben").pk
    if change == "moved":
        workflow.reschedule(planned, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    elif change == "held":
        workflow.hold(planned, "incident elsewhere", by=cast.ada)
    elif change == "cancelled":
        workflow.cancel(planned, "not needed", by=cast.ada)
    else:
        people.unassign(planned, role("QA Lead"), cast.ben, by=cast.ada)
    assert ledger.claim(pk, at(planned, "T-1d")) is None
    found = Reminder.objects.get(pk=pk)
    assert found.state in ("superseded", "cancelled")
    assert found.reason


def test_two_marks_to_one_person_are_never_under_way_together(release: Release) -> None:
    now = at(release, "T-1d") - SECOND
    ledger.plan(at(release, "T-3d"))
    earlier = ledger.claim(row(release, "T-3d", "Ada").pk, now)
    assert earlier is not None
    later = row(release, "T-1d", "Ada").pk
    assert ledger.claim(later, now + SECOND) is None
    assert Reminder.objects.get(pk=later).state == "planned"
    ledger.free_leases(now + ledger.LEASE)
    assert ledger.claim(later, now + ledger.LEASE) is not None


# Sending


def test_one_tick_sends_all_that_is_due_on_one_connection(planned: Release, smtp: Sink) -> None:
    assert work(at(planned, "T-1d")) == 3
    assert len(smtp.taken) == 3
    assert smtp.connections == 1
    assert len(set(smtp.ids())) == 3


def test_a_row_says_when_it_was_sent_under_which_id_and_what_the_server_said(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d")
    work(now)
    found = row(planned, "T-1d", "Ben")
    assert (found.state, found.sent_at, found.reason) == ("sent", now, "")
    assert found.smtp_reply.startswith("250 2.0.0 taken as number")
    assert found.message_id in smtp.ids()
    assert found.subject in smtp.to("Ben")


@pytest.mark.parametrize("where", ["rcpt", "data"])
def test_5xx_after_rcpt_or_data_is_for_good(where: str, planned: Release, smtp: Sink) -> None:
    getattr(smtp, where)[BEN] = "550 5.1.1 no such mailbox"
    assert work(at(planned, "T-1d")) == 2
    found = row(planned, "T-1d", "Ben")
    assert found.state == "failed"
    assert "550 5.1.1 no such mailbox" in found.reason
    assert [entry.recipient.name for entry in reminders.trouble(planned)] == ["Ben Osei"]
    assert smtp.to("Gus"), "one bad address keeps nobody else from their mail"


@pytest.mark.parametrize("where", ["rcpt", "data"])
def test_4xx_is_tried_again_later(where: str, planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d")
    getattr(smtp, where)[BEN] = "451 4.7.1 greylisted"
    work(now)
    found = row(planned, "T-1d", "Ben")
    assert found.state == "planned"
    assert "greylisted" in found.reason
    assert work(now) == 0, "not before its time"
    getattr(smtp, where).clear()
    assert work(now + MINUTE) == 1
    assert smtp.to("Ben")


def test_the_waits_grow_from_30_seconds_to_15_minutes_with_jitter(planned: Release, smtp: Sink) -> None:
    smtp.rcpt = dict.fromkeys((ADA, BEN, GUS), "450 busy")
    now = at(planned, "T-1d")
    for expected in (30, 60, 120, 240, 480, 900, 900):
        work(now)
        found = row(planned, "T-1d", "Ben")
        assert found.next_attempt_at is not None
        wait = (found.next_attempt_at - now).total_seconds()
        assert 0.8 * expected <= wait <= 1.2 * expected
        now += timedelta(seconds=1.3 * expected)


def test_a_long_wait_ends_with_a_last_try_inside_the_window(planned: Release, smtp: Sink) -> None:
    smtp.rcpt[BEN] = "450 busy"
    found = row(planned, "T-1d", "Ben")
    Reminder.objects.filter(pk=found.pk).update(attempts=9)
    now = found.not_after - 5 * MINUTE
    work(now)
    assert row(planned, "T-1d", "Ben").next_attempt_at == found.not_after - MINUTE


def test_a_row_that_was_never_taken_is_missed_with_the_servers_words(planned: Release, smtp: Sink) -> None:
    smtp.rcpt[BEN] = "450 mailbox busy"
    work(at(planned, "T-1d"))
    ledger.miss(row(planned, "T-1d", "Ben").not_after)
    assert "mailbox busy" in state(planned, "T-1d", "Ben")[1]
    assert state(planned, "T-1d", "Ben")[0] == "missed"


def test_a_refusal_at_mail_from_is_no_fault_of_the_recipient(planned: Release, smtp: Sink) -> None:
    smtp.sender = "550 5.7.1 not you"
    work(at(planned, "T-1d"))
    assert {entry.state for entry in planned.reminders.all()} == {"planned"}


def test_a_server_that_is_away_is_noted_once_for_all_and_forgotten_when_it_is_back(
    planned: Release, smtp: Sink, settings: Any
) -> None:
    now, port = at(planned, "T-1d"), settings.EMAIL_PORT
    settings.EMAIL_PORT = 1
    assert work(now) == 0
    trouble = reminders.server_trouble()
    assert trouble is not None
    assert trouble[0] == now
    assert [entry.attempts for entry in planned.reminders.order_by("-attempts")] == [1, 0, 0]
    work(now + 30 * SECOND)
    assert reminders.server_trouble() is not None
    assert reminders.server_trouble()[0] == now, "since when, not until when"  # type: ignore[index]
    settings.EMAIL_PORT = port
    work(now + 5 * MINUTE)
    assert len(smtp.taken) == 3
    assert reminders.server_trouble() is None


def test_a_mail_that_cannot_be_written_keeps_no_other_from_going_out(
    planned: Release, smtp: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build = mail.build

    def broken(entry: Reminder, now: datetime) -> Any:
        if entry.recipient.email == ADA:
            raise KeyError("by")
        return build(entry, now)

    monkeypatch.setattr(mail, "build", broken)
    with caplog.at_level(logging.CRITICAL):
        assert work(at(planned, "T-1d")) == 2
    assert state(planned, "T-1d", "Ada")[0] == "planned"
    assert "could not be written" in state(planned, "T-1d", "Ada")[1]


def test_an_address_no_mail_can_be_sent_to_keeps_no_other_from_going_out(
    planned: Release, smtp: Sink, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    type(cast.gus).objects.filter(pk=cast.gus.pk).update(email="gus@exa\nmple.org")
    with caplog.at_level(logging.CRITICAL):
        assert work(at(planned, "T-1d")) == 2
    assert state(planned, "T-1d", "Gus")[0] == "planned"


def claimed(pk: int, now: datetime, desk: ledger.Desk) -> Reminder:
    found = ledger.claim(pk, now, desk)
    assert found is not None
    mail.build(found, now)
    return found


@pytest.fixture
def two(planned: Release) -> tuple[int, int, datetime]:
    """The rows of Ben and of Gus, and the moment both are due."""
    return row(planned, "T-1d", "Ben").pk, row(planned, "T-1d", "Gus").pk, at(planned, "T-1d")


def test_mails_of_one_release_due_together_read_it_once(two: tuple[int, int, datetime]) -> None:
    bens, guss, now = two
    desk = ledger.Desk()
    first = claimed(bens, now, desk)
    with CaptureQueriesContext(connection) as asked:
        second = claimed(guss, now, desk)
    assert second.release is first.release
    read = {query["sql"].split(' FROM "')[1].split('"')[0] for query in asked if " FROM " in query["sql"]}
    assert not read & {f"releases_{name}" for name in ("phase", "item", "assignment", "hold", "actionitem")}


def test_what_happens_to_a_release_between_two_of_its_mails_is_in_the_second(
    two: tuple[int, int, datetime], planned: Release, cast: Cast
) -> None:
    bens, guss, now = two
    desk = ledger.Desk()
    assert "0 of " in str(mail.build(claimed(bens, now, desk), now).body)
    ticking.set_done(item(planned, "All PRs merged"), True, by=cast.ada)
    assert "1 of " in str(mail.build(claimed(guss, now, desk), now).body)


def test_an_absence_named_between_two_mails_of_a_release_is_seen_by_the_second(
    two: tuple[int, int, datetime], planned: Release, cast: Cast
) -> None:
    bens, guss, now = two
    desk, day = ledger.Desk(), timezone.localdate(now, planned.zone)
    claimed(bens, now, desk)
    absence = {"starts_on": day, "ends_on": day, "created_at": timezone.now()}
    Delegation.objects.create(user=cast.gus, deputy=cast.eli, **absence)
    assert ledger.claim(guss, now, desk) is None
    assert Reminder.objects.get(pk=guss).reason == "away; Eli Tanaka stands in"


def test_what_was_read_of_a_release_is_read_anew_after_four_seconds(two: tuple[int, int, datetime]) -> None:
    bens, guss, now = two
    desk = ledger.Desk()
    first = claimed(bens, now, desk)
    desk.ends -= ledger.STILL_FRESH.total_seconds()
    assert claimed(guss, now, desk).release is not first.release


def test_drivers_begin_apart_and_keep_the_order_within_a_release_and_of_what_was_tried_before() -> None:
    ready = [
        ledger.Due(1, 7, 0),
        ledger.Due(2, 8, 0),
        ledger.Due(3, 7, 0),
        ledger.Due(4, None, 0),
        ledger.Due(5, 8, 0),
        ledger.Due(6, 9, 1),
        ledger.Due(7, 7, 2),
    ]
    found = {tuple(ledger.apart(ready)) for _ in range(200)}
    untried = {order[:5] for order in found}
    assert untried == {(1, 3, 2, 5, 4), (2, 5, 4, 1, 3), (4, 1, 3, 2, 5)}
    assert {order[5:] for order in found} == {(6, 7)}


def test_a_row_that_another_driver_took_keeps_no_other_from_going_out(
    planned: Release, smtp: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, taken = ledger.claim, []

    def late(pk: int, now: datetime, *desk: Any) -> Reminder | None:
        if not taken:  # just before us
            taken.append(claim(pk, now))
        return claim(pk, now, *desk)

    monkeypatch.setattr(ledger, "claim", late)
    assert work(at(planned, "T-1d")) == 2
    assert taken[0] is not None
    assert Reminder.objects.get(state="sending") == taken[0]


def test_a_row_whose_release_is_locked_is_left_to_the_next_tick(
    planned: Release, smtp: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, tried = ledger.claim, []

    def locked(pk: int, *looking: Any) -> Reminder | None:
        tried.append(pk)
        if len(tried) == 1:
            raise OperationalError("canceling statement due to lock timeout")
        return claim(pk, *looking)

    monkeypatch.setattr(ledger, "claim", locked)
    assert work(at(planned, "T-1d")) == 2
    assert len(tried) == 3
    assert work(at(planned, "T-1d")) == 1


def test_a_step_that_fails_keeps_no_other_from_its_work_and_is_noted(
    planned: Release, smtp: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def plan(now: datetime) -> int:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(ledger, "plan", plan)
    with caplog.at_level(logging.CRITICAL):
        assert ledger.tick(at(planned, "T-1d")) == 3
    assert Heartbeat.objects.get(name="reminders").data == {"failed": ["plan"]}


def test_a_release_that_cannot_be_planned_keeps_no_other_from_it(
    release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    release.phases.update(opens="not an offset")
    other = ReleaseFactory()
    with caplog.at_level(logging.CRITICAL):
        ledger.plan(timezone.now())
    assert other.reminders.filter(kind="mark").exists()


def test_a_tick_ends_when_the_next_one_begins(planned: Release, smtp: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "LONGEST_TICK", -1)
    assert work(at(planned, "T-1d")) == 0
    assert planned.reminders.filter(state="planned").count() == 3


# A clock that is set back


def test_a_clock_set_back_an_hour_holds_up_no_mail_that_a_dead_sender_had(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d") + 2 * HOUR
    ledger.tick(now - MINUTE)
    Reminder.objects.filter(pk=row(planned, "T-1d", "Ben").pk).update(state="planned", sent_at=None)
    assert ledger.claim(row(planned, "T-1d", "Ben").pk, now) is not None
    ledger.tick(now - HOUR)
    assert state(planned, "T-1d", "Ben")[0] == "sent"


def test_a_clock_set_back_an_hour_holds_up_no_second_try(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d") + 2 * HOUR
    smtp.rcpt[BEN] = "450 busy"
    ledger.tick(now)
    smtp.rcpt.clear()
    ledger.tick(now - HOUR)
    assert state(planned, "T-1d", "Ben")[0] == "sent"


def test_a_clock_set_back_an_hour_holds_up_no_notice(release: Release, smtp: Sink, cast: Cast) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        ledger.tick()
        workflow.hold(release, "incident elsewhere", by=cast.ada)
    ledger.tick(now - HOUR)
    assert {entry.state for entry in release.reminders.filter(kind="held")} == {"sent"}


def test_a_clock_set_back_makes_no_mark_early(planned: Release, smtp: Sink) -> None:
    ledger.tick(at(planned, "T-1d") - MINUTE)
    ledger.tick(at(planned, "T-1d") - HOUR)
    assert state(planned, "T-1d", "Ben")[0] == "planned"


# Idempotence


def test_planning_twice_adds_nothing(release: Release) -> None:
    assert ledger.plan(timezone.now()) > 0
    assert ledger.plan(timezone.now()) == 0


def test_a_ledger_with_nothing_to_do_costs_few_statements_however_many_releases(
    release: Release, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        ReleaseFactory()
    now = timezone.now()
    ledger.tick(now)
    Reminder.objects.filter(kind="assigned").delete()
    with django_assert_max_num_queries(9):
        ledger.tick(now + SECOND)


def test_a_release_is_planned_again_with_its_next_event_and_else_once_an_hour(release: Release, cast: Cast) -> None:
    now = timezone.now()
    ledger.plan(now)
    Reminder.objects.all().delete()  # nobody does that; it shows who is looked at
    assert ledger.plan(now + HOUR - SECOND) == 0
    assert ledger.plan(now + HOUR) > 0
    Reminder.objects.all().delete()
    ticking.write_note(release, "all quiet", by=cast.ada)
    assert ledger.plan(now + HOUR + SECOND) > 0


def test_an_absence_named_while_a_release_is_planned_is_seen_with_the_next_look(release: Release, cast: Cast) -> None:
    now = timezone.now()
    ledger.plan(now)
    read = ledger._live(Q(pk=release.pk))
    people.delegate(cast.cy, cast.sam, timezone.localdate(), timezone.localdate(), by=cast.cy)
    ledger._note_planned(read, set(), now + SECOND)
    assert ledger._live(ledger._to_plan(now + SECOND)) == [release]


def test_marks_that_a_clock_ahead_took_for_past_are_planned_when_it_is_set_right(release: Release) -> None:
    ahead = at(release, "T-1d")
    ledger.plan(ahead)
    reminders.beat(ahead)
    assert not release.reminders.filter(mark="T-3d").exists()
    ledger.follow_clock(timezone.now())
    ledger.plan(timezone.now())
    assert release.reminders.filter(mark="T-3d").exists()


def test_retiring_ends_what_no_longer_matches_without_sending(release: Release, cast: Cast) -> None:
    ledger.plan(timezone.now())
    people.unassign(release, role("QA Lead"), cast.ben, by=cast.ada)
    ledger.retire(timezone.now())
    ended = release.reminders.filter(kind="mark", recipient=cast.ben)
    assert {(entry.state, entry.reason) for entry in ended} == {("cancelled", "no longer holds a role")}
    assert release.reminders.planned().filter(kind="mark").count() == 15


# Final rows


def test_final_rows_never_change_and_send_now_makes_a_new_one(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d")
    work(now)
    first = row(planned, "T-1d", "Ben")
    with time_machine.travel(now, tick=False):
        ledger.send_again(first, by=planned.coordinator)
    work(now + MINUTE)
    first.refresh_from_db()
    assert (first.state, first.sent_at) == ("sent", now)
    again = planned.reminders.get(resend_of=first)
    assert again.state == "sent"
    assert again.message_id != first.message_id


def test_a_mail_sent_once_more_makes_the_failure_good(planned: Release, smtp: Sink) -> None:
    now = at(planned, "T-1d")
    smtp.rcpt[BEN] = "550 no such mailbox"
    work(now)
    smtp.rcpt.clear()
    with time_machine.travel(now, tick=False):
        ledger.send_again(row(planned, "T-1d", "Ben"), by=planned.coordinator)
    work(now + MINUTE)
    assert list(reminders.trouble(planned)) == []


def test_rows_of_a_finished_release_are_still_sent_when_they_tell_of_it(release: Release, smtp: Sink) -> None:
    bring_to(release, Status.CLOSED)
    work(timezone.now())
    assert "closed" in set(release.reminders.filter(state="sent").values_list("kind", flat=True))


def test_the_database_holds_the_ledgers_rules_too(release: Release, cast: Cast) -> None:
    now = timezone.now()
    good = {
        "kind": "mark",
        "release": release,
        "recipient": cast.ada,
        "mark": "T-9d",
        "schedule_version": 1,
        "due_at": now,
        "not_after": now + timedelta(hours=1),
        "created_at": now,
    }
    Reminder.objects.create(**good)
    for bad in (
        good,  # owed twice
        good | {"mark": "a", "not_after": now},
        good | {"mark": "b", "state": "sending"},
        good | {"mark": "c", "state": "sent"},
        good | {"mark": "d", "state": "missed"},
        good | {"mark": "e", "sent_at": now},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Reminder.objects.create(**bad)
