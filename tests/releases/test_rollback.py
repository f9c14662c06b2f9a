"""The rollback, each test named as its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from releases import items, rollback
from releases.errors import DomainError, Refused
from releases.models import Part, Path, Release, Rollback, Severity, State, Status, Verdict
from tests.factories import Cast, bring_to, fresh, item, run_rollback


@pytest.fixture
def running(release: Release, cast: Cast) -> Rollback:
    bring_to(release, Status.DEPLOYING)
    return rollback.trigger(release, "error rate 4 %", by=cast.eli)


def test_a_trigger_copies_the_steps_and_tells_everyone_at_once(running: Rollback, cast: Cast) -> None:
    assert [step.part for step in running.steps.all()] == [
        Part.TRIGGER,
        Part.ASSESS,
        Part.EXECUTE,
        Part.VERIFY,
        Part.COMMUNICATE,
        Part.REVIEW,
    ]
    first = running.steps.all()[0]
    assert first.state == "done"
    assert "Eli Tanaka (On-call Engineer)" in first.note
    assert "Dana Ruiz (Project Manager)" in first.note
    mails = running.release.reminders.filter(kind="rollback_started")
    assert {mail.recipient for mail in mails} >= {cast.eli, cast.dana, cast.ada}
    assert all(mail.due_at <= timezone.now() for mail in mails)


@pytest.mark.parametrize("status", [Status.PREPARING, Status.POLLING, Status.CLEARED, Status.NO_GO])
def test_a_rollback_starts_only_after_a_deployment_has(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    with pytest.raises(DomainError, match="once a deployment has"):
        rollback.trigger(release, "error rate 4 %", by=cast.ada)


@pytest.mark.parametrize("status", [Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED])
def test_a_rollback_starts_from_deploying_deployed_and_closed(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    row = rollback.trigger(release, "error rate 4 %", by=cast.dana)
    assert (row.came_from, fresh(release).status) == (status, Status.ROLLING_BACK)


def test_a_trigger_says_what_was_seen(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    with pytest.raises(DomainError, match="what you saw"):
        rollback.trigger(release, " ", by=cast.eli)


def test_coordinator_project_manager_and_on_call_may_trigger_and_nobody_else(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    for person in (cast.ben, cast.gus, cast.fay, cast.cy, cast.sam):
        with pytest.raises(Refused, match="Eli Tanaka"):
            rollback.trigger(release, "error rate 4 %", by=person)
    assert rollback.trigger(release, "error rate 4 %", by=cast.eli).number == 1


def test_the_steps_go_strictly_in_order(running: Rollback, cast: Cast) -> None:
    for step in running.steps.exclude(part=Part.ASSESS):
        if not step.settled:
            with pytest.raises(DomainError, match="“Assess severity” comes first"):
                rollback.complete_step(step, by=cast.eli)
    with pytest.raises(DomainError, match="Record the severity"):
        rollback.complete_step(running.steps.get(part=Part.ASSESS), by=cast.eli)
    with pytest.raises(DomainError, match="comes first"):
        rollback.finish(running, by=cast.eli, review_on=timezone.localdate(), review_owner=cast.dana)


def test_hotfix_marks_the_execution_as_not_needed(running: Rollback, cast: Cast) -> None:
    rollback.record_severity(running, Severity.MAJOR, Path.HOTFIX, by=cast.eli)
    assert running.steps.get(part=Part.EXECUTE).state == "not_needed"
    step = Rollback.objects.get(pk=running.pk).current_step
    assert step is not None
    assert step.part == Part.VERIFY


def test_a_failed_verification_reopens_the_step_before(running: Rollback, cast: Cast) -> None:
    rollback.record_severity(running, Severity.MAJOR, Path.ROLLBACK, by=cast.eli)
    rollback.complete_step(running.steps.get(part=Part.EXECUTE), by=cast.eli)
    verify = running.steps.get(part=Part.VERIFY)
    with pytest.raises(DomainError, match="what the verification showed"):
        rollback.complete_step(verify, by=cast.eli, failed=True)

    rollback.complete_step(verify, by=cast.eli, failed=True, note="old pods still answer")

    assert running.steps.get(part=Part.EXECUTE).state == "open"
    assert Rollback.objects.get(pk=running.pk).restored_at is None


def test_a_failed_verification_of_a_hotfix_leads_back_to_the_assessment(running: Rollback, cast: Cast) -> None:
    rollback.record_severity(running, Severity.MAJOR, Path.HOTFIX, by=cast.eli)
    rollback.complete_step(running.steps.get(part=Part.VERIFY), by=cast.eli, failed=True, note="still 4 %")
    rollback.record_severity(running, Severity.CRITICAL, Path.ROLLBACK, by=cast.eli)
    step = Rollback.objects.get(pk=running.pk).current_step
    assert step is not None
    assert step.part == Part.EXECUTE


def test_a_rollback_ends_with_a_review_its_date_and_owner(running: Rollback, cast: Cast) -> None:
    run_rollback(running, by=cast.eli)
    after = fresh(running.release)
    review = after.action_items.get()
    assert after.status == Status.ROLLED_BACK
    assert (review.source, review.owner, review.blocks) == ("review", cast.eli, "nothing")
    assert after.reminders.filter(kind="rollback_ended").count() == 6


def test_a_review_in_the_past_is_refused(running: Rollback, cast: Cast) -> None:
    rollback.record_severity(running, Severity.MAJOR, Path.ROLLBACK, by=cast.eli)
    for part in (Part.EXECUTE, Part.VERIFY, Part.COMMUNICATE):
        rollback.complete_step(running.steps.get(part=part), by=cast.eli)
    yesterday = timezone.localdate() - timedelta(days=2)
    with pytest.raises(DomainError, match="past"):
        rollback.finish(running, by=cast.eli, review_on=yesterday, review_owner=cast.dana)


@pytest.mark.parametrize("status", [Status.DEPLOYING, Status.DEPLOYED, Status.CLOSED])
def test_a_hotfix_returns_to_where_it_came_from(status: Status, release: Release, cast: Cast) -> None:
    release = bring_to(release, status)
    row = rollback.trigger(release, "error rate 4 %", by=cast.ada)
    run_rollback(row, by=cast.ada, path="hotfix")
    assert fresh(release).status == status


def test_after_a_hotfix_the_watch_restarts(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYED)
    row = rollback.trigger(release, "error rate 4 %", by=cast.ada)
    run_rollback(row, by=cast.ada, path="hotfix")
    watched = item(release, "Monitor metrics")
    assert watched.state == State.OPEN
    running_watch = watched.running_watch()
    assert running_watch is not None
    with time_machine.travel(running_watch.may_end_at + timedelta(seconds=1), tick=False):
        assert items.end_watch(watched, Verdict.HEALTHY, by=cast.ada).state == State.DONE


def test_every_trigger_copies_the_steps_anew(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    first = rollback.trigger(release, "error rate 4 %", by=cast.ada)
    run_rollback(first, by=cast.ada, path="hotfix")
    second = rollback.trigger(release, "error rate 6 %", by=cast.ada)
    assert (second.number, second.steps.filter(state="open").count()) == (2, 5)
    assert first.steps.filter(state="open").count() == 0


def test_times_to_detect_decide_and_restore_are_measured(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.DEPLOYING)
    started = release.started_at
    assert started is not None
    with time_machine.travel(started + timedelta(minutes=12), tick=False):
        row = rollback.trigger(release, "error rate 4 %", by=cast.eli, noticed_at=started + timedelta(minutes=10))
    with time_machine.travel(started + timedelta(minutes=15), tick=False):
        rollback.record_severity(row, Severity.MAJOR, Path.ROLLBACK, by=cast.eli)
    with time_machine.travel(started + timedelta(minutes=31), tick=False):
        rollback.complete_step(row.steps.get(part=Part.EXECUTE), by=cast.eli)
        rollback.complete_step(row.steps.get(part=Part.VERIFY), by=cast.eli)
    measured = Rollback.objects.select_related("release").get(pk=row.pk)
    assert (measured.minutes_to_detect, measured.minutes_to_decide, measured.minutes_to_restore) == (10, 5, 21)


def test_it_was_noticed_between_the_start_and_now(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    for noticed in (timezone.now() + timedelta(hours=1), timezone.now() - timedelta(days=1)):
        with pytest.raises(DomainError, match="between"):
            rollback.trigger(release, "error rate 4 %", by=cast.eli, noticed_at=noticed)


def test_a_checklist_without_a_contingency_still_gives_six_steps(release: Release, cast: Cast) -> None:
    from checklists.models import TemplatePhase

    bring_to(release, Status.DEPLOYING)
    TemplatePhase.objects.filter(version=release.template_version, stage="contingency").delete()
    row = rollback.trigger(release, "error rate 4 %", by=cast.eli)
    assert [step.part for step in row.steps.all()] == [part for part in Part if part != Part.OTHER]


def test_somebody_else_may_take_charge(running: Rollback, cast: Cast) -> None:
    assert running.in_charge == cast.eli
    assert rollback.take_charge(running, by=cast.dana).in_charge == cast.dana
    with pytest.raises(Refused):
        rollback.take_charge(running, by=cast.gus)


# The watch


def test_a_watch_cannot_be_called_healthy_before_its_minimum(release: Release, cast: Cast) -> None:
    release = bring_to(release, Status.DEPLOYING)
    watch = items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    with pytest.raises(DomainError, match="Too early"):
        items.end_watch(item(release, "Monitor metrics"), Verdict.HEALTHY, by=cast.ada)
    with time_machine.travel(watch.started_at + timedelta(minutes=15), tick=False):
        done = items.end_watch(item(release, "Monitor metrics"), Verdict.HEALTHY, by=cast.ada)
    assert done.state == State.DONE


def test_a_watch_needs_the_deployment(release: Release, cast: Cast) -> None:
    with pytest.raises(DomainError, match="locked"):
        items.start_watch(item(release, "Monitor metrics"), by=cast.ada)


def test_starting_a_running_watch_again_changes_nothing(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    first = items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    assert items.start_watch(item(release, "Monitor metrics"), by=cast.ada) == first


def test_the_verdict_hotfix_needs_a_note_and_watches_again(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    with pytest.raises(DomainError, match="what you saw"):
        items.end_watch(item(release, "Monitor metrics"), Verdict.HOTFIX, by=cast.ada)
    items.end_watch(item(release, "Monitor metrics"), Verdict.HOTFIX, by=cast.ada, note="slow queries")
    watched = item(release, "Monitor metrics")
    assert watched.watches.count() == 2
    assert watched.running_watch() is not None
    assert fresh(release).status == Status.DEPLOYING


def test_the_verdict_rollback_starts_one(release: Release, cast: Cast) -> None:
    bring_to(release, Status.DEPLOYING)
    items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    items.end_watch(item(release, "Monitor metrics"), Verdict.ROLLBACK, by=cast.ada, note="error rate 4 %")
    assert fresh(release).status == Status.ROLLING_BACK
    assert release.rollbacks.get().seen == "error rate 4 %"


def test_closing_the_ticket_closes_the_release(release: Release, cast: Cast) -> None:
    from tests.factories import settle

    bring_to(release, Status.DEPLOYED)
    settle(item(release, "Release announced"))
    closed = items.act(item(release, "Close release ticket"), True, by=cast.ada)
    assert (closed.state, fresh(release).status) == (State.DONE, Status.CLOSED)
