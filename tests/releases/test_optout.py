"""Which mails one may do without, each test named as its rule."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import time_machine
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from relcoord.models import User
from releases import ledger, optout, people, workflow
from releases.models import OPTIONAL, OptOut, Release, Reminder, Status
from tests.factories import Cast, ReleaseFactory, bring_to, role
from tests.releases.mailing import at, html, look, marked, names, one, state

K = Reminder.Kind


def test_who_opted_out_gets_no_such_mail_and_the_ledger_says_why(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ben, K.MARK)
    look(at(release, "T-3d"))
    assert marked(release, "T-1d") == {"Ada", "Gus"}
    assert state(release, "T-1d", "Ben") == ("suppressed", "opted out")


def test_an_opt_out_between_planning_and_sending_counts(release: Release, cast: Cast) -> None:
    ledger.plan(at(release, "T-3d"))
    optout.opt_out(cast.ben, K.MARK)
    assert "Ben" not in marked(release, "T-1d")


def test_an_opt_out_is_of_one_kind_and_one_person(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ben, K.HELD)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    held = names([message for message in look(timezone.now()) if "on hold" in message.body])
    assert held == {"Ada", "Dana", "Eli", "Fay", "Gus"}
    workflow.resume(release, by=cast.ada)
    assert "Ben" in names([message for message in look(timezone.now()) if "resumed" in message.body])


def test_votes_decisions_alarms_escalations_and_rollback_reach_everybody(release: Release, cast: Cast) -> None:
    for person in (cast.ada, cast.ben, cast.dana, cast.eli, cast.fay, cast.gus):
        optout.choose(person, [])
    must = {K.ASKED, K.SPOKEN, K.DECISION, K.ALARM, K.ESCALATION, K.ROLLBACK_STARTED, K.ROLLBACK_ENDED}
    assert must & set(OPTIONAL) == set()
    bring_to(ReleaseFactory(), Status.ROLLED_BACK)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    look(timezone.now())
    kinds = set(Reminder.objects.filter(state="sent").values_list("kind", flat=True))
    assert {"decision", "rollback_started", "rollback_ended"} <= kinds
    assert not kinds & {kind.value for kind in OPTIONAL}


def test_the_database_takes_no_opt_out_of_what_reaches_everybody(cast: Cast) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        OptOut.objects.create(user=cast.ben, kind="asked", at=timezone.now())


def test_an_opt_out_holds_against_send_now_too(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ben, K.MARK)
    look(at(release, "T-3d"))
    look(at(release, "T-1d"))
    with time_machine.travel(at(release, "T-1d") + timedelta(minutes=1), tick=False):
        ledger.send_again(release.reminders.get(mark="T-1d", recipient=cast.ben), by=cast.ada)
        assert names(look(timezone.now())) == set()
    assert release.reminders.get(resend_of__recipient=cast.ben).reason == "opted out"


def test_a_deputy_gets_the_mail_though_the_absent_person_opted_out(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ben, K.MARK)
    day = timezone.localdate(at(release, "T-1d"), release.zone)
    people.delegate(cast.ben, cast.cy, day, day, by=cast.ben)
    assert marked(release, "T-1d") == {"Ada", "Cy", "Gus"}


def test_who_opted_out_of_marks_still_hears_that_something_is_overdue(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ada, K.MARK)
    look(at(release, "T-3d"))
    assert "Ada" in names(look(at(release, "T-1d") + timedelta(minutes=1)), " late")


def test_opting_out_twice_and_choosing_anew_leave_what_was_said_last(cast: Cast) -> None:
    optout.opt_out(cast.ben, K.CLOSED)
    optout.opt_out(cast.ben, K.CLOSED)
    assert OptOut.objects.count() == 1
    optout.choose(cast.ben, ["mark", "closed"])
    assert optout.wanted(cast.ben) == ["mark", "closed"]
    optout.choose(cast.ben, [kind.value for kind in OPTIONAL])
    assert not OptOut.objects.exists()


def test_every_kind_one_may_do_without_has_its_words() -> None:
    assert set(optout.WORDS) == set(OPTIONAL)


# The link


def test_mails_one_may_do_without_carry_the_headers_of_one_click_and_others_do_not(
    release: Release, cast: Cast, settings: Any
) -> None:
    ReleaseFactory(holders={role("QA Lead"): [cast.ben]})
    bring_to(ReleaseFactory(), Status.POLLING)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    mails = look(timezone.now())
    sent = {row.message_id: row for row in Reminder.objects.filter(state="sent").select_related("recipient")}
    kinds = set()
    for message in mails:
        row = sent[message.extra_headers["Message-ID"]]
        kinds.add(row.kind)
        parsed = message_from_bytes(message.message().as_bytes(), policy=policy.default)
        address = re.fullmatch(r"<(\S+)>", (parsed["List-Unsubscribe"] or "").strip())
        if row.kind not in OPTIONAL:
            assert address is None
            assert "List-Unsubscribe-Post" not in parsed
            assert "unsubscribe" not in message.body
            continue
        assert address is not None
        assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert address[1].startswith(f"{settings.SITE_URL}/unsubscribe/")
        assert optout.read(address[1].rstrip("/").rsplit("/", 1)[1]) == (row.recipient, row.kind)
        assert address[1] in message.body
        assert address[1] in html(message)
    assert {"held", "asked", "alarm"} <= kinds


def test_the_token_holds_nothing_but_whom_and_what(cast: Cast) -> None:
    token = optout.path(cast.ben, "closed").rstrip("/").rsplit("/", 1)[1]
    assert signing.loads(token, salt=optout.SALT) == {"person": cast.ben.pk, "kind": "closed"}


def test_a_token_that_was_not_made_for_this_ends_nothing(cast: Cast) -> None:
    good = {"person": cast.ben.pk, "kind": "closed"}
    for token in (
        signing.dumps(good, salt="invitation"),
        signing.dumps(good, key="another key", salt=optout.SALT),
        signing.dumps(good | {"kind": "asked"}, salt=optout.SALT),
        signing.dumps(good | {"kind": "nonsense"}, salt=optout.SALT),
        signing.dumps(good | {"person": 10**9}, salt=optout.SALT),
        signing.dumps(["a list"], salt=optout.SALT),
        signing.dumps({}, salt=optout.SALT),
        "nonsense",
    ):
        assert optout.read(token) is None, token
    assert optout.path(cast.ben, "asked") == ""


def test_the_coordinator_can_see_who_does_without_what(release: Release, cast: Cast) -> None:
    optout.opt_out(cast.ben, K.MARK)
    optout.opt_out(cast.ben, K.CLOSED)
    optout.opt_out(cast.cy, K.CLOSED)
    assert optout.of_release(release) == [(cast.ben, ["closed", "T-reminder"])]
    assert isinstance(optout.of_release(release)[0][0], User)


def test_a_mail_that_is_ended_once_more_is_found_by_its_row(release: Release, cast: Cast) -> None:
    message = one(look(at(release, "T-1d")), "Ben", "T-1d")
    address = message.extra_headers["List-Unsubscribe"].strip("<>")
    found = optout.read(address.rstrip("/").rsplit("/", 1)[1])
    assert found is not None
    optout.opt_out(*found)
    assert "Ben" not in marked(release, "T-4h")
