"""An item's plain states, each test named as its rule."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.blueprints import Kind
from releases import tasks, ticking
from releases.errors import Conflict, DomainError, EvidenceNeeded, ReasonNeeded, Refused
from releases.models import Event, Item, Release, State, Status
from releases.ticking import Proof
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, settle, settle_gate


def last_event(release: Release) -> Event:
    return Event.objects.filter(release=release).order_by("-sequence")[0]


def test_a_holder_ticks_an_item_and_the_record_says_who_and_when(release: Release, cast: Cast) -> None:
    done = ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)

    assert (done.state, done.state_by, done.state_for) == (State.DONE, cast.fay, "")
    assert done.state_at is not None
    event = last_event(release)
    assert (event.action, event.actor, event.role) == ("item.done", "Fay Lindqvist", "Risk Champion")
    assert (event.before, event.after) == ({"state": "open"}, {"state": "done"})


def test_a_worker_is_asked_to_look_when_a_go_is_taken_back_and_not_for_a_tick(
    release: Release, cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as to_follow:
        ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)
    assert tasks._look not in to_follow
    bring_to(release, Status.CLEARED)
    with django_capture_on_commit_callbacks() as to_follow:
        ticking.reopen(item(release, "All PRs merged"), by=cast.ada, revoke="a fix came in late")
    assert tasks._look in to_follow


def test_the_same_state_again_changes_nothing(release: Release, cast: Cast) -> None:
    ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)
    events, version = release.events.count(), item(release, "Assess risks").version

    ticking.set_done(item(release, "Assess risks"), True, by=cast.fay, version=1)

    assert release.events.count() == events
    assert item(release, "Assess risks").version == version


def test_a_change_by_another_in_between_is_a_conflict_that_names_them(release: Release, cast: Cast) -> None:
    seen = item(release, "Assess risks").version
    ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)

    with pytest.raises(Conflict, match="Fay Lindqvist changed “Assess risks” at .* it is done") as refusal:
        ticking.block(item(release, "Assess risks"), "a CVE", by=cast.ada, version=seen)

    assert refusal.value.item.state == State.DONE
    assert item(release, "Assess risks").state == State.DONE


def test_a_member_of_another_role_may_not_tick_and_hears_who_may(release: Release, cast: Cast) -> None:
    with pytest.raises(Refused, match=r"Fay Lindqvist \(Risk Champion\)") as refusal:
        ticking.set_done(item(release, "Assess risks"), True, by=cast.gus)

    assert "Ada Lovelace (Release Coordinator)" in str(refusal.value)
    assert item(release, "Assess risks").state == State.OPEN


def test_an_item_without_a_role_is_the_coordinators(release: Release, cast: Cast) -> None:
    with pytest.raises(Refused):
        ticking.set_done(item(release, "All PRs merged"), True, by=cast.gus)

    done = ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)

    assert (done.state, done.state_for) == (State.DONE, "")


def test_the_coordinator_ticks_for_a_holder_only_with_a_reason(release: Release, cast: Cast) -> None:
    with pytest.raises(ReasonNeeded, match="Fay Lindqvist’s") as asked:
        ticking.set_done(item(release, "Assess risks"), True, by=cast.ada)
    assert "Ada Lovelace for Fay Lindqvist" in asked.value.consequence

    done = ticking.set_done(item(release, "Assess risks"), True, by=cast.ada, on_behalf="Fay said so by phone")

    assert (done.state_by, done.state_for, done.state_reason) == (cast.ada, "Fay Lindqvist", "Fay said so by phone")


def test_the_coordinator_may_acknowledge_for_the_holder_with_a_reason(release: Release, cast: Cast) -> None:
    done = ticking.set_done(
        item(release, "Confirm on-call coverage"), True, by=cast.ada, on_behalf="Eli is on a plane, agreed yesterday"
    )
    assert done.state_for == "Eli Tanaka"


def test_a_sign_off_is_never_given_for_another(release: Release, cast: Cast) -> None:
    with pytest.raises(Refused, match=r"Ben Osei \(QA Lead\)"):
        ticking.set_done(item(release, "QA sign-off obtained"), True, by=cast.ada, on_behalf="Ben is ill")
    assert item(release, "QA sign-off obtained").state == State.OPEN


def test_an_item_that_wants_evidence_is_not_done_without_it(release: Release, cast: Cast) -> None:
    with pytest.raises(EvidenceNeeded):
        ticking.set_done(item(release, "Performance verified"), True, by=cast.gus)
    assert item(release, "Performance verified").state == State.OPEN

    proof = Proof(url="https://ci.example.org/run/4812", label="run 4812", commit="9f3c2ab")
    done = ticking.set_done(item(release, "Performance verified"), True, by=cast.gus, proof=proof)

    shown = done.evidence.get()
    assert (done.state, shown.label, shown.commit, shown.by) == (State.DONE, "run 4812", "9f3c2ab", cast.gus)


def test_evidence_with_an_address_that_is_no_link_is_refused(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="https://"):
        ticking.add_evidence(item(release, "Performance verified"), Proof(url="javascript:alert(1)"), by=cast.gus)
    assert not item(release, "Performance verified").evidence.exists()


@pytest.mark.parametrize("title", ["Review deployment readiness", "Decision made"])
def test_what_follows_from_elsewhere_is_not_ticked_by_hand(title: str, release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError):
        ticking.set_done(item(release, title), True, by=cast.ada)
    assert item(release, title).state == State.OPEN


def test_a_computed_item_follows_the_earlier_phases_both_ways(release: Release, cast: Cast) -> None:
    computed = "Review deployment readiness"
    for title in ("All PRs merged", "QA sign-off obtained", "Performance verified"):
        settle(item(release, title))
    assert item(release, computed).state == State.OPEN

    ticking.mark_not_applicable(item(release, "Backup taken"), "no data changes", by=cast.ada)
    assert item(release, computed).state == State.DONE

    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    assert item(release, computed).state == State.OPEN


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (ticking.block, State.BLOCKED),
        (ticking.waive, State.WAIVED),
        (ticking.mark_not_applicable, State.NOT_APPLICABLE),
    ],
)
def test_blocked_waived_and_not_applicable_need_a_reason_and_can_be_undone(
    act: object, state: State, release: Release, cast: Cast
) -> None:
    with pytest.raises(DomainError, match="reason"):
        act(item(release, "Backup taken"), "  ", by=cast.ada)  # type: ignore[operator]
    assert item(release, "Backup taken").state == State.OPEN

    changed = act(item(release, "Backup taken"), "no data changes", by=cast.ada)  # type: ignore[operator]
    assert (changed.state, changed.state_reason) == (state, "no data changes")

    assert ticking.reopen(item(release, "Backup taken"), by=cast.ada).state == State.OPEN


def test_not_applicable_answers_only_conditional_items(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="not conditional"):
        ticking.mark_not_applicable(item(release, "All PRs merged"), "we have none", by=cast.ada)


def test_not_applicable_answers_the_item_of_an_optional_seat_nobody_fills(cast: Cast) -> None:
    people = {role: users for role, users in cast.holders().items() if role.slug != "risk-champion"}
    release = ReleaseFactory(holders=people)

    answered = ticking.mark_not_applicable(item(release, "Assess risks"), "no champion in this team", by=cast.ada)

    assert answered.state == State.NOT_APPLICABLE


def test_the_item_of_an_optional_seat_that_is_filled_must_be_answered(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="not conditional"):
        ticking.mark_not_applicable(item(release, "Assess risks"), "no time", by=cast.fay)


def test_only_the_coordinator_waives(release: Release, cast: Cast) -> None:
    with pytest.raises(Refused, match="Ada Lovelace"):
        ticking.waive(item(release, "Assess risks"), "no time", by=cast.fay)


def test_only_the_coordinator_undoes_a_waiver(release: Release, cast: Cast) -> None:
    ticking.waive(item(release, "Assess risks"), "small change", by=cast.ada)
    with pytest.raises(Refused):
        ticking.reopen(item(release, "Assess risks"), by=cast.fay)


def test_ticking_early_is_allowed_up_to_the_decision_phase(release: Release, cast: Cast) -> None:
    assert settle(item(release, "Assess risks")).state == State.DONE  # opens at T-4h, three days before
    with pytest.raises(DomainError, match="locked"):
        ticking.set_done(item(release, "Deployment executed"), True, by=cast.ada)
    with pytest.raises(DomainError, match="locked"):
        ticking.set_done(item(release, "Release announced"), True, by=cast.ada)


def test_post_deployment_items_need_the_deployment_finished(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    with pytest.raises(DomainError, match="opens when the deployment is finished"):
        ticking.set_done(item(release, "Release announced"), True, by=cast.ada)
    assert settle(item(release, "Deployment executed")).state == State.DONE


def test_gate_items_no_longer_change_once_the_deployment_started(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    with pytest.raises(DomainError, match="can no longer change"):
        ticking.reopen(item(release, "All PRs merged"), by=cast.ada)


def test_reopening_a_gate_item_after_go_needs_a_reason_and_revokes_the_go(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLEARED)
    with pytest.raises(ReasonNeeded) as asked:
        ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    assert "GO is revoked" in asked.value.consequence
    assert item(release, "All PRs merged").state == State.DONE
    assert fresh(release).status == Status.CLEARED

    ticking.reopen(item(release, "All PRs merged"), by=cast.ada, revoke="a fix came in late")

    assert fresh(release).status == Status.PREPARING
    assert not release.decisions.filter(standing=True).exists()
    assert item(release, "Decision made").state == State.OPEN
    told = release.reminders.filter(kind="revoked").values_list("recipient__name", flat=True)
    assert set(told) == {p.name for p in (cast.ada, cast.ben, cast.dana, cast.eli, cast.fay, cast.gus)}


@pytest.mark.parametrize("undo", ["waiver", "not applicable", "block", "required item added"])
def test_everything_that_opens_the_gate_after_go_revokes_it(undo: str, release: Release, cast: Cast) -> None:
    from releases import amending

    if undo == "waiver":
        ticking.waive(item(release, "Assess risks"), "small change", by=cast.ada)
    if undo == "not applicable":
        ticking.mark_not_applicable(item(release, "Backup taken"), "no data", by=cast.ada)
    release = bring_to(release, Status.CLEARED)

    def act(revoke: str) -> None:
        if undo == "block":
            # an open gate item only exists after GO when an override named it; so reopen is what a block does here
            ticking.block(item(release, "All PRs merged"), "a late fix", by=cast.ada, revoke=revoke)
        elif undo == "required item added":
            amending.add_item(item(release, "All PRs merged").phase, "Licences checked", by=cast.ada, revoke=revoke)
        else:
            title = "Assess risks" if undo == "waiver" else "Backup taken"
            ticking.reopen(item(release, title), by=cast.ada, revoke=revoke)

    with pytest.raises(ReasonNeeded):
        act("")
    assert fresh(release).status == Status.CLEARED
    act("found in review")
    assert fresh(release).status == Status.PREPARING


def test_an_item_an_override_named_may_change_after_go_without_revoking_it(release: Release, cast: Cast) -> None:
    from releases import gonogo
    from tests.factories import vote_go

    settle_gate(release)
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    gonogo.open_poll(release, by=cast.ada)
    vote_go(release)
    gonogo.decide(release, gonogo.Call.GO, by=cast.ada, rationale="ship", override="one PR follows behind a flag")

    ticking.block(item(release, "All PRs merged"), "still waiting", by=cast.ada)

    assert fresh(release).status == Status.CLEARED


def test_an_optional_item_may_reopen_after_go(release: Release, cast: Cast) -> None:
    settle(item(release, "Order cake"))
    bring_to(release, Status.CLEARED)
    ticking.reopen(item(release, "Order cake"), by=cast.ada)
    assert fresh(release).status == Status.CLEARED


def test_a_final_release_takes_notes_but_no_ticks(release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLOSED)
    note = ticking.write_note(fresh(release), "Thanks, all.", by=cast.gus)
    assert note.text == "Thanks, all."
    with pytest.raises(DomainError):
        ticking.reopen(item(release, "Release announced"), by=cast.ada)


def test_ticks_go_on_during_a_hold(release: Release, cast: Cast) -> None:
    from releases import workflow

    workflow.hold(release, "incident elsewhere", by=cast.ada)
    assert settle(item(release, "Assess risks")).state == State.DONE


def test_every_kind_of_item_is_in_the_small_checklist(release: Release) -> None:
    kinds = set(Item.objects.of(release).values_list("kind", flat=True))
    assert kinds == {kind.value for kind in Kind} - {Kind.STEP}
