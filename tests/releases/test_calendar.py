"""What goes to people's calendars, read back by a reader of its own; each test named as its rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.models import User
from releases import amending, feed, gonogo, ical, people, ticking, workflow
from releases.models import ActionItem, CalendarFeed, Release, Status
from releases.workflow import Window
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, role, settle_gate, window
from tests.releases.mailing import at, html, look, one
from tests.rfc5545 import Component, Diary, of_mail, read

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
PARTS = {"window", "poll"}


def subscribed(person: User, now: datetime | None = None) -> dict[str, Component]:
    """The feed of `person`: its events by the first word of their UID and the key of their release."""
    calendar = read(feed.text(person, now or timezone.now()).encode())
    return {f"{event.summary.split(':')[0].split()[0]} {event.uid.split('.')[0]}": event for event in calendar.inside}


def tick(by: timedelta = SECOND) -> list[Any]:
    """What goes out a little later."""
    return look(timezone.now() + by)


def brought(message: Any) -> list[tuple[str, str]]:
    """What a mail brings: method and moment, the one programs act on first."""
    return [(calendar.method, calendar.inside[0].uid.split(".")[0]) for calendar in of_mail(message)]


# Invitations


def test_a_role_brings_the_window_and_to_voters_the_poll(release: Release, cast: Cast) -> None:
    mails = tick(11 * MINUTE)
    to_ben, to_gus = one(mails, "Ben"), one(mails, "Gus")
    assert brought(to_ben) == [("REQUEST", "window"), ("REQUEST", "poll")]
    assert brought(to_gus) == [("REQUEST", "window")], "developers have no seat"
    for part in (to_ben.body, html(to_ben)):
        assert "For your calendar: the deployment window and the Go/No-Go." in part
    deployment, poll = (calendar.inside[0] for calendar in of_mail(to_ben))
    assert (deployment.dtstart, deployment.dtend) == (release.t_zero, release.window_end)
    assert poll.dtstart == release.t_zero - 4 * HOUR
    assert (deployment.summary, poll.summary) == ("PAY-4.2 Payments: deployment window", "PAY-4.2 Payments: Go/No-Go")
    assert (deployment.sequence, deployment.status, deployment.get("CLASS")) == (1, "CONFIRMED", "PUBLIC")
    assert deployment.organizer == "mailto:relcoord@localhost", "the address that the mail comes from, whoever leads"
    assert deployment.attendee == "mailto:ben@example.org"
    assert deployment.params("ATTENDEE")["CN"] == "Ben Osei"
    assert deployment.params("ATTENDEE")["RSVP"] == "FALSE"
    assert poll.url == "http://localhost:8000/r/PAY-4.2/decision/"


def test_the_last_reminder_before_the_poll_brings_the_poll_and_no_other_does(release: Release) -> None:
    found = {
        (mark, message.to[0].split()[0]): brought(message)
        for mark in ("T-3d", "T-1d", "T-4h")
        for message in look(at(release, mark))
        if f" {mark}: " in message.subject
    }
    both = [("REQUEST", "poll"), ("REQUEST", "window")]
    assert found["T-1d", "Ben"] == found["T-1d", "Ada"] == both
    assert found["T-1d", "Gus"] == [], "developers have no seat"
    assert {key for key, brings in found.items() if brings} == {("T-1d", "Ben"), ("T-1d", "Ada")}
    assert {("T-3d", "Ada"), ("T-4h", "Ben"), ("T-4h", "Dana")} <= set(found)


def test_moves_holds_and_the_end_reach_the_same_entry(release: Release, cast: Cast) -> None:
    ben = Diary().take(one(tick(11 * MINUTE), "Ben"))
    first = {name: ben.of(name) for name in PARTS}

    with time_machine.travel(timezone.now() + HOUR, tick=False):
        moved = window(timedelta(days=9), hours=3)
        workflow.reschedule(release, moved, by=cast.ada, reason="a holiday")
        ben.take(one(tick(), "Ben"))
        assert set(ben.entries) == {first["window"].uid, first["poll"].uid}, "the same entries, not new ones"
        assert {ben.of(name).sequence for name in PARTS} == {2}
        assert (ben.of("window").dtstart, ben.of("window").dtend) == (moved.t_zero, moved.ends)
        assert ben.of("poll").dtstart == moved.t_zero - 4 * HOUR
    with time_machine.travel(timezone.now() + 2 * HOUR, tick=False):
        workflow.hold(release, "incident elsewhere", by=cast.ada)
        held = one(tick(), "Ben")
        ben.take(held)
        assert {ben.of(name).status for name in PARTS} == {"TENTATIVE"}
        assert "as tentative." in held.body
        assert "The clock is on hold, so this may move." in ben.of("window").description
    with time_machine.travel(timezone.now() + 3 * HOUR, tick=False):
        workflow.resume(release, by=cast.ada)
        ben.take(one(tick(), "Ben"))
        assert {(ben.of(name).status, ben.of(name).sequence) for name in PARTS} == {("CONFIRMED", 2)}
    with time_machine.travel(timezone.now() + 4 * HOUR, tick=False):
        workflow.cancel(release, "merged into 4.3", by=cast.ada)
        end = one(tick(), "Ben")
        assert brought(end) == [("CANCEL", "window"), ("CANCEL", "poll")]
        ben.take(end)
        assert {(ben.of(name).status, ben.of(name).sequence) for name in PARTS} == {("CANCELLED", 3)}
        assert set(ben.entries) == {first["window"].uid, first["poll"].uid}
        assert "Comes out of your calendar: the deployment window and the Go/No-Go." in end.body


def test_a_no_go_makes_it_tentative_until_there_is_a_new_time(release: Release, cast: Cast) -> None:
    bring_to(release, Status.NO_GO)
    ben = Diary().take(one(tick(), "Ben"))
    assert {ben.of(name).status for name in PARTS} == {"TENTATIVE"}
    workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="found it")
    ben.take(one(tick(2 * SECOND), "Ben"))
    assert {(ben.of(name).status, ben.of(name).sequence) for name in PARTS} == {("CONFIRMED", 2)}


def test_a_go_brings_nothing_and_neither_does_what_is_over(release: Release, cast: Cast) -> None:
    tick(11 * MINUTE)
    bring_to(release, Status.CLEARED)
    assert all(brought(message) == [] for message in tick(12 * MINUTE))
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    assert brought(one(look(release.t_zero + HOUR), "Cy")) == [("REQUEST", "window")], "the poll is over"
    people.assign(release, role("QA Lead"), cast.sam, by=cast.ada)
    assert brought(one(look(release.window_end + HOUR), "Sam")) == []


def test_a_deputy_is_invited_to_the_poll_of_their_days(release: Release, cast: Cast) -> None:
    tick(11 * MINUTE)
    day = timezone.localdate(release.t_zero, release.zone)
    people.delegate(cast.ben, cast.cy, day - timedelta(days=2), day, by=cast.ben)
    mails = look(at(release, "T-1d"))
    assert brought(one(mails, "Cy", "T-1d")) == [("REQUEST", "poll"), ("REQUEST", "window")]
    assert of_mail(one(mails, "Cy", "T-1d"))[0].inside[0].attendee == "mailto:cy@example.org"
    assert {"PAY-4.2 poll", "PAY-4.2 window"} <= set(subscribed(cast.cy))
    people.end_delegation(cast.ben.absences.get(), by=cast.ben)
    assert subscribed(cast.cy) == {}


@pytest.mark.parametrize(
    ("wall", "t_zero", "day_before", "poll"),
    [
        ("2027-03-28 09:00", "2027-03-28T07:00", "2027-03-27T08:00", "2027-03-28T03:00"),  # 23 hours between
        ("2027-10-31 09:00", "2027-10-31T08:00", "2027-10-30T07:00", "2027-10-31T04:00"),  # 25 hours
    ],
)
def test_a_clock_change_moves_no_instant(
    release: Release, cast: Cast, wall: str, t_zero: str, day_before: str, poll: str
) -> None:
    """T-1d is the same time on Berlin's clock, T-4h is four hours, and all of it is read back in UTC."""
    begins = datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    moved = Window(begins.astimezone(UTC), begins.astimezone(UTC) + HOUR, "Europe/Berlin")
    workflow.reschedule(release, moved, by=cast.ada, reason="spring")
    ben = Diary().take(one(tick(), "Ben"))
    assert f"{ben.of('window').dtstart:%Y-%m-%dT%H:%M}" == t_zero
    assert f"{ben.of('poll').dtstart:%Y-%m-%dT%H:%M}" == poll
    feed_of_ada = subscribed(cast.ada)
    readiness = next(event for event in feed_of_ada.values() if "Readiness" in event.summary)
    assert f"{readiness.dtstart:%Y-%m-%dT%H:%M}" == day_before, "due when the next phase opens"
    assert feed_of_ada["PAY-4.2 window"].dtstart == ben.of("window").dtstart
    assert feed_of_ada["PAY-4.2 window"].uid == ben.of("window").uid


