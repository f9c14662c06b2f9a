"""The go/no-go room: what it shows to whom, and what its forms keep, refuse and record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases import gonogo, people, ticking, workflow
from releases.gonogo import FollowUp
from releases.models import ActionItem, Call, Choice, Delegation, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, role, seat, settle_gate, vote_go, window
from tests.web import markup, signed_in, text

HTMX = {"HX-Request": "true"}


@pytest.fixture
def polling(release: Release) -> Release:
    return bring_to(release, Status.POLLING)


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


def room(release: Release, user: User) -> str:
    return text(signed_in(user).get(url("decision", release)))


def vote(release: Release, name: str, by: User, choice: str, statement: str = "", **more: Any) -> Any:
    row = seat(release, name)
    data = {f"seat-{row.pk}-choice": choice, f"seat-{row.pk}-statement": statement} | more
    return signed_in(by).post(url("ballot", release, row.pk), data)


def decide(release: Release, by: User, **data: Any) -> Any:
    given = {"rationale": "weighed with care", "record": "yes"} | data
    return signed_in(by).post(url("decide", release), given)


def in_days(days: int) -> str:
    return f"{timezone.localtime() + timedelta(days=days):%Y-%m-%dT%H:%M}"


# Before the poll


def test_before_the_poll_the_room_says_whom_it_asks_and_what_stands_before_a_go(release: Release, cast: Cast) -> None:
    words = room(release, cast.ada)
    assert "No one has been asked yet" in words
    assert "Ben Osei (QA Lead)" in words
    assert "What stands before a GO: 6 items are open" in words
    assert "Open the poll" in words


def test_only_the_coordinator_sees_the_button_that_opens_the_poll(release: Release, cast: Cast) -> None:
    assert "Ada Lovelace opens the poll" in room(release, cast.ben)
    refused = signed_in(cast.ben).post(url("poll_open", release))
    assert refused.status_code == 403
    assert "Ada Lovelace" in text(refused)
    assert fresh(release).status == Status.PREPARING


def test_an_open_action_item_keeps_the_poll_shut_and_is_named(polling: Release, cast: Cast) -> None:
    todo = FollowUp("Rebuild the index", cast.gus, timezone.now() + timedelta(days=1))
    gonogo.decide(
        polling, Call.NO_GO, by=cast.ada, rationale="two fail", action_items=[todo], then=gonogo.Next(same=True)
    )
    answer = signed_in(cast.ada).post(url("poll_open", polling), {"next": url("decision", polling)}, follow=True)
    assert "“Rebuild the index” is still open" in text(answer)
    assert fresh(polling).status == Status.PREPARING


def test_a_person_with_two_seats_is_named_as_such(release: Release, cast: Cast) -> None:
    people.assign(release, role("QA Lead"), cast.dana, by=cast.ada)
    words = "Dana Ruiz holds 2 seats, Project Manager and QA Lead, and answers for each"
    assert words in room(release, cast.ada)
    assert words in room(bring_to(fresh(release), Status.POLLING), cast.ada)


# Readiness


def test_readiness_names_waivers_answers_acknowledgements_and_conflicts(release: Release, cast: Cast) -> None:
    ReleaseFactory(key="OTHER-1", title="Other", window=window(timedelta(days=3, hours=2)))
    ticking.waive(item(release, "Performance verified"), "index size unchanged", by=cast.ada)
    ticking.mark_not_applicable(item(release, "Backup taken"), "no schema change", by=cast.ada)
    ticking.set_done(item(release, "Confirm on-call coverage"), True, by=cast.eli)
    words = room(release, cast.ben)
    assert "Waived: Performance verified Ada Lovelace: index size unchanged" in words
    assert "Not applicable: Backup taken Ada Lovelace: no schema change" in words
    assert "Confirm on-call coverage Eli Tanaka" in words
    assert "QA sign-off obtained waiting for Ben Osei" in words
    assert "Conflict with OTHER-1" in words


def test_a_restricted_release_is_no_conflict_for_those_who_may_not_see_it(release: Release, cast: Cast) -> None:
    ReleaseFactory(
        key="SECRET-1", restricted=True, coordinator=cast.sam, holders={}, window=window(timedelta(days=3, hours=2))
    )
    assert "SECRET-1" not in room(release, cast.cy)
    assert "SECRET-1" in room(release, cast.sam)


# Ballots


def test_a_ballot_is_cast_changed_and_its_board_says_who_and_when(polling: Release, cast: Cast) -> None:
    assert vote(polling, "QA Lead", cast.ben, "go", "all green").status_code == 303
    assert vote(polling, "QA Lead", cast.ben, "no_go", "two queries fail").status_code == 303
    words = room(polling, cast.dana)
    assert "QA Lead NO-GO two queries fail Ben Osei" in words
    assert "1 of 4 answered. 1 NO-GO." in words
    assert seat(polling, "QA Lead").ballots.count() == 2


def test_a_no_go_without_its_statement_comes_back_with_what_was_chosen(polling: Release, cast: Cast) -> None:
    answer = vote(polling, "QA Lead", cast.ben, "no_go")
    assert answer.status_code == 422
    assert "A NO-GO needs its statement" in text(answer)
    assert 'value="no_go"' in markup(answer).split("checked")[0][-120:]
    assert not seat(polling, "QA Lead").ballots.exists()


def test_nobody_but_the_seats_holder_gets_its_form(polling: Release, cast: Cast) -> None:
    assert "Your answer as QA Lead" in room(polling, cast.ben)
    assert "Your answer" not in room(polling, cast.cy)
    refused = vote(polling, "QA Lead", cast.cy, "go")
    assert refused.status_code == 403
    assert "Ben Osei (QA Lead)" in text(refused)


def test_a_deputy_answers_for_the_absent_holder_and_both_are_named(polling: Release, cast: Cast) -> None:
    today = timezone.localdate()
    Delegation.objects.create(user=cast.ben, deputy=cast.gus, starts_on=today, ends_on=today, created_at=timezone.now())
    assert "Your answer as QA Lead, for Ben Osei" in room(polling, cast.gus)
    assert vote(polling, "QA Lead", cast.gus, "go").status_code == 303
    assert "by Gus Rao as deputy" in room(polling, cast.ada)


def test_a_ballot_from_before_something_got_worse_is_asked_again_with_what_changed(
    polling: Release, cast: Cast
) -> None:
    ben, row = signed_in(cast.ben), seat(polling, "QA Lead")
    seen = ben.get(url("decision", polling)).context["seen"]
    ticking.block(item(polling, "All PRs merged"), "a revert is pending", by=cast.ada)
    data = {f"seat-{row.pk}-choice": "go", f"seat-{row.pk}-statement": "all green", f"seat-{row.pk}-seen": seen}
    answer = ben.post(url("ballot", polling, row.pk), data)
    assert answer.status_code == 409
    assert "“All PRs merged” is blocked since you opened this page" in text(answer)
    assert 'value="all green"' in markup(answer)
    assert not row.ballots.exists()

    again = ben.post(url("ballot", polling, row.pk), data | {f"seat-{row.pk}-seen": answer.context["seen"]})
    assert again.status_code == 303
    assert row.ballots.get().choice == Choice.GO


def test_what_got_better_since_the_page_was_made_does_not_hold_a_ballot_up(release: Release, cast: Cast) -> None:
    gonogo.open_poll(release, by=cast.ada)
    ben, row = signed_in(cast.ben), seat(release, "QA Lead")
    seen = ben.get(url("decision", release)).context["seen"]
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    data = {f"seat-{row.pk}-choice": "go", f"seat-{row.pk}-seen": seen}
    assert ben.post(url("ballot", release, row.pk), data).status_code == 303


def test_a_stale_ballot_says_why_and_is_confirmed_in_one_tap(polling: Release, cast: Cast) -> None:
    vote(polling, "QA Lead", cast.ben, "go", "all green")
    ticking.block(item(polling, "All PRs merged"), "a revert is pending", by=cast.ada)
    assert "GO, stale all green" in room(polling, cast.ada)
    words = room(polling, cast.ben)
    assert "Your GO no longer counts: “All PRs merged” is blocked" in words
    assert "Still GO" in words
    assert vote(polling, "QA Lead", cast.ben, "go", "all green").status_code == 303
    assert "GO, stale" not in room(polling, cast.ben)


def test_the_coordinator_writes_down_a_spoken_ballot_and_both_names_are_shown(polling: Release, cast: Cast) -> None:
    spoken = {"spoken-voice": f"{seat(polling, 'QA Lead').pk}-{cast.ben.pk}", "spoken-choice": "no_go"}
    empty = signed_in(cast.ada).post(url("ballot_spoken", polling), spoken)
    assert empty.status_code == 422
    assert "A NO-GO needs its statement" in text(empty)
    data = spoken | {"spoken-statement": "two fail"}
    assert signed_in(cast.ada).post(url("ballot_spoken", polling), data).status_code == 303
    assert "Ben Osei" in room(polling, cast.cy)
    assert "spoken, recorded by Ada Lovelace" in room(polling, cast.cy)
    assert signed_in(cast.dana).post(url("ballot_spoken", polling), data).status_code == 403


def test_a_ballot_after_the_decision_is_told_that_the_poll_is_closed(polling: Release, cast: Cast) -> None:
    gonogo.decide(polling, Call.NO_GO, by=cast.ada, rationale="two fail")
    row = seat(polling, "QA Lead")
    data = {f"seat-{row.pk}-choice": "go", "next": url("decision", polling)}
    answer = signed_in(cast.ben).post(url("ballot", polling, row.pk), data, follow=True)
    assert "The poll of PAY-4.2 is closed: it is NO-GO now" in text(answer)


def test_by_htmx_a_ballot_answers_with_its_forms_and_the_board(polling: Release, cast: Cast) -> None:
    row = seat(polling, "QA Lead")
    answer = signed_in(cast.ben).post(url("ballot", polling, row.pk), {f"seat-{row.pk}-choice": "go"}, headers=HTMX)
    body = markup(answer)
    assert answer.status_code == 200
    assert 'id="ballots"' in body
    assert 'id="poll"' in body
    assert 'hx-swap-oob="true"' in body
    assert "<html" not in body
    assert "GO as QA Lead is recorded" in text(answer)


def test_a_ballot_sent_twice_is_cast_once(polling: Release, cast: Cast) -> None:
    ben, row = signed_in(cast.ben), seat(polling, "QA Lead")
    data = {f"seat-{row.pk}-choice": "go", "once": "k1"}
    answers = [ben.post(url("ballot", polling, row.pk), data) for _ in range(2)]
    assert [answer["Location"] for answer in answers] == [url("decision", polling)] * 2
    assert row.ballots.count() == 1


# Deciding


def test_a_go_with_an_open_gate_is_recorded_with_rationale_dissent_and_its_place_in_the_chain(
    polling: Release, cast: Cast
) -> None:
    vote_go(polling)
    assert decide(polling, cast.ada, call="go").status_code == 303
    words = room(polling, cast.cy)
    event = polling.events.get(action="decision.recorded")
    assert "GO Decided by Ada Lovelace" in words
    assert "Rationale weighed with care" in words
    assert "Dissent None" in words
    assert f"Event {event.sequence}, {event.hash}" in words


def test_a_go_against_the_gate_names_what_it_goes_against_and_asks_for_the_override(
    polling: Release, cast: Cast
) -> None:
    vote(polling, "QA Lead", cast.ben, "no_go", "two fail")
    page = signed_in(cast.ada).get(url("decision", polling))
    assert "Ben Osei votes NO-GO as QA Lead" in text(page)
    assert "No standing ballot of Project Manager (waiting on Dana Ruiz)" in text(page)
    refused = decide(polling, cast.ada, call="go", against=page.context["against"])
    assert refused.status_code == 422
    assert "A GO needs an override that says why" in text(refused)
    assert "weighed with care" in markup(refused)
    assert fresh(polling).status == Status.POLLING

    given = decide(polling, cast.ada, call="go", override="an edge case", against=page.context["against"])
    assert given.status_code == 303
    override = polling.overrides.get()
    assert {entry["words"] for entry in override.overrides} >= {"Ben Osei votes NO-GO as QA Lead", "Project Manager"}
    assert "Ben Osei voted NO-GO as QA Lead: “two fail”" in room(polling, cast.cy)


def test_an_override_never_covers_what_its_page_did_not_show(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    vote(polling, "QA Lead", cast.ben, "no_go", "two fail")
    page = signed_in(cast.ada).get(url("decision", polling))
    ticking.block(item(polling, "Backup taken"), "the disk is full", by=cast.ada)
    answer = decide(polling, cast.ada, call="go", override="an edge case", against=page.context["against"])
    assert answer.status_code == 422
    assert "New since you opened this page: " in text(answer)
    assert "Backup taken" in text(answer)
    assert fresh(polling).status == Status.POLLING
    assert not polling.overrides.exists()


def test_a_conditional_go_needs_a_condition_and_holds_the_verb_it_names(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    bare = decide(polling, cast.ada, call="conditional_go")
    assert bare.status_code == 422
    assert "Name at least one condition" in text(bare)

    row = {"condition-rows": "3", "condition-1-title": "Warm the caches", "condition-1-blocks": "start"}
    half = decide(polling, cast.ada, call="conditional_go", **row)
    assert half.status_code == 422
    assert "Name its owner" in text(half)
    assert "Say when it is due" in text(half)
    assert 'value="Warm the caches"' in markup(half)

    whole = row | {"condition-1-owner": "gus", "condition-1-due": in_days(1)}
    assert decide(polling, cast.ada, call="conditional_go", **whole).status_code == 303
    condition = polling.action_items.get()
    assert (condition.title, condition.owner, condition.blocks) == ("Warm the caches", cast.gus, "start")
    assert "Warm the caches · Gus Rao" in room(polling, cast.cy)
    assert "“Warm the caches” is still open" in text(signed_in(cast.ada).get(url("start", polling)))


def test_a_no_go_takes_reasons_action_items_and_a_new_t_zero_in_one_form(polling: Release, cast: Cast) -> None:
    later = timezone.localtime() + timedelta(days=9)
    answer = decide(
        polling,
        cast.ada,
        call="no_go",
        rationale="two queries fail",
        then="new",
        **{
            "action-rows": "4",
            "action-0-title": "Rebuild the index",
            "action-0-owner": "Gus Rao",
            "action-0-due": in_days(1),
            "action-3-title": "Name a second on-call",
            "action-3-owner": "dana@example.org",
            "action-3-due": in_days(2),
            "new-day": f"{later:%Y-%m-%d}",
            "new-at": "14:00",
            "new-zone": "Europe/Berlin",
            "new-ends": "2 h",
        },
    )
    assert answer.status_code == 303, text(answer)
    moved = fresh(polling)
    owners = {row.title: row.owner.name for row in polling.action_items.all()}
    assert owners == {"Rebuild the index": "Gus Rao", "Name a second on-call": "Dana Ruiz"}
    assert (moved.status, moved.schedule_version) == (Status.PREPARING, 2)
    assert moved.t_zero_wall == f"{later:%Y-%m-%d} 14:00"
    words = room(moved, cast.cy)
    assert "Round 1: NO-GO by Ada Lovelace" in words
    assert "Rebuild the index Gus Rao, due" in words


@pytest.mark.parametrize(("then", "status"), [("same", Status.PREPARING), ("later", Status.NO_GO)])
def test_a_no_go_keeps_the_same_t_zero_or_says_not_yet(polling: Release, cast: Cast, then: str, status: Status) -> None:
    assert decide(polling, cast.ada, call="no_go", then=then).status_code == 303
    assert (fresh(polling).status, fresh(polling).t_zero) == (status, polling.t_zero)


def test_a_no_go_with_something_wrong_writes_nothing_and_loses_nothing_typed(polling: Release, cast: Cast) -> None:
    answer = decide(
        polling,
        cast.ada,
        call="no_go",
        rationale="two queries fail",
        then="new",
        **{
            "action-rows": "3",
            "action-0-title": "Rebuild the index",
            "action-0-owner": "nobody",
            "action-0-due": in_days(-1),
            "new-day": "2020-01-01",
            "new-at": "14:00",
            "new-zone": "Mars",
            "new-ends": "2 h",
        },
    )
    words, body = text(answer), markup(answer)
    assert answer.status_code == 422
    assert "Nobody here is called “nobody”" in words
    assert "That moment is past" in words
    assert "“Mars” is no time zone" in words
    for typed in (
        "two queries fail",
        'value="Rebuild the index"',
        'value="nobody"',
        'value="Mars"',
        'value="2020-01-01"',
    ):
        assert typed in body
    assert fresh(polling).status == Status.POLLING
    assert not polling.action_items.exists()


def test_a_no_go_says_what_becomes_of_t_zero(polling: Release, cast: Cast) -> None:
    assert "Say what becomes of T-0" in text(decide(polling, cast.ada, call="no_go"))


def test_an_ambiguous_new_t_zero_brings_the_whole_form_back_with_the_choice(polling: Release, cast: Cast) -> None:
    answer = decide(
        polling,
        cast.ada,
        call="no_go",
        then="new",
        **{"new-day": "2027-10-31", "new-at": "02:30", "new-zone": "Europe/Berlin", "new-ends": "2 h"},
    )
    assert answer.status_code == 422
    assert "02:30 CEST (00:30 UTC), the first" in text(answer)
    assert "02:30 CET (01:30 UTC), the second" in text(answer)


def test_without_its_button_nothing_is_recorded_and_one_more_row_comes_with_all_that_was_typed(
    polling: Release, cast: Cast
) -> None:
    data = {"call": "no_go", "rationale": "two fail", "action-rows": "3", "action-2-title": "third", "more": "action"}
    answer = signed_in(cast.ada).post(url("decide", polling), data | {"once": "k"})
    body = markup(answer)
    assert answer.status_code == 422
    assert 'name="action-rows" value="4"' in body
    assert 'name="action-3-title"' in body
    assert 'value="third"' in body
    assert 'class="error"' not in body
    assert fresh(polling).status == Status.POLLING
    assert not polling.decisions.exists()
    once = signed_in(cast.ada).post(
        url("decide", polling),
        {"call": "no_go", "rationale": "two fail", "then": "later", "record": "yes", "once": "k"},
    )
    assert once.status_code == 303
    assert fresh(polling).status == Status.NO_GO


def test_a_form_sent_without_any_button_says_that_nothing_is_recorded(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    answer = signed_in(cast.ada).post(url("decide", polling), {"call": "go", "rationale": "all green"})
    assert answer.status_code == 422
    assert "Nothing is recorded yet: press the button" in text(answer)
    assert fresh(polling).status == Status.POLLING


def test_a_decision_sent_twice_is_made_once(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    answers = [decide(polling, cast.ada, call="go", once="k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[1]["Location"] == url("decision", polling)
    assert polling.decisions.count() == 1


def test_only_the_coordinator_decides(polling: Release, cast: Cast) -> None:
    for person in (cast.dana, cast.sam, cast.cy):
        refused = decide(polling, person, call="go")
        assert refused.status_code == 403
        assert "Ada Lovelace (Release Coordinator)" in text(refused)
    assert "Ada Lovelace decides, as Release Coordinator" in room(polling, cast.dana)


def test_a_hold_says_that_the_decision_waits(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    workflow.hold(polling, "the migration is late", by=cast.ada)
    assert "On hold: the migration is late" in room(polling, cast.dana)
    refused = decide(polling, cast.ada, call="go")
    assert refused.status_code == 422
    assert "Resume the clock before deciding" in text(refused)


def test_by_htmx_a_refused_decision_gives_its_form_back_alone(polling: Release, cast: Cast) -> None:
    answer = signed_in(cast.ada).post(url("decide", polling), {"record": "yes"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Choose the call" in text(answer)
    assert markup(answer).strip().startswith('<section class="panel decide" id="decide"')


# Taking back


def test_a_poll_is_withdrawn_with_a_reason_that_stays_in_the_history(polling: Release, cast: Cast) -> None:
    bare = signed_in(cast.ada).post(url("poll_withdraw", polling))
    assert bare.status_code == 422
    assert "Say why" in text(bare)
    done = signed_in(cast.ada).post(url("poll_withdraw", polling), {"poll-reason": "asked too early"})
    assert done.status_code == 303
    words = room(polling, cast.cy)
    assert "Round 1: void" in words
    assert "asked too early" in words


def test_a_go_is_withdrawn_by_the_form_of_a_no_go(release: Release, cast: Cast) -> None:
    cleared = bring_to(release, Status.CLEARED)
    ada = signed_in(cast.ada)
    assert "Withdraw the GO of Payments" in text(ada.get(url("go_withdraw", cleared)))
    data = {
        "reason": "a leak was found",
        "then": "later",
        "action-rows": "1",
        "action-0-title": "Fix the leak",
        "action-0-owner": "Gus Rao",
        "action-0-due": in_days(1),
        "record": "yes",
    }
    assert ada.post(url("go_withdraw", cleared), data | {"reason": ""}).status_code == 422
    assert fresh(cleared).status == Status.CLEARED
    assert ada.post(url("go_withdraw", cleared), data).status_code == 303
    assert fresh(cleared).status == Status.NO_GO
    words = room(cleared, cast.cy)
    assert "No longer stands" in words
    assert "a leak was found" in words
    assert "Fix the leak" in words
    assert signed_in(cast.dana).get(url("go_withdraw", cleared)).status_code == 403


# Action items


@pytest.fixture
def no_go(release: Release, cast: Cast) -> Release:
    polled = bring_to(release, Status.POLLING)
    todo = FollowUp("Rebuild the index", cast.gus, timezone.now() + timedelta(days=1))
    gonogo.decide(polled, Call.NO_GO, by=cast.ada, rationale="two fail", action_items=[todo])
    return fresh(polled)


def test_the_owner_marks_an_action_item_done_and_may_open_it_again(no_go: Release, cast: Cast) -> None:
    row = no_go.action_items.get()
    gus = signed_in(cast.gus)
    assert "Mark done: Rebuild the index" in room(no_go, cast.gus)
    assert gus.post(url("action_settle", no_go, row.pk), {"state": "done"}).status_code == 303
    assert ActionItem.objects.get(pk=row.pk).state == "done"
    assert "Rebuild the index Gus Rao; done by Gus Rao" in room(no_go, cast.cy)
    assert gus.post(url("action_settle", no_go, row.pk), {"state": "open"}).status_code == 303
    assert ActionItem.objects.get(pk=row.pk).state == "open"


def test_waiving_an_action_item_needs_the_coordinator_and_a_reason(no_go: Release, cast: Cast) -> None:
    row = no_go.action_items.get()
    waive = {"state": "waived", "reason": "the index is gone"}
    assert signed_in(cast.gus).post(url("action_settle", no_go, row.pk), waive).status_code == 403
    bare = signed_in(cast.ada).post(url("action_settle", no_go, row.pk), {"state": "waived"})
    assert bare.status_code == 422
    assert "Say why it is waived" in text(bare)
    assert signed_in(cast.ada).post(url("action_settle", no_go, row.pk), waive).status_code == 303
    assert "waived by Ada Lovelace" in room(no_go, cast.cy)


def test_an_action_item_of_another_release_is_not_found_here(no_go: Release, cast: Cast) -> None:
    other = ReleaseFactory(key="OTHER-1")
    answer = signed_in(cast.ada).post(url("action_settle", other, no_go.action_items.get().pk), {"state": "done"})
    assert answer.status_code == 404


def test_action_items_are_added_to_a_standing_no_go(no_go: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    bare = ada.post(url("action_add", no_go), {"add-title": "Name a second on-call"})
    assert bare.status_code == 422
    assert "Name its owner" in text(bare)
    data = {"add-title": "Name a second on-call", "add-owner": "Dana", "add-due": in_days(1)}
    assert ada.post(url("action_add", no_go), data).status_code == 303
    assert no_go.action_items.count() == 2


def test_a_name_that_two_people_share_asks_for_the_mail_address(no_go: Release, cast: Cast) -> None:
    for mail in ("kim.a@example.org", "kim.b@example.org"):
        User.objects.create_user(mail, name="Kim Lee")
    data = {"add-title": "Call the vendor", "add-owner": "kim lee", "add-due": in_days(1)}
    answer = signed_in(cast.ada).post(url("action_add", no_go), data)
    assert answer.status_code == 422
    assert "kim.a@example.org" in text(answer)
    answer = signed_in(cast.ada).post(url("action_add", no_go), data | {"add-owner": "kim.b@example.org"})
    assert answer.status_code == 303


# Regions and size


@pytest.mark.parametrize("part", ["poll", "readiness", "ballots", "against", "actions"])
def test_each_region_answers_alone(polling: Release, cast: Cast, part: str) -> None:
    answer = signed_in(cast.ada).get(url("decision_part", polling, part), headers=HTMX)
    assert answer.status_code == 200
    assert f'id="{part}"' in markup(answer)
    assert "<html" not in markup(answer)


def test_a_region_that_is_none_is_not_found(polling: Release, cast: Cast) -> None:
    assert signed_in(cast.ada).get(url("decision_part", polling, "decide-form")).status_code == 404


def test_the_board_of_a_closed_poll_leads_to_the_decision(polling: Release, cast: Cast) -> None:
    gonogo.decide(polling, Call.NO_GO, by=cast.ada, rationale="two fail")
    assert "Show the decision" in text(signed_in(cast.ben).get(url("decision_part", polling, "poll")))


def test_the_wall_shows_the_board_and_no_form(polling: Release, cast: Cast) -> None:
    answer = signed_in(cast.ada).get(url("decision", polling), {"wall": "1"})
    assert "QA Lead" in text(answer)
    assert "<form" not in markup(answer)


def test_what_people_write_is_never_markup(polling: Release, cast: Cast) -> None:
    vote(polling, "QA Lead", cast.ben, "no_go", "<script>alert(1)</script>")
    body = markup(signed_in(cast.ada).get(url("decision", polling)))
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as counted:
        client.get(address)
    return len(counted)


def another_round(release: Release, cast: Cast) -> None:
    """Decide against what a ballot says, take it back, and ask again."""
    vote_go(fresh(release))
    vote(release, "QA Lead", cast.ben, "no_go", "two fail")
    gonogo.decide(fresh(release), Call.GO, by=cast.ada, rationale="an edge case", override="a fix follows")
    todo = FollowUp("Rebuild the index", cast.gus, timezone.now() + timedelta(days=1))
    gonogo.withdraw_go(fresh(release), "a leak", by=cast.ada, action_items=[todo], then=gonogo.Next(same=True))
    for row in release.action_items.filter(state="open"):
        gonogo.settle_action(row, ActionItem.State.DONE, by=cast.ada)
    settle_gate(fresh(release))
    gonogo.open_poll(fresh(release), by=cast.ada)


def test_the_room_asks_the_database_equally_often_for_one_round_and_for_many(polling: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    another_round(polling, cast)
    vote_go(fresh(polling))
    one = queries(ada, url("decision", polling))
    for _ in range(3):
        another_round(polling, cast)
    vote_go(fresh(polling))
    assert queries(ada, url("decision", polling)) == one
    assert one < 40
