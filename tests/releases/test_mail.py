"""What the mails say, each test named as its rule."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.utils import parseaddr
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core import mail as outbox
from django.core import signing
from django.test import Client
from django.utils import timezone

from relcoord.models import User
from releases import gonogo, ledger, mail, people, rollback, ticking, workflow
from releases.mail import words
from releases.models import Call, Choice, Event, Invitation, Release, Reminder, Status
from releases.workflow import Window
from tests.factories import (
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    role,
    seat,
    settle_gate,
    vote_go,
    window,
)
from tests.releases.mailing import at, html, look, names, one
from tests.snapshot import changed, snapshot

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


class Links(HTMLParser):
    """The addresses a mail's HTML leads to, and what a mail must not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.unwanted: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag in ("script", "form", "img", "link", "iframe", "style") or any(name.startswith("on") for name in found):
            self.unwanted.append(tag)


def links(message: Any) -> list[str]:
    parser = Links()
    parser.feed(html(message))
    assert parser.unwanted == []
    return parser.links


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVERY_MAIL: list[Any] = []  # written once a process: to read them no test needs the rows they came from


@pytest.fixture
def every_mail(request: pytest.FixtureRequest) -> list[Any]:
    """One mail at least of every kind, of releases that went through everything."""
    return EVERY_MAIL or request.getfixturevalue("just_mailed")


@pytest.fixture
def just_mailed(cast: Cast) -> Iterator[list[Any]]:
    """The same, with the releases still there, at a noon that stands still. `kind` says of which kind each is."""
    with time_machine.travel(NOON, tick=False):
        mails = mailed(cast)
        EVERY_MAIL[:] = mails
        yield mails