def test_no_title_or_name_breaks_a_calendar(cast: Cast) -> None:
    User.objects.filter(pk=cast.ben.pk).update(name='Ben "the; 2nd", O^Neil\t支払い\x07')
    User.objects.filter(pk=cast.ada.pk).update(name="Ada; Countess, of\\Lovelace")
    title = "Größe; a, b\\n \x07支払いシステムの新しいリリース 支払いシステムの新しいリリース «END:VEVENT» 🚀🚀🚀🚀🚀"
    release = ReleaseFactory(key="PAY-9", title=title, restricted=True)
    (message,) = [mail for mail in tick(11 * MINUTE) if "ben@example.org" in mail.to[0]]
    event = of_mail(message)[0].inside[0]
    assert event.summary == f"PAY-9 {title.replace(chr(7), '')}: deployment window"
    assert event.params("ATTENDEE")["CN"] == "Ben 'the; 2nd', O^Neil 支払い"
    assert "Coordinator: Ada; Countess, of\\Lovelace\n" in event.description
    assert event.get("CLASS") == "CONFIDENTIAL"
    assert {"PAY-9 window", "PAY-9 poll"} <= set(subscribed(cast.ben))
    published = read(ical.file(fresh(release), timezone.now()).encode())
    assert published.method == "PUBLISH"
    assert published.inside[0].uid == event.uid


