"""The ledger's page, each test named as its rule."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from releases import ledger, people, reminders, workflow
from releases.models import Release, Reminder, Status
from tests.factories import Cast, ReleaseFactory, bring_to, role, window
from tests.releases.mailing import at, look, row
from tests.web import signed_in, text

PAGE = "/r/PAY-4.2/reminders/"


def grid(answer: Any) -> dict[str, str]:
    """What the table of marks says of each person, by first name."""
    table = answer.content.decode().split("<table")[1].split("</table>")[0]
    lines = [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in table.split("<tr")[2:]]
    return {words.split("> ", 1)[-1].split()[0]: words for words in lines}


@pytest.fixture
def at_t_1d(release: Release) -> Release:
    look(at(release, "T-3d"))
    look(at(release, "T-1d"))
    return release


def test_one_sees_at_a_glance_whether_the_qa_lead_got_the_t_1d_mail(at_t_1d: Release, cast: Cast) -> None:
    found = grid(signed_in(cast.cy).get(PAGE))
    assert re.search(r"QA Lead T-3d nothing open T-1d sent .* T-4h planned", found["Ben"])
    assert re.search(r"Developers T-3d nothing open T-1d sent .* T-4h planned", found["Gus"])
    assert "T-1d nothing open" in found["Dana"]


def test_the_grid_says_who_stands_in_for_whom_at_which_mark(release: Release, cast: Cast) -> None:
    day = timezone.localdate(at(release, "T-1d"), release.zone)
    people.delegate(cast.ben, cast.cy, day, day, by=cast.ben)
    look(at(release, "T-3d"))
    look(at(release, "T-1d"))
    found = grid(signed_in(cast.cy).get(PAGE))
    assert re.search(r"QA Lead T-3d nothing open T-1d away, Cy Young in their stead T-4h planned", found["Ben"])
    assert re.search(r"stands in T-3d not standing in then T-1d sent .* T-4h not standing in then", found["Cy"])


def test_every_mail_is_there_with_its_kind_person_state_and_reason(at_t_1d: Release, cast: Cast) -> None:
    page = text(signed_in(cast.cy).get(PAGE))
    assert "PAY-4.2 T-1d: 1 item to do by" in page
    assert "To come" in page
    assert "Assigned" in page
    for words in ("Sent", "Planned", "Suppressed"):
        assert re.search(rf"{words} \d+", page)


def test_the_ledger_is_filtered_by_state_and_person(at_t_1d: Release, cast: Cast) -> None:
    client = signed_in(cast.cy)
    only = text(client.get(PAGE, {"state": "suppressed", "person": str(cast.ben.pk)})).split("Every mail")[1]
    assert "T-reminder T-3d Ben Osei suppressed nothing open" in only
    assert "T-1d Ben" not in only
    assert "Gus Rao suppressed" not in only
    assert client.get(PAGE, {"state": "<b>", "person": "9" * 40}).status_code == 200


def test_mails_of_an_older_schedule_are_shown_when_asked_for(at_t_1d: Release, cast: Cast) -> None:
    workflow.reschedule(at_t_1d, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    client = signed_in(cast.cy)
    assert "the release moved" not in text(client.get(PAGE))
    assert "the release moved" in text(client.get(PAGE, {"state": "superseded"}))
    assert "Schedule version 2" in text(client.get(PAGE))


def test_a_mail_that_did_not_arrive_says_whom_to_tell_directly_until_it_is_made_good(
    release: Release, cast: Cast
) -> None:
    ledger.plan(at(release, "T-3d"))
    Reminder.objects.filter(pk=row(release, "T-1d", "Ben").pk).update(state="failed", reason="550 no such mailbox")
    client = signed_in(cast.ada)
    page = text(client.get(PAGE))
    assert "Ben Osei did not get the T-reminder T-1d mail. Tell Ben directly." in page
    assert "550 no such mailbox" in page
    with time_machine.travel(at(release, "T-1d"), tick=False):
        ledger.send_again(row(release, "T-1d", "Ben"), by=cast.ada)
        look(timezone.now())
    assert "did not get" not in text(client.get(PAGE))


def test_a_mail_server_that_is_away_is_one_notice(release: Release, cast: Cast) -> None:
    reminders.note_server(timezone.now(), "Connection refused")
    page = text(signed_in(cast.cy).get(PAGE))
    assert page.count("The mail server takes nothing since") == 1


def test_a_stopped_clock_is_said(release: Release, cast: Cast) -> None:
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    page = text(signed_in(cast.cy).get(PAGE))
    assert "The clock is stopped: none go out" in page
    assert "Ben Osei QA Lead T-3d the clock is stopped" in page


def test_the_coordinator_sends_a_mail_once_more_and_nobody_else_does(at_t_1d: Release, cast: Cast) -> None:
    first = row(at_t_1d, "T-1d", "Ben")
    url = f"{PAGE}{first.pk}/send/"
    assert "Send again" not in text(signed_in(cast.ben).get(PAGE))
    assert signed_in(cast.ben).post(url).status_code == 403
    assert signed_in(cast.ada).get(url).status_code == 405
    with time_machine.travel(at(at_t_1d, "T-1d"), tick=False):
        client = signed_in(cast.ada)
        assert "Send again" in text(client.get(PAGE))
        assert client.post(url).status_code == 303
        assert client.post(url).status_code == 303, "on its way already: said, and not owed again"
    assert at_t_1d.reminders.filter(resend_of=first).count() == 1
    assert at_t_1d.events.filter(action="reminder.resent").count() == 1
    look(at(at_t_1d, "T-1d"))
    assert at_t_1d.reminders.get(resend_of=first).state == "sent"


def test_a_planned_mail_is_not_sent_once_more(at_t_1d: Release, cast: Cast) -> None:
    planned = row(at_t_1d, "T-4h", "Ben")
    signed_in(cast.ada).post(f"{PAGE}{planned.pk}/send/")
    assert not at_t_1d.reminders.filter(resend_of=planned).exists()


def test_the_ledger_of_a_restricted_release_is_hidden_from_strangers(cast: Cast) -> None:
    ReleaseFactory(key="SEC-1", restricted=True)
    assert signed_in(cast.cy).get("/r/SEC-1/reminders/").status_code == 404


def test_looking_costs_the_same_however_many_mails_there_are(
    at_t_1d: Release, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        workflow.hold(at_t_1d, "incident elsewhere", by=cast.ada)
        workflow.resume(at_t_1d, by=cast.ada)
    people.assign(at_t_1d, role("Developers"), cast.cy, by=cast.ada)
    client = signed_in(cast.cy)
    client.get(PAGE)
    with django_assert_max_num_queries(30):
        client.get(PAGE)


@pytest.mark.parametrize(
    "status", [Status.NO_GO, Status.DEPLOYING, Status.ROLLED_BACK, Status.CLOSED, Status.CANCELLED]
)
def test_the_page_is_there_in_every_state(status: Status, release: Release, cast: Cast) -> None:
    bring_to(release, status)
    ledger.tick(timezone.now())
    assert signed_in(cast.cy).get(PAGE).status_code == 200