def mailed(cast: Cast) -> list[Any]:
    later = ReleaseFactory()
    bring_to(later, Status.CLEARED)
    ticking.reopen(item(later, "All PRs merged"), by=cast.ada, revoke="a late fix")
    workflow.hold(later, "incident elsewhere", by=cast.ada)
    workflow.resume(later, by=cast.ada)
    workflow.reschedule(later, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    gonogo.open_poll(later, by=cast.ada)
    gonogo.cast_ballot(later, seat(later, "QA Lead"), Choice.GO, by=cast.ada, spoken_by_holder=cast.ben)
    people.take_over(later, "Ada cannot be reached", by=cast.dana)
    people.invite("new@example.org", "New Person", by=cast.sam)
    bring_to(ReleaseFactory(), Status.ROLLED_BACK)
    bring_to(ReleaseFactory(), Status.NO_GO)
    bring_to(ReleaseFactory(), Status.CLOSED)
    gonogo.withdraw_poll(later, "asked too early", by=cast.dana)
    workflow.cancel(later, "merged into 4.3", by=cast.dana)
    gonogo.open_poll(asked := ReleaseFactory(), by=cast.ada)
    bring_to(ReleaseFactory(), Status.DEPLOYED)
    ReleaseFactory(holders={})

    outbox.outbox.clear()
    ledger.tick(timezone.now() + timedelta(minutes=11))
    ledger.tick(timezone.now() + 2 * HOUR + timedelta(minutes=1))
    ledger.tick(timezone.now() + 3 * HOUR + timedelta(minutes=2))
    ledger.tick(fresh(asked).t_zero - HOUR)
    kinds = dict(Reminder.objects.filter(state="sent").values_list("message_id", "kind"))
    assert set(kinds.values()) == set(Reminder.Kind.values)
    for message in outbox.outbox:
        message.kind = kinds[message.extra_headers["Message-ID"]]  # type: ignore[attr-defined]
    return list(outbox.outbox)


# Every mail


def test_every_link_of_a_mail_stands_in_both_parts_and_opening_it_changes_nothing(
    just_mailed: list[Any], settings: Any
) -> None:
    client = Client()
    client.force_login(User.objects.get(email="ada@example.org"), "django.contrib.auth.backends.ModelBackend")
    before = snapshot()
    seen: set[str] = set()
    for message in just_mailed:
        found = links(message)
        assert found
        for link in found:
            assert link.startswith(settings.SITE_URL + "/")
            assert link in message.body
            seen.add(link.removeprefix(settings.SITE_URL))
    for path in seen:
        assert client.get(path).status_code in (200, 302), path
    assert changed(before, snapshot()) == []


def test_every_kind_of_mail_is_written_by_hand_in_both_parts(every_mail: list[Any]) -> None:
    for message in every_mail:
        assert message.alternatives[0].mimetype == "text/html"
        assert all(other.mimetype.startswith("text/calendar; method=") for other in message.alternatives[1:])
        assert ("calendar" in message.body) == (len(message.alternatives) == 2) == ("calendar" in html(message))
        for part in (message.subject, message.body, html(message)):
            assert part.strip()
            assert "{{" not in part
            assert "{%" not in part
            assert "None" not in part
            assert "&amp;amp;" not in part
        assert "&quot;" not in message.body
        assert "\n\n\n" not in message.body
        assert html(message).count("<h1") == 1


def test_every_mail_says_why_it_came_and_that_links_only_open_pages(every_mail: list[Any]) -> None:
    for message in every_mail:
        assert "You get this because " in message.body
        assert "You get this because " in html(message)
        assert "Links in this mail only open pages" in message.body
        assert "Links in this mail only open pages" in html(message)


@pytest.mark.parametrize("kind", Reminder.Kind.values)
def test_a_mail_says_what_was_agreed(every_mail: list[Any], kind: str) -> None:
    """Both parts as they stand in `tests/releases/mails/`; WRITE_MAILS=1 writes them anew, for a look at the change."""
    file = Path(__file__).parent / "mails" / f"{kind}.txt"
    found = "\n".join(as_agreed(message) for message in first_two(every_mail, kind))
    if os.environ.get("WRITE_MAILS"):
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def first_two(mails: list[Any], kind: str) -> list[Any]:
    """Of two subjects, where a kind has so many: "act" and "know", or marks and summaries."""
    mine = sorted((mail for mail in mails if mail.kind == kind), key=lambda mail: (as_agreed(mail), mail.to))
    by_shape = {re.sub(r"[\d:]+", "", mail.subject).split(":")[-1]: mail for mail in reversed(mine)}
    return list(by_shape.values())[:2]


def as_agreed(message: Any) -> str:
    """A mail as text, without what is another each time: numbers of rows, tokens, hashes."""
    heads = {"Subject": message.subject, "From": message.from_email, "To": message.to[0]}
    heads |= {"Reply-To": ", ".join(message.reply_to), **message.extra_headers}
    lines = [*(f"{name}: {value}" for name, value in heads.items()), "", message.body, "", html(message), ""]
    said = "\n".join(lines)
    for pattern, instead in NEVER_THE_SAME.items():
        said = re.sub(pattern, instead, said)
    return said


NEVER_THE_SAME = {
    r"PAY-\d+\.0": "PAY-1.0",
    r"pay-\d+-0": "pay-1-0",
    r"(items|reminder|release|u\d+|polls?)([-/])\d+": r"\1\2N",
    r"\b[0-9a-f]{64}\b": "HEAD",
    r"(/unsubscribe/|/welcome/)[^/\s\">]+": r"\1TOKEN",
}


def test_subjects_begin_with_the_key_and_are_short_where_they_can_be(every_mail: list[Any]) -> None:
    for message in every_mail:
        assert re.match(r"(ROLLBACK (started|over): )?PAY-\d+\.0\b|Sam Staff invites", message.subject), message.subject
        assert len(message.subject) <= 70, message.subject


def test_know_mails_of_a_release_share_one_subject_and_thread_act_mails_stand_alone(every_mail: list[Any]) -> None:
    threads: dict[str, set[str]] = {}
    for message in every_mail:
        headers = message.extra_headers
        if "In-Reply-To" in headers:
            assert headers["References"] == headers["In-Reply-To"]
            assert headers["Thread-Topic"]
            if "Importance" not in headers:
                threads.setdefault(headers["References"], set()).add(message.subject)
    assert len(threads) >= 4
    assert all(len(subjects) == 1 for subjects in threads.values()), threads
    act = [message for message in every_mail if "asks" in message.subject or " T-4h: " in message.subject]
    assert act
    assert not any("In-Reply-To" in message.extra_headers for message in act)


def test_every_mail_carries_the_headers_that_filters_and_robots_need(every_mail: list[Any]) -> None:
    for message in every_mail:
        sent = message.message()
        assert sent["Auto-Submitted"] == "auto-generated"
        assert sent["X-Auto-Response-Suppress"] == "All"
        assert sent["X-Relcoord-Reason"] in ("owner", "voter", "coordinator", "watcher")
        assert re.fullmatch(r"<reminder-\d+\.\d+@localhost>", sent["Message-ID"])
        name, address = parseaddr(str(make_header(decode_header(sent["From"]))))
        assert address == "relcoord@localhost", "the address never changes"
        if "invites" not in message.subject:
            assert name == "Payments via relcoord"
            assert re.fullmatch(r"PAY-\d+\.0 <pay-\d+-0\.localhost>", sent["List-Id"])
    ids = [message.extra_headers["Message-ID"] for message in every_mail]
    assert len(set(ids)) == len(ids)


def test_a_reply_reaches_the_coordinator(release: Release) -> None:
    mails = look(at(release, "T-1d"))
    assert one(mails, "Ben", "T-1d").reply_to == ["Ada Lovelace <ada@example.org>"]
    assert one(mails, "Ada", "T-1d").reply_to == []


def test_a_reply_reaches_who_stands_in_for_an_absent_coordinator(release: Release, cast: Cast) -> None:
    day = timezone.localdate(at(release, "T-1d"), release.zone)
    people.delegate(cast.ada, cast.cy, day, day, by=cast.ada)
    mails = look(at(release, "T-1d"))
    assert one(mails, "Ben", "T-1d").reply_to == ["Cy Young <cy@example.org>"]
    assert one(mails, "Cy", "T-1d").reply_to == []


def test_only_rollback_is_marked_as_important(every_mail: list[Any]) -> None:
    important = {message.subject.split(":")[0] for message in every_mail if "Importance" in message.extra_headers}
    assert important == {"ROLLBACK started", "ROLLBACK over"}


def test_names_and_titles_cannot_break_a_mail(cast: Cast) -> None:
    User.objects.filter(pk=cast.gus.pk).update(name='Gus "<b>" Rao, the 2nd')
    release = ReleaseFactory(title="Pay <script>alert(1)</script> & Größe")
    message = one(look(at(release, "T-1d")), '"Gus', "T-1d")
    links(message)
    assert "&lt;script&gt;" in html(message)
    assert "Pay <script>alert(1)</script> & Größe" in message.body
    sent = message.message()
    assert parseaddr(str(make_header(decode_header(sent["To"]))))[1] == "gus@example.org"


def test_a_name_with_a_line_break_is_refused_as_a_header(release: Release, cast: Cast) -> None:
    User.objects.filter(pk=cast.ben.pk).update(name="Ben\nBcc: cy@example.org")
    ledger.plan(at(release, "T-3d"))
    row = Reminder.objects.select_related("release", "recipient").get(mark="T-1d", recipient=cast.ben)
    with pytest.raises(ValueError, match="line break"):
        mail.build(row, at(release, "T-1d"))


def test_a_mail_about_a_restricted_release_says_it_is_confidential(cast: Cast) -> None:
    release = ReleaseFactory(restricted=True)
    assert one(look(at(release, "T-1d")), "Ben", "T-1d").extra_headers["Sensitivity"] == "Company-Confidential"


# Times


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "Thu 26 Nov 14:00 CET (13:00 UTC)"),
        ("UTC", "Thu 26 Nov 13:00 UTC"),
        ("Asia/Kathmandu", "Thu 26 Nov 18:45 UTC+05:45 (13:00 UTC)"),
        ("Pacific/Auckland", "Fri 27 Nov 02:00 NZDT (Thu 13:00 UTC)"),
        ("", "Thu 26 Nov 13:00 UTC"),
    ],
)
def test_times_are_in_the_readers_zone_with_utc_behind(zone: str, text: str) -> None:
    reader = User(name="Ben", time_zone=zone)
    assert words.said(datetime(2026, 11, 26, 13, 0, tzinfo=UTC), reader) == text