# The feed


def test_a_feed_holds_what_is_asked_of_its_person_and_when(release: Release, cast: Cast) -> None:
    amending.set_due(item(release, "Performance verified"), release.t_zero - 6 * HOUR, by=cast.ada)
    found = {event.summary: event for event in subscribed(cast.gus).values()}
    assert list(found) == ["PAY-4.2: Performance verified due", "PAY-4.2 Payments: deployment window"]
    assert found["PAY-4.2: Performance verified due"].dtstart == release.t_zero - 6 * HOUR
    assert found["PAY-4.2: Performance verified due"].transp == "TRANSPARENT"

    ada = {event.summary: event for event in subscribed(cast.ada).values()}
    assert list(ada) == [
        "PAY-4.2 Readiness: 3 items due",
        "PAY-4.2 Payments: Go/No-Go",
        "PAY-4.2 Payments: deployment window",
        "PAY-4.2 Production: 2 items due",
    ]
    assert "- All PRs merged\n- Backup taken\n- Order cake\n" in ada["PAY-4.2 Readiness: 3 items due"].description
    assert ada["PAY-4.2 Production: 2 items due"].dtstart == release.window_end
    assert subscribed(cast.cy) == subscribed(cast.sam) == {}, "on nothing; not even staff"

    settle_gate(release)
    ticking.set_done(item(release, "Order cake"), True, by=cast.ada)
    assert [event.summary for event in subscribed(cast.gus).values()] == ["PAY-4.2 Payments: deployment window"]
    assert "PAY-4.2 Readiness: 3 items due" not in {event.summary for event in subscribed(cast.ada).values()}


