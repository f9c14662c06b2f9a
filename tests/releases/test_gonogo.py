"""The poll, the ballots and the decision, each test named as its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from releases import amending, ballots, gonogo, people, readiness, ticking, workflow
from releases.errors import DomainError, NotReady, Refused
from releases.gonogo import FollowUp, Next
from releases.models import ActionItem, Call, Choice, Decision, Poll, Release, State, Status
from tests.factories import (
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    phase,
    role,
    seat,
    settle_gate,
    vote_go,
    window,
)


@pytest.fixture
def polling(release: Release) -> Release:
    return bring_to(release, Status.POLLING)


def follow_up(cast: Cast, blocks: str = "poll", title: str = "Rebuild the index") -> FollowUp:
    return FollowUp(title, cast.gus, timezone.now() + timedelta(days=1), blocks)


# Opening


def test_opening_a_poll_asks_every_seat_that_has_a_holder(release: Release, cast: Cast) -> None:
    poll = gonogo.open_poll(release, by=cast.ada)
    asked = release.reminders.filter(kind="asked").values_list("recipient__name", flat=True)
    assert (poll.round, fresh(release).status) == (1, Status.POLLING)
    assert set(asked) == {"Ada Lovelace", "Dana Ruiz", "Ben Osei", "Fay Lindqvist"}


def test_there_is_one_open_poll_a_release_in_the_database_too(polling: Release, cast: Cast) -> None:
    with pytest.raises(DomainError):
        gonogo.open_poll(polling, by=cast.ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        Poll.objects.create(release=polling, round=9, schedule_version=1, opened_at=timezone.now(), opened_by=cast.ada)


def test_an_open_action_item_of_a_no_go_blocks_the_next_poll(polling: Release, cast: Cast) -> None:
    gonogo.decide(
        polling,
        Call.NO_GO,
        by=cast.ada,
        rationale="two queries fail",
        action_items=[follow_up(cast)],
        then=Next(window=window(timedelta(days=5))),
    )
    with pytest.raises(NotReady, match="Rebuild the index"):
        gonogo.open_poll(polling, by=cast.ada)

    gonogo.settle_action(polling.action_items.get(), ActionItem.State.DONE, by=cast.gus)

    assert gonogo.open_poll(fresh(polling), by=cast.ada).round == 2


# Ballots


def test_a_ballot_may_change_until_the_decision_and_its_history_is_kept(polling: Release, cast: Cast) -> None:
    gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="two queries fail")
    gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ben)
    ballots_of_qa = seat(polling, "QA Lead").ballots.order_by("cast_at", "pk")
    assert [(b.choice, b.standing) for b in ballots_of_qa] == [("no_go", False), ("go", True)]

    settle_and_go(polling, cast)
    with pytest.raises(DomainError, match="no open go/no-go poll"):
        gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="too late")


def settle_and_go(release: Release, cast: Cast) -> Decision:
    vote_go(release)
    return gonogo.decide(release, Call.GO, by=cast.ada, rationale="all green")


def test_only_the_seats_holder_votes(polling: Release, cast: Cast) -> None:
    for person in (cast.ada, cast.dana, cast.gus, cast.sam):
        with pytest.raises(Refused, match=r"Ben Osei \(QA Lead\)"):
            gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=person)


def test_a_no_go_needs_its_statement(polling: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="statement"):
        gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement=" ")
    assert not seat(polling, "QA Lead").ballots.exists()


def test_the_coordinator_records_a_spoken_ballot_and_the_holder_is_mailed(polling: Release, cast: Cast) -> None:
    ballot = gonogo.cast_ballot(
        polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ada, statement="all green", spoken_by_holder=cast.ben
    )
    assert (ballot.voter, ballot.spoken_by, ballot.spoken) == (cast.ben, cast.ada, True)
    assert polling.reminders.get(kind="spoken").recipient == cast.ben

    corrected = gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="not so")
    assert (corrected.standing, corrected.spoken) == (True, False)


def test_a_spoken_ballot_is_for_a_holder_of_the_seat(polling: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="does not hold QA Lead"):
        gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ada, spoken_by_holder=cast.gus)
    with pytest.raises(Refused):
        gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.dana, spoken_by_holder=cast.ben)


def test_one_person_may_hold_two_seats_and_votes_twice(release: Release, cast: Cast) -> None:
    people.assign(release, role("QA Lead"), cast.dana, by=cast.ada)
    bring_to(release, Status.POLLING)
    gonogo.cast_ballot(release, seat(release, "Project Manager"), Choice.GO, by=cast.dana)
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.ABSTAIN, by=cast.dana)
    assert [b.voter for b in readiness.standing_ballots(release.polls.get()).values()] == [cast.dana, cast.dana]


def test_a_replaced_holders_ballot_is_stale(polling: Release, cast: Cast) -> None:
    ballot = gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ben)
    people.assign(polling, role("QA Lead"), cast.gus, by=cast.ada)
    people.unassign(polling, role("QA Lead"), cast.ben, by=cast.ada)
    assert ballots.staleness(ballot, readiness.load(fresh(polling))) == ["Ben Osei no longer holds QA Lead"]


@pytest.mark.parametrize("worse", ["reopened", "waived", "blocked", "added", "holder gone"])
def test_a_ballot_turns_stale_when_something_got_worse(worse: str, polling: Release, cast: Cast) -> None:
    if worse in ("waived", "blocked"):
        ticking.reopen(item(polling, "Assess risks"), by=cast.fay)
    ballot = gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ben)
    act = {
        "reopened": lambda: ticking.reopen(item(polling, "All PRs merged"), by=cast.ada),
        "waived": lambda: ticking.waive(item(polling, "Assess risks"), "small", by=cast.ada),
        "blocked": lambda: ticking.block(item(polling, "Assess risks"), "a CVE", by=cast.fay),
        "added": lambda: amending.add_item(phase(polling, "Readiness"), "Licences checked", by=cast.ada),
        "holder gone": lambda: people.unassign(polling, role("On-call Engineer"), cast.eli, by=cast.ada),
    }
    assert ballots.staleness(ballot, readiness.load(fresh(polling))) == []
    act[worse]()
    assert ballots.staleness(ballot, readiness.load(fresh(polling))) != []


@pytest.mark.parametrize("better", ["settled", "vote of another", "optional item reopened"])
def test_a_ballot_stands_when_something_got_better_or_does_not_matter(
    better: str, polling: Release, cast: Cast
) -> None:
    ticking.reopen(item(polling, "Assess risks"), by=cast.fay)
    ticking.set_done(item(polling, "Order cake"), True, by=cast.ada)
    ballot = gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.ben)
    if better == "settled":
        ticking.set_done(item(polling, "Assess risks"), True, by=cast.fay)
    elif better == "vote of another":
        gonogo.cast_ballot(polling, seat(polling, "Project Manager"), Choice.NO_GO, by=cast.dana, statement="no")
    else:
        ticking.reopen(item(polling, "Order cake"), by=cast.ada)
    assert ballots.staleness(ballot, readiness.load(fresh(polling))) == []


def test_what_a_voter_is_shown_never_holds_the_other_ballots(polling: Release, cast: Cast) -> None:
    gonogo.cast_ballot(polling, seat(polling, "Project Manager"), Choice.NO_GO, by=cast.dana, statement="secret view")
    shown = ballots.shown(readiness.load(fresh(polling)))
    assert set(shown) == {"t_zero", "gate", "waivers", "holders"}
    assert "secret view" not in str(shown)


def test_a_deputy_votes_for_an_absent_holder_and_both_names_are_kept(polling: Release, cast: Cast) -> None:
    today = timezone.localdate()
    people.delegate(cast.ben, cast.gus, today, today, by=cast.ben)
    ballot = gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.GO, by=cast.gus)
    assert (ballot.voter, ballot.deputy) == (cast.ben, cast.gus)


# The decision


def test_go_with_the_gate_passed_clears_the_release_and_tells_everyone(polling: Release, cast: Cast) -> None:
    decision = settle_and_go(polling, cast)
    assert fresh(polling).status == Status.CLEARED
    assert (decision.gate["passed"], len(decision.tally), decision.overrides.count()) == (True, 4, 0)
    assert item(polling, "Decision made").state == State.DONE
    mails = polling.reminders.filter(kind="decision")
    assert mails.count() == 6
    assert mails[0].data["head"] == fresh(polling).events.get(sequence=mails[0].data["sequence"]).hash


def test_only_the_coordinator_decides(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    for person in (cast.ben, cast.dana, cast.sam):
        with pytest.raises(Refused, match="Ada Lovelace"):
            gonogo.decide(polling, Call.GO, by=person, rationale="all green")
    assert fresh(polling).status == Status.POLLING
    assert not polling.decisions.exists()


def test_a_decision_needs_its_rationale(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    with pytest.raises(DomainError, match="rationale"):
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="  ")


def test_go_is_refused_while_a_gate_item_is_open(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    ticking.reopen(item(polling, "All PRs merged"), by=cast.ada)
    vote_go(polling)
    with pytest.raises(NotReady) as refusal:
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")
    assert [h.words for h in refusal.value.readiness.hindrances] == ["All PRs merged"]
    assert fresh(polling).status == Status.POLLING


def test_an_open_optional_item_does_not_hold_the_gate(polling: Release, cast: Cast) -> None:
    assert item(polling, "Order cake").state == State.OPEN
    settle_and_go(polling, cast)
    assert fresh(polling).status == Status.CLEARED


def test_an_unanswered_conditional_item_blocks(release: Release, cast: Cast) -> None:
    settle_gate(release)
    ticking.reopen(item(release, "Backup taken"), by=cast.ada)
    assert [h.words for h in readiness.before_decision(fresh(release)).hindrances] == ["Backup taken"]


def test_go_is_refused_without_a_ballot_of_a_required_seat(polling: Release, cast: Cast) -> None:
    for name, person in (("Release Coordinator", cast.ada), ("QA Lead", cast.ben), ("Risk Champion", cast.fay)):
        gonogo.cast_ballot(polling, seat(polling, name), Choice.GO, by=person)
    with pytest.raises(NotReady, match="no standing ballot of Project Manager"):
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")


def test_a_stale_ballot_is_no_standing_ballot(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    ticking.reopen(item(polling, "Assess risks"), by=cast.fay)
    ticking.set_done(item(polling, "Assess risks"), True, by=cast.fay)
    gonogo.decide(polling, Call.GO, by=cast.ada, rationale="open and settled again: nothing got worse")
    assert fresh(polling).status == Status.CLEARED


def test_a_waiver_after_the_vote_makes_the_votes_stale(polling: Release, cast: Cast) -> None:
    ticking.reopen(item(polling, "Assess risks"), by=cast.fay)
    vote_go(polling)
    ticking.waive(item(polling, "Assess risks"), "small change", by=cast.ada)
    with pytest.raises(NotReady, match="no standing ballot"):
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")


def test_an_optional_seat_never_blocks(polling: Release, cast: Cast) -> None:
    for name, person in (("Release Coordinator", cast.ada), ("QA Lead", cast.ben), ("Project Manager", cast.dana)):
        gonogo.cast_ballot(polling, seat(polling, name), Choice.GO, by=person)
    gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")
    assert fresh(polling).status == Status.CLEARED


@pytest.mark.parametrize("name", ["QA Lead", "Risk Champion"])
def test_a_no_go_ballot_of_any_seat_must_be_answered(name: str, polling: Release, cast: Cast) -> None:
    vote_go(polling)
    person = cast.ben if name == "QA Lead" else cast.fay
    gonogo.cast_ballot(polling, seat(polling, name), Choice.NO_GO, by=person, statement="two queries fail")
    with pytest.raises(NotReady, match="votes NO-GO"):
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="ship")

    decision = gonogo.decide(polling, Call.GO, by=cast.ada, rationale="ship", override="behind a flag until fixed")

    override = decision.overrides.get()
    assert override.reason == "behind a flag until fixed"
    assert [entry["kind"] for entry in override.overrides] == ["ballot"]


def test_abstain_is_an_answer(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    gonogo.cast_ballot(polling, seat(polling, "QA Lead"), Choice.ABSTAIN, by=cast.ben)
    gonogo.decide(polling, Call.GO, by=cast.ada, rationale="QA abstains")
    assert fresh(polling).status == Status.CLEARED


def test_an_override_names_everything_it_goes_against(polling: Release, cast: Cast) -> None:
    ticking.reopen(item(polling, "All PRs merged"), by=cast.ada)
    decision = gonogo.decide(polling, Call.GO, by=cast.ada, rationale="ship", override="a security fix cannot wait")
    kinds = [(entry["kind"], entry["words"]) for entry in decision.overrides.get().overrides]
    assert kinds == [
        ("item", "All PRs merged"),
        ("seat", "Release Coordinator"),
        ("seat", "Project Manager"),
        ("seat", "QA Lead"),
    ]


def test_a_go_with_the_gate_passed_records_no_override(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    decision = gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green", override="not needed")
    assert not decision.overrides.exists()


def test_a_gate_without_items_is_not_passed(cast: Cast) -> None:
    release = ReleaseFactory()
    for row in release.phases.all():
        for entry in row.items.all():
            if entry.required and row.stage in ("preparation", "decision"):
                amending.edit_item(entry, by=cast.ada, required=False)
    assert [h.kind for h in readiness.before_decision(fresh(release)).hindrances] == ["empty"]


def test_a_poll_without_seats_does_not_open_and_its_gate_is_not_passed(release: Release, cast: Cast) -> None:
    settle_gate(release)
    release.seats.all().delete()
    assert not readiness.go(fresh(release)).gate_passed
    with pytest.raises(DomainError, match="seats"):
        gonogo.open_poll(release, by=cast.ada)


def test_a_hold_blocks_the_decision_and_not_the_ballots(polling: Release, cast: Cast) -> None:
    workflow.hold(polling, "incident elsewhere", by=cast.ada)
    vote_go(polling)
    with pytest.raises(DomainError, match="on hold"):
        gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")


def test_no_go_is_given_after_the_window_has_ended(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    with time_machine.travel(polling.window_end + timedelta(minutes=1), tick=False):
        with pytest.raises(DomainError, match="window has ended"):
            gonogo.decide(polling, Call.GO, by=cast.ada, rationale="all green")
        gonogo.decide(polling, Call.NO_GO, by=cast.ada, rationale="too late")
    assert fresh(polling).status == Status.NO_GO


# Conditional GO


def test_a_conditional_go_needs_a_condition_with_owner_due_and_verb(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    with pytest.raises(DomainError, match="at least one condition"):
        gonogo.decide(polling, Call.CONDITIONAL_GO, by=cast.ada, rationale="if the index is rebuilt")
    with pytest.raises(DomainError, match="choose which"):
        gonogo.decide(
            polling,
            Call.CONDITIONAL_GO,
            by=cast.ada,
            rationale="if the index is rebuilt",
            conditions=[follow_up(cast, blocks="poll")],
        )


def test_a_condition_holds_its_verb_until_done_or_waived(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    gonogo.decide(
        polling,
        Call.CONDITIONAL_GO,
        by=cast.ada,
        rationale="if the index is rebuilt",
        conditions=[follow_up(cast, blocks="start")],
    )
    with pytest.raises(NotReady, match="Rebuild the index"):
        workflow.start_deployment(polling, by=cast.ada, override="early")

    condition = polling.action_items.get()
    with pytest.raises(Refused):
        gonogo.settle_action(condition, ActionItem.State.WAIVED, by=cast.gus, reason="no need")
    with pytest.raises(DomainError, match="why"):
        gonogo.settle_action(condition, ActionItem.State.WAIVED, by=cast.ada)
    gonogo.settle_action(condition, ActionItem.State.WAIVED, by=cast.ada, reason="covered by a flag")

    assert workflow.start_deployment(polling, by=cast.ada, override="early").status == Status.DEPLOYING


# NO-GO


def test_no_go_records_reasons_action_items_and_the_new_t_zero_in_one(polling: Release, cast: Cast) -> None:
    later = window(timedelta(days=6))
    gonogo.decide(
        polling,
        Call.NO_GO,
        by=cast.ada,
        rationale="two queries fail",
        action_items=[follow_up(cast)],
        then=Next(window=later),
    )
    after = fresh(polling)
    assert (after.status, after.t_zero, after.schedule_version) == (Status.PREPARING, later.t_zero, 2)
    assert after.action_items.get().owner == cast.gus
    assert set(after.reminders.values_list("kind", flat=True)) >= {"decision", "rescheduled"}


def test_a_no_go_with_a_bad_part_writes_nothing_at_all(polling: Release, cast: Cast) -> None:
    events = polling.events.count()
    with pytest.raises(DomainError, match="past"):
        gonogo.decide(
            polling,
            Call.NO_GO,
            by=cast.ada,
            rationale="two queries fail",
            action_items=[follow_up(cast)],
            then=Next(window=window(timedelta(days=-1))),
        )
    assert (fresh(polling).status, polling.events.count()) == (Status.POLLING, events)
    assert not polling.action_items.exists()
    assert not polling.decisions.exists()


def test_no_go_stops_the_clock_until_a_t_zero_is_set(polling: Release, cast: Cast) -> None:
    gonogo.decide(polling, Call.NO_GO, by=cast.ada, rationale="two queries fail")
    assert fresh(polling).clock_stopped
    assert fresh(polling).t_clock(timezone.now()) is None


def test_leaving_a_no_go_reopens_the_decision_phase(polling: Release, cast: Cast) -> None:
    gonogo.decide(polling, Call.NO_GO, by=cast.ada, rationale="two queries fail", then=Next(same=True))
    after = fresh(polling)
    assert (after.status, after.schedule_version, after.t_zero) == (Status.PREPARING, 2, polling.t_zero)
    for title in ("Assess risks", "Confirm on-call coverage", "Decision made"):
        assert item(after, title).state == State.OPEN
    assert item(after, "All PRs merged").state == State.DONE


# Taking it back


def test_withdrawing_a_poll_voids_it_with_its_ballots_kept(polling: Release, cast: Cast) -> None:
    vote_go(polling)
    with pytest.raises(DomainError, match="why"):
        gonogo.withdraw_poll(polling, " ", by=cast.ada)
    gonogo.withdraw_poll(polling, "asked too early", by=cast.ada)
    poll = polling.polls.get()
    assert (poll.state, poll.void_reason, poll.ballots.count()) == ("void", "asked too early", 4)
    assert fresh(polling).status == Status.PREPARING
    assert gonogo.open_poll(fresh(polling), by=cast.ada).round == 2


def test_withdrawing_a_go_leads_to_no_go_and_edits_no_decision(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLEARED)
    gonogo.withdraw_go(release, "a CVE was published", by=cast.ada, action_items=[follow_up(cast)])
    decision = release.decisions.get()
    assert (decision.call, decision.rationale, decision.standing) == ("go", "all green", False)
    assert decision.ended_reason == "a CVE was published"
    assert fresh(release).status == Status.NO_GO
    assert release.action_items.get().blocks == "poll"


def test_there_is_one_standing_decision_a_schedule_version_in_the_database_too(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    poll = Poll.objects.create(
        release=release, round=2, state="decided", schedule_version=1, opened_at=timezone.now(), opened_by=cast.ada
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(
            release=release,
            poll=poll,
            call="go",
            rationale="again",
            by=cast.ada,
            at=timezone.now(),
            schedule_version=1,
        )