def test_each_reader_gets_their_own_zone(release: Release, cast: Cast) -> None:
    User.objects.filter(pk=cast.ben.pk).update(time_zone="America/New_York")
    mails = look(at(release, "T-1d"))
    assert re.search(r"T-0: \w+ \d+ \w+ \d\d:\d\d (EST|EDT) \(.*UTC\)", one(mails, "Ben", "T-1d").body)
    assert re.search(r"T-0: \w+ \d+ \w+ \d\d:\d\d UTC\n", one(mails, "Gus", "T-1d").body)


# T-reminders


def test_a_t_mail_lists_what_is_open_for_its_reader_and_nothing_else(release: Release) -> None:
    body = one(look(at(release, "T-1d")), "Ben", "T-1d").body
    assert re.findall(r"\[ \] (.+?)   ", body) == ["QA sign-off obtained"]
    assert "Performance verified" not in body
    assert "Confirm on-call coverage" not in body, "its phase has not opened"
    assert "How it stands" not in body


def test_the_subject_says_how_much_by_when(release: Release) -> None:
    due = at(release, "T-4h")
    assert one(look(at(release, "T-1d")), "Ben", "T-1d").subject == f"PAY-4.2 T-1d: 1 item to do by {due:%a %H:%M}"


def test_late_things_come_first_and_say_how_late(release: Release) -> None:
    body = one(look(at(release, "T-4h")), "Ada", "T-4h").body
    listed = re.findall(r"\[ \] (.+?)   (late|due)", body)
    assert listed[0] == ("All PRs merged", "late")
    assert "late 20 h" in body