def test_a_feed_follows_the_release(release: Release, cast: Cast) -> None:
    def window_of(person: User) -> Component:
        return subscribed(person)["PAY-4.2 window"]

    before = window_of(cast.ben)
    assert feed.text(cast.ben, timezone.now()) == feed.text(cast.ben, timezone.now() + HOUR), "until something changes"
    bring_to(release, Status.NO_GO)
    action = {
        "title": "Fix, the query",
        "owner": cast.cy,
        "due_at": release.t_zero,
        "source": "no_go",
        "blocks": "poll",
    }
    ActionItem.objects.create(release=release, decision=release.decisions.get(), **action)
    assert [event.summary for event in subscribed(cast.cy).values()] == ["PAY-4.2: Fix, the query due"]
    assert window_of(cast.ben).status == "TENTATIVE"
    moved = window(timedelta(days=9))
    workflow.reschedule(release, moved, by=cast.ada, reason="found it")
    after = window_of(cast.ben)
    assert (after.uid, after.sequence, after.status) == (before.uid, 2, "CONFIRMED")
    assert after.dtstart == moved.t_zero
    assert after.dtstamp >= before.dtstamp
    workflow.cancel(release, "merged into 4.3", by=cast.ada)
    assert {event.status for event in subscribed(cast.ben).values()} == {"CANCELLED"}
    assert set(subscribed(cast.ben)) == {"PAY-4.2 window", "PAY-4.2 poll"}
    assert subscribed(cast.cy) == {}
    assert subscribed(cast.ben, moved.ends + feed.KEPT - HOUR) != {}
    assert subscribed(cast.ben, moved.ends + feed.KEPT + HOUR) == {}, "not for ever"


def test_a_restricted_release_is_in_the_feeds_of_those_who_may_see_it(cast: Cast) -> None:
    release = ReleaseFactory(key="SEC-1", restricted=True, holders={role("QA Lead"): [cast.ben]})
    bring_to(release, Status.PREPARING)
    owned = {"title": "Look into it", "source": "review", "blocks": "nothing", "due_at": release.t_zero}
    ActionItem.objects.create(release=release, owner=cast.gus, **owned)
    assert {"SEC-1 window", "SEC-1 poll"} <= set(subscribed(cast.ben))
    assert subscribed(cast.gus) == {}
    release.viewers.add(cast.gus)
    assert [event.summary for event in subscribed(cast.gus).values()] == ["SEC-1: Look into it due"]


def test_a_feed_says_how_often_to_look_and_whose_it_is(release: Release, cast: Cast) -> None:
    calendar = read(feed.text(cast.ben, timezone.now()).encode())
    assert calendar.get("REFRESH-INTERVAL") == calendar.get("X-PUBLISHED-TTL") == "PT1H"
    assert calendar.params("REFRESH-INTERVAL") == {"VALUE": "DURATION"}
    assert calendar.get("NAME") == calendar.get("X-WR-CALNAME") == "Releases of Ben Osei"
    assert calendar.method is None
    assert not any(event.attendee for event in calendar.inside)


def test_a_feed_asks_no_more_however_many_releases(release: Release, cast: Cast) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            subscribed(cast.ada)
        return len(asked)

    bring_to(release, Status.NO_GO)
    alone = statements()
    for _ in range(9):
        ReleaseFactory()
    gonogo.open_poll(ReleaseFactory(), by=cast.ada)
    assert len({name for name in subscribed(cast.ada) if name.endswith(" window")}) == 11
    assert statements() == alone <= 10


def test_of_an_address_only_a_hash_is_kept_and_a_new_one_ends_it(cast: Cast) -> None:
    first = feed.reset(cast.ben)
    assert len(first) >= 43, "256 bits"
    assert first not in str(list(CalendarFeed.objects.values()))
    assert feed.person_of(first) == cast.ben
    second = feed.reset(cast.ben)
    assert first != second
    assert feed.person_of(first) is None
    assert feed.person_of(second) == cast.ben
    assert feed.person_of(CalendarFeed.objects.get().token_hash) is None, "the hash is no address"
    assert feed.person_of("") is feed.person_of("\udcff") is None
    User.objects.filter(pk=cast.ben.pk).update(is_active=False)
    assert feed.person_of(second) is None
