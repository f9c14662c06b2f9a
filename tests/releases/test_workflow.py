"""The release's own verbs, each test named as its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from releases import clearance, gonogo, readiness, ticking, workflow
from releases.errors import DomainError, NotReady, Refused
from releases.models import MOVES, Release, State, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, settle, settle_gate, vote_go, window

# The drawing in DOMAIN, by hand.
DRAWING = {
    "preparing": {"polling", "cancelled"},
    "polling": {"cleared", "no_go", "preparing", "cancelled"},
    "no_go": {"preparing", "cancelled"},
    "cleared": {"deploying", "no_go", "preparing", "cancelled"},
    "deploying": {"deployed", "rolling_back"},
    "deployed": {"closed", "rolling_back"},
    "closed": {"rolling_back"},
    "rolling_back": {"rolled_back", "deploying", "deployed", "closed"},
    "rolled_back": set(),
    "cancelled": set(),
}


def test_the_moves_of_a_release_are_those_of_the_drawing() -> None:
    assert {str(Status(a).value): {Status(b).value for b in to} for a, to in MOVES.items()} == DRAWING


@pytest.mark.parametrize("status", list(Status))
def test_every_state_is_reached_by_its_verbs(status: Status, release: Release) -> None:
    assert bring_to(release, status).status == status


def test_phases_open_by_time_alone(release: Release) -> None:
    opens = {m.phase.name: m.opens_at for m in release.plan}
    assert opens["Readiness"] is not None
    assert [m.phase.name for m in release.plan if m.has_opened(timezone.now())] == []
    assert [m.phase.name for m in release.plan if m.has_opened(opens["Readiness"])] == ["Readiness"]
    assert [m.phase.name for m in release.plan if m.has_opened(release.t_zero - timedelta(hours=4))] == [
        "Readiness",
        "Staging",
        "Go/No-Go",
    ]


def test_a_phase_is_due_when_the_next_opens(release: Release) -> None:
    moments = {m.phase.name: m for m in release.plan}
    assert moments["Readiness"].due_at == moments["Staging"].opens_at
    assert moments["Go/No-Go"].due_at == release.t_zero
    assert moments["Production"].due_at == release.window_end
    assert moments["Post-deployment"].due_at is None


def test_the_two_hours_count_from_the_end_of_the_deployment(release: Release) -> None:
    release = bring_to(release, Status.DEPLOYED)
    assert release.deployed_at is not None
    post = {m.phase.name: m for m in release.plan}["Post-deployment"]
    assert post.due_at == release.deployed_at + timedelta(hours=2)


# Reschedule


def test_a_reschedule_raises_the_schedule_version_and_tells_everyone(release: Release, cast: Cast) -> None:
    later = window(timedelta(days=9))
    moved = workflow.reschedule(release, later, by=cast.ada, reason="a holiday")
    assert (moved.t_zero, moved.window_end, moved.schedule_version) == (later.t_zero, later.ends, 2)
    assert release.reminders.filter(kind="rescheduled").count() == 6
    event = release.events.get(action="release.rescheduled")
    assert event.data["reason"] == "a holiday"


def test_an_equal_time_changes_nothing(release: Release, cast: Cast) -> None:
    same = workflow.Window(release.t_zero, release.window_end, release.time_zone)
    events = release.events.count()
    assert workflow.reschedule(release, same, by=cast.ada, reason="").schedule_version == 1
    assert release.events.count() == events


def test_an_equal_time_ends_a_no_go(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.NO_GO)
    same = workflow.Window(release.t_zero, release.window_end, release.time_zone)
    assert workflow.reschedule(release, same, by=cast.ada, reason="fixed").status == Status.PREPARING


@pytest.mark.parametrize("status", [Status.PREPARING, Status.POLLING, Status.CLEARED, Status.NO_GO])
def test_a_release_before_its_start_can_move(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    moved = workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    assert moved.status == Status.PREPARING
    assert not release.polls.filter(state="open").exists()
    assert not release.decisions.filter(standing=True).exists()


@pytest.mark.parametrize("status", [Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED, Status.ROLLED_BACK])
def test_a_release_after_its_start_cannot_move(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    with pytest.raises(DomainError, match="before its start"):
        workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="a holiday")


def test_items_bound_to_the_window_reopen_and_the_others_stay(release: Release, cast: Cast) -> None:
    settle_gate(release)
    workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    assert item(release, "Backup taken").state == State.OPEN
    assert item(release, "Confirm on-call coverage").state == State.OPEN
    assert item(release, "All PRs merged").state == State.DONE
    assert item(release, "Assess risks").state == State.DONE


def test_the_preview_says_what_moves_what_reopens_and_who_is_told(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    later = window(timedelta(hours=20))
    preview = workflow.preview_reschedule(fresh(release), later)
    assert {row.title for row in preview.reopens} == {"Backup taken", "Confirm on-call coverage"}
    assert len(preview.told) == 6
    assert (preview.voids_poll, preview.revokes_go) == (True, False)
    assert preview.already_past == ("Readiness", "Staging")
    assert fresh(release).schedule_version == 1


@pytest.mark.parametrize(("hours", "sentence"), [(-1, "past"), (0, "past")])
def test_a_t_zero_in_the_past_is_refused(hours: int, sentence: str, release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match=sentence):
        workflow.reschedule(release, window(timedelta(hours=hours)), by=cast.ada, reason="a holiday")


def test_a_window_that_ends_before_it_begins_is_refused(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="ends before it begins"):
        workflow.reschedule(release, window(hours=-1), by=cast.ada, reason="a holiday")


def test_a_reschedule_says_why(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="why"):
        workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason=" ")


def test_planned_reminders_of_the_old_plan_are_superseded_in_the_same_transaction(release: Release, cast: Cast) -> None:
    gonogo.open_poll(release, by=cast.ada)
    assert release.reminders.filter(kind="asked", state="planned").exists()
    workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="a holiday")
    assert set(release.reminders.filter(kind="asked").values_list("state", flat=True)) == {"superseded"}


# Hold and resume


def test_a_hold_stops_the_clock_and_says_why(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="why"):
        workflow.hold(release, "", by=cast.ada)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    held = fresh(release)
    assert held.clock_stopped
    assert held.t_clock(timezone.now()) is None
    assert held.l_clock(timezone.now()) < timedelta(0)
    with pytest.raises(DomainError, match="already"):
        workflow.hold(release, "again", by=cast.ada)


@pytest.mark.parametrize("status", [Status.NO_GO, Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED])
def test_a_hold_is_for_preparing_polling_and_cleared(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    with pytest.raises(DomainError, match="before its start"):
        workflow.hold(release, "incident elsewhere", by=cast.ada)


def test_a_hold_blocks_the_start(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    with pytest.raises(NotReady, match="on hold"):
        workflow.start_deployment(release, by=cast.ada, override="now")


def test_resume_keeps_t_zero_or_takes_a_new_one(release: Release, cast: Cast) -> None:
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    kept = workflow.resume(release, by=cast.ada)
    assert (kept.clock_stopped, kept.schedule_version) == (False, 1)

    workflow.hold(release, "another incident", by=cast.ada)
    moved = workflow.resume(release, by=cast.ada, window=window(timedelta(days=9)))
    assert (fresh(moved).clock_stopped, moved.schedule_version) == (False, 2)


def test_resume_after_t_zero_passed_wants_a_new_one(release: Release, cast: Cast) -> None:
    workflow.hold(release, "incident elsewhere", by=cast.ada)
    with time_machine.travel(release.t_zero + timedelta(minutes=1), tick=False):
        with pytest.raises(DomainError, match="new one"):
            workflow.resume(release, by=cast.ada)


# Start, finish, close


def test_the_start_is_refused_before_t_zero_without_an_override(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    with pytest.raises(NotReady, match="T-0 has not come"):
        workflow.start_deployment(release, by=cast.ada)
    workflow.start_deployment(release, by=cast.ada, override="agreed with support")
    assert release.overrides.get().overrides == [{"kind": "early", "id": 0, "words": "T-0 has not come"}]


def test_the_start_in_its_window_needs_no_override(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    with time_machine.travel(release.t_zero + timedelta(minutes=1), tick=False):
        started = workflow.start_deployment(release, by=cast.ada)
    assert (started.status, started.overrides.count()) == (Status.DEPLOYING, 0)


def test_a_go_lapses_at_the_end_of_the_window(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.CLEARED)
    with time_machine.travel(release.window_end + timedelta(minutes=1), tick=False):
        with pytest.raises(NotReady, match="window has ended and the GO with it"):
            workflow.start_deployment(release, by=cast.ada)


@pytest.mark.parametrize("status", [Status.PREPARING, Status.POLLING, Status.NO_GO])
def test_no_override_starts_a_release_without_a_standing_go(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    with pytest.raises(NotReady, match="no standing GO"):
        workflow.start_deployment(release, by=cast.ada, override="now")


def test_finishing_needs_every_required_production_item(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.DEPLOYING)
    with pytest.raises(NotReady, match="2 items are open"):
        workflow.finish_deployment(release, by=cast.ada)
    assert fresh(release).deployed_at is None


def test_closing_needs_every_required_post_deployment_item_but_the_closing_one(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.DEPLOYED)
    with pytest.raises(NotReady, match="1 item is open"):
        workflow.close(release, by=cast.ada)
    settle(item(release, "Release announced"))
    closed = workflow.close(release, by=cast.ada)
    assert (closed.status, item(release, "Close release ticket").state) == (Status.CLOSED, State.DONE)


def test_the_closing_mail_carries_sequence_and_head(release: Release) -> None:
    release = bring_to(release, Status.CLOSED)
    mail = release.reminders.filter(kind="closed").first()
    assert mail is not None
    assert mail.data["head"] == release.event_head
    assert mail.data["sequence"] == release.event_sequence


def test_each_gate_passes_when_what_it_names_holds(release: Release) -> None:
    settle_gate(release)
    assert readiness.before_decision(fresh(release)).gate_passed
    assert not readiness.go(fresh(release)).gate_passed
    gonogo.open_poll(release, by=release.coordinator)
    vote_go(release)
    assert readiness.go(fresh(release)).gate_passed


# Cancel, edit


@pytest.mark.parametrize("status", [Status.PREPARING, Status.POLLING, Status.NO_GO, Status.CLEARED])
def test_a_release_before_its_start_can_be_cancelled(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    with pytest.raises(DomainError, match="why"):
        workflow.cancel(release, "", by=cast.ada)
    assert workflow.cancel(release, "merged into 4.3", by=cast.ada).status == Status.CANCELLED
    assert release.reminders.filter(kind="cancelled").count() == 6


def test_a_release_that_started_cannot_be_cancelled(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.DEPLOYING)
    with pytest.raises(DomainError, match="before its start"):
        workflow.cancel(release, "changed our mind", by=cast.ada)


def test_a_move_that_is_not_in_the_drawing_is_refused(release: Release) -> None:
    with pytest.raises(DomainError, match="cannot become"):
        clearance.move(release, Status.DEPLOYED)


VERBS_OF_THE_COORDINATOR = {
    "reschedule": lambda r, by: workflow.reschedule(r, window(timedelta(days=9)), by=by, reason="a holiday"),
    "hold": lambda r, by: workflow.hold(r, "incident", by=by),
    "cancel": lambda r, by: workflow.cancel(r, "merged", by=by),
    "open_poll": lambda r, by: gonogo.open_poll(r, by=by),
    "edit": lambda r, by: workflow.edit_release(r, by=by, title="Other"),
    "waive": lambda r, by: ticking.waive(item(r, "All PRs merged"), "small", by=by),
}


@pytest.mark.parametrize("verb", VERBS_OF_THE_COORDINATOR)
def test_only_the_coordinator_steers(verb: str, release: Release, cast: Cast) -> None:
    events = release.events.count()
    for person in (cast.ben, cast.dana, cast.eli, cast.cy, cast.sam):
        with pytest.raises(Refused, match="Ada Lovelace"):
            VERBS_OF_THE_COORDINATOR[verb](release, person)
    assert release.events.count() == events
    VERBS_OF_THE_COORDINATOR[verb](release, cast.ada)
    assert release.events.count() > events


def test_a_restricted_release_is_seen_by_holders_deputies_viewers_and_staff(cast: Cast) -> None:
    release = ReleaseFactory(restricted=True, viewers=[UserOf("Vera Viewer")])

    def sees(person: object) -> bool:
        return Release.objects.visible_to(person).filter(pk=release.pk).exists()  # type: ignore[arg-type]

    assert all(sees(person) for person in (cast.ada, cast.ben, cast.sam, UserOf("Vera Viewer")))
    assert not sees(cast.cy)
    from releases import people

    today = timezone.localdate()
    people.delegate(cast.ben, cast.cy, today, today, by=cast.ben)
    assert sees(cast.cy)


def UserOf(name: str) -> object:
    from tests.factories import UserFactory

    return UserFactory(name=name)