def test_an_item_says_what_it_needs(release: Release, cast: Cast) -> None:
    ticking.block(item(release, "All PRs merged"), "waiting for the vendor", by=cast.ada)
    mails = look(at(release, "T-1d"))
    body = one(mails, "Ada", "T-1d").body
    assert "blocked: waiting for the vendor" in body
    assert "if applicable" in body
    assert re.search(r"Order cake.*optional", body)
    assert "needs evidence" in one(mails, "Gus", "T-1d").body


def test_the_coordinators_mail_carries_the_summary_last(release: Release, cast: Cast) -> None:
    people.unassign(release, role("Developers"), cast.gus, by=cast.ada)
    body = one(look(at(release, "T-1d")), "Ada", "T-1d").body
    assert "Nobody holds: Performance verified (Developers)." in body
    assert "Waiting on: Ada Lovelace (2), Ben Osei (1)" in body
    assert body.index("Your items:") < body.index("How it stands:")


def test_a_coordinator_with_nothing_to_do_gets_the_summary_alone(release: Release, cast: Cast) -> None:
    settle_gate(release)
    item_ = item(release, "QA sign-off obtained")
    ticking.reopen(item_, by=cast.ben)
    ticking.set_done(item(release, "Order cake"), True, by=cast.ada)
    message = one(look(at(release, "T-1d")), "Ada", "T-1d")
    assert message.subject == "PAY-4.2 T-1d: 6 of 13 done, waiting on Ben Osei"
    assert "Your items" not in message.body


def test_ballot_items_and_summary_come_in_that_order(release: Release) -> None:
    body = one(look(at(release, "T-4h")), "Ada", "T-4h").body
    assert body.index("Your ballot:") < body.index("Your items:") < body.index("How it stands:")
    assert "you answer as Release Coordinator as soon as you open the poll" in body
    assert "The poll is not open yet." in body


def test_a_voter_without_items_is_led_to_the_room(release: Release) -> None:
    message = one(look(at(release, "T-4h")), "Dana", "T-4h")
    assert message.subject == "PAY-4.2 T-4h: your GO or NO-GO is next"
    assert "/r/PAY-4.2/decision/" in message.body
    assert message.extra_headers["X-Relcoord-Reason"] == "voter"


# Events


def test_roles_given_in_one_sitting_come_in_one_mail_with_what_they_bring(release: Release, cast: Cast) -> None:
    look(timezone.now() + timedelta(minutes=11))
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)
    assert names(look(timezone.now()), "you are") == set(), "ten minutes later"
    message = one(look(timezone.now() + timedelta(minutes=11)), "Cy", "you are")
    assert message.subject == "PAY-4.2: you are Developers and QA Lead"
    assert "QA sign-off obtained" in message.body
    assert "Performance verified" in message.body


def test_whose_role_was_taken_back_before_the_mail_hears_nothing(release: Release, cast: Cast) -> None:
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    people.unassign(release, role("QA Lead"), cast.cy, by=cast.ada)
    assert "Cy" not in names(look(timezone.now() + timedelta(minutes=11)))


def test_who_comes_while_the_poll_is_open_is_asked_in_the_mail_about_the_role(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    people.assign(release, role("QA Lead"), cast.cy, by=cast.ada)
    message = one(look(timezone.now() + timedelta(minutes=11)), "Cy", "you are QA Lead")
    assert "The poll is open and waits for your answer as QA Lead." in message.body


def test_the_poll_asks_its_voters_and_not_those_who_answered_meanwhile(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.POLLING)
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.GO, by=cast.ben)
    mails = look(timezone.now())
    assert names(mails, "your GO or NO-GO, asks Ada Lovelace") == {"Ada", "Dana", "Fay"}
    assert "Everything that must hold before the GO does." in one(mails, "Dana", "asks").body


def test_the_decision_tells_everybody_the_call_its_reason_and_the_dissent(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.POLLING)
    vote_go(release)
    gonogo.cast_ballot(release, seat(release, "Risk Champion"), Choice.NO_GO, by=cast.fay, statement="peak hour")
    gonogo.decide(release, Call.GO, by=cast.ada, rationale="Fay is answered", override="traffic is low today")
    mails = [m for m in look(timezone.now()) if "GO for Payments, decided by Ada Lovelace" in m.body]
    assert names(mails) == {"Ada", "Ben", "Dana", "Eli", "Fay", "Gus"}
    body = mails[0].body
    assert "Fay is answered" in body
    assert 'Risk Champion, Fay Lindqvist: NO-GO, "peak hour"' in body
    assert "because: traffic is low today" in body
    event = Event.objects.get(release=release, hash=re.findall(r"\b[0-9a-f]{64}\b", body)[0])
    assert f"Event {event.sequence} of the record" in body


def test_a_no_go_says_what_has_to_happen_and_whose_it_is(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.POLLING)
    todo = gonogo.FollowUp("Rebuild the index", cast.gus, timezone.now() + timedelta(days=1))
    gonogo.decide(release, Call.NO_GO, by=cast.ada, rationale="two queries fail", action_items=[todo])
    mails = [m for m in look(timezone.now()) if "NO-GO for Payments" in m.body]
    mine = next(m for m in mails if m.to[0].startswith("Gus"))
    assert "Yours now: Rebuild the index" in mine.body
    assert "This one is yours." in mine.body
    assert mine.extra_headers["X-Relcoord-Reason"] == "owner"
    assert "This one is yours." not in next(m for m in mails if m.to[0].startswith("Ben")).body
    assert "The clock is stopped until a new T-0 is set." in mine.body


def test_a_decision_that_fell_before_its_mail_went_out_says_so(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada, revoke="a late fix")
    mails = look(timezone.now())
    assert any("This decision no longer stands: a late fix" in message.body for message in mails)
    assert any("the GO is revoked" in message.body and "a late fix" in message.body for message in mails)


def test_a_reschedule_tells_from_when_to_when_why_and_the_new_reminders(release: Release, cast: Cast) -> None:
    t_zero = datetime(2027, 6, 16, 9, 0, tzinfo=BERLIN)
    User.objects.update(time_zone="Europe/Berlin")
    was = words.said(release.t_zero, User.objects.get(pk=cast.ben.pk))
    workflow.reschedule(
        release, Window(t_zero, t_zero + 2 * HOUR, "Europe/Berlin"), by=cast.ada, reason="a holiday & a freeze"
    )
    body = one(look(timezone.now()), "Ben").body
    assert f"from {was}" in body
    assert "to   Wed 16 Jun 09:00 CEST (07:00 UTC)" in body
    assert "Why: a holiday & a freeze" in body
    assert "T-1d   Tue 15 Jun 09:00 CEST (07:00 UTC)" in body


def test_a_rollback_tells_on_call_and_project_manager_at_once_and_who_is_in_charge(
    release: Release, cast: Cast
) -> None:
    bring_to(release, Status.DEPLOYING)
    rollback.trigger(release, "error rate 4 %", by=cast.eli)
    mails = look(timezone.now())
    assert {"Eli", "Dana", "Ada"} <= names(mails, "ROLLBACK started: PAY-4.2")
    body = one(mails, "Dana", "ROLLBACK").body
    assert "What was seen: error rate 4 %" in body
    assert "In charge: " in body


def test_an_invitation_leads_in_once_and_its_token_is_kept_nowhere(cast: Cast) -> None:
    people.invite("new@example.org", "New Person", by=cast.sam)
    message = one(look(timezone.now()), "New")
    found = re.search(r"/welcome/([^/\s]+)/", message.body)
    assert found is not None
    held = Invitation.objects.get(user__email="new@example.org")
    assert signing.loads(found[1], salt="invitation") == {"invitation": held.pk}
    row = Reminder.objects.get(kind="invitation")
    assert found[1] not in f"{row.data}{row.about}{row.subject}{row.reason}{row.smtp_reply}"


def test_an_invitation_that_was_used_is_not_sent(cast: Cast) -> None:
    people.invite("new@example.org", "New Person", by=cast.sam)
    Invitation.objects.update(used_at=timezone.now())
    assert look(timezone.now()) == []
    assert Reminder.objects.get(kind="invitation").state == "suppressed"


def test_a_message_id_does_not_come_back_when_a_backup_is_restored(release: Release) -> None:
    ledger.plan(timezone.now())
    first = Reminder.objects.filter(kind="mark").first()
    assert first is not None
    second = Reminder(pk=first.pk, created_at=first.created_at + timedelta(seconds=1))
    assert mail.message_id(first) != mail.message_id(second)
