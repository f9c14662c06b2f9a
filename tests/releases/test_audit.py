"""`manage.py verify_audit`: the chain, and that replaying it gives what the rows say."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from releases import amending, gonogo, items, people, ticking, workflow
from releases.audit import audit
from releases.models import (
    ActionItem,
    Ballot,
    Call,
    Choice,
    Decision,
    Event,
    Item,
    Override,
    Path,
    Poll,
    Release,
    Status,
    Verdict,
)
from releases.models.guard import lift_guards, put_back_guards
from tests.factories import (
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    phase,
    role,
    run_rollback,
    seat,
    settle_gate,
    vote_go,
    window,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def closed_once(kept):
    return bring_to(ReleaseFactory(), Status.CLOSED)


@pytest.fixture
def closed(closed_once):
    return fresh(closed_once)


def tamper(release, sequence, **fields):
    """Change an event as somebody with the database in hand would."""
    lift_guards()
    Event.objects.filter(release=release, sequence=sequence).update(**fields)
    put_back_guards()


def fault(release):
    return audit(fresh(release)).finding


# What holds


@pytest.mark.parametrize("status", list(Status))
def test_a_release_brought_anywhere_by_its_verbs_is_what_its_events_say(status):
    release = bring_to(ReleaseFactory(), status)

    answer = audit(release)

    assert answer.finding is None
    assert answer.events == release.event_sequence
    assert answer.head == release.event_head
    assert str(answer) == f"{release.key}: chain of {answer.events} events verified, head {answer.head}"


def test_a_release_that_took_every_turn_is_what_its_events_say():
    cast, release = Cast(), ReleaseFactory()
    ada, ben, dana = cast.ada, cast.ben, cast.dana
    added = amending.add_item(phase(release, "Staging"), "Tell the bank", by=ada, role=role("QA Lead"))
    amending.edit_item(added, by=ada, title="Tell both banks")
    amending.move_item(added, phase(release, "Readiness"), 1, by=ada)
    amending.give_items([added], role("Developers"), by=ada)
    amending.set_due(added, release.t_zero - timedelta(hours=30), by=ada)
    ticking.block(item(release, "Assess risks"), "waiting for the report", by=cast.fay)
    ticking.reopen(item(release, "Assess risks"), by=cast.fay)
    ticking.mark_not_applicable(item(release, "Backup taken"), "nothing is stored", by=ada)
    ticking.waive(item(release, "QA sign-off obtained"), "hotfix of a typo", by=ada)
    ticking.reopen(item(release, "QA sign-off obtained"), by=ada)
    ticking.set_done(item(release, "Tell both banks"), True, by=ada, on_behalf="Gus is on a train")
    ticking.write_note(release, "The bank called back.", by=ben)
    people.assign(release, role("Developers"), ben, by=ada)
    people.unassign(release, role("Developers"), cast.gus, by=ada)
    people.delegate(dana, cast.cy, timezone.localdate(), timezone.localdate(), by=dana)
    settle_gate(release)
    gonogo.open_poll(release, by=ada)
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.NO_GO, by=ben, statement="two queries fail")
    gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.GO, by=ben)
    gonogo.cast_ballot(release, seat(release, "Risk Champion"), Choice.GO, by=ada, spoken_by_holder=cast.fay)
    workflow.hold(release, "the bank is closed", by=ada)
    workflow.resume(release, by=ada)
    gonogo.withdraw_poll(release, "asked too early", by=ada)
    gonogo.open_poll(release, by=ada)
    follow_up = gonogo.FollowUp("Fix both queries", ben, release.t_zero)
    gonogo.decide(release, Call.NO_GO, by=ada, rationale="two queries fail", action_items=[follow_up])
    workflow.reschedule(release, window(timedelta(days=5)), by=ada, reason="a fix is under way")
    gonogo.settle_action(ActionItem.objects.get(), ActionItem.State.DONE, by=ben)
    settle_gate(release)
    gonogo.open_poll(release, by=ada)
    vote_go(release)
    gonogo.decide(release, Call.GO, by=ada, rationale="all green now")
    ticking.reopen(item(release, "All PRs merged"), by=ada, revoke="one was forgotten")
    settle_gate(release)
    gonogo.open_poll(release, by=ada)
    condition = gonogo.FollowUp("Watch the queue", ben, release.t_zero, blocks="close")
    gonogo.decide(
        release, Call.CONDITIONAL_GO, by=ada, rationale="good enough", override="they said so", conditions=[condition]
    )
    people.transfer(release, dana, by=ada, reason="night shift")
    workflow.start_deployment(fresh(release), by=dana, override="agreed by phone")
    watched = item(release, "Monitor metrics")
    items.start_watch(watched, by=dana)
    items.end_watch(watched, Verdict.ROLLBACK, by=dana, note="errors at 4 %")
    run_rollback(release.rollbacks.get(), by=dana, path=Path.HOTFIX)

    assert fault(release) is None
    assert fresh(release).status == Status.DEPLOYING


# What was tampered with is named


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("actor", "Eda Lovelace", "the hash of its words"),
        ("role", "Release coordinator", "the hash of its words"),
        ("action", "item.dona", "the hash of its words"),
        ("object_name", "All PRs murged", "the hash of its words"),
        ("data", {"reason": "none"}, "the hash of its words"),
        ("before", {"state": "done"}, "the hash of its words"),
        ("after", {"state": "open"}, "the hash of its words"),
        ("hash", "0" * 64, "the hash of its words"),
        ("previous_hash", "0" * 64, "the hash of the event before it"),
    ],
)
def test_one_changed_character_of_an_event_is_named_with_its_event(closed, field, value, what):
    tamper(closed, 2, **{field: value})

    found = fault(closed)

    assert (found.sequence, found.what) == (2, what)


def test_an_event_changed_together_with_its_hash_breaks_the_one_after_it(closed):
    from releases import events

    event = closed.events.get(sequence=2)
    event.actor = "Nobody"
    tamper(closed, 2, actor="Nobody", hash=events.digest(events.body(event), event.previous_hash))

    assert (fault(closed).sequence, fault(closed).what) == (3, "the hash of the event before it")


def test_a_changed_instant_of_one_microsecond_is_named(closed):
    at = closed.events.get(sequence=3).at
    tamper(closed, 3, at=at + timedelta(microseconds=1))

    assert fault(closed).sequence == 3


@pytest.mark.parametrize("field", ["before", "after", "data"])
@pytest.mark.parametrize("value", [{"status": ["x"], "items": 3, "coordinator": "Ada"}, 7])
def test_an_event_emptied_and_hashed_anew_still_stops_nobody_from_seeing_it(closed, field, value):
    from releases import events, story
    from releases.record import build

    lift_guards()
    previous = ""
    for event in closed.events.order_by("sequence"):
        setattr(event, field, value)
        event.previous_hash, event.hash = previous, events.digest(events.body(event), previous)
        event.save(update_fields=[field, "previous_hash", "hash"])
        previous = event.hash
    put_back_guards()
    Release.objects.filter(pk=closed.pk).update(event_head=previous)

    assert fault(closed) is not None
    assert all(story.tell(event, closed.zone).what for event in build(closed).events)


def test_events_cut_off_at_the_end_are_missed(closed):
    lift_guards()
    closed.events.order_by("-sequence")[0].delete()
    put_back_guards()

    found = fault(closed)

    assert found.what == "how many events there are"
    assert (found.expected, found.found) == (closed.event_sequence, closed.event_sequence - 1)


def test_an_event_taken_from_the_middle_is_missed(closed):
    lift_guards()
    closed.events.filter(sequence=4).delete()
    put_back_guards()
    Release.objects.filter(pk=closed.pk).update(event_sequence=closed.event_sequence - 1)

    assert (fault(closed).sequence, fault(closed).what) == (4, "its place in the chain")


ROWS = {
    "release status": lambda r: Release.objects.filter(pk=r.pk).update(status="deployed"),
    "release t_zero": lambda r: Release.objects.filter(pk=r.pk).update(t_zero=r.t_zero - timedelta(hours=1)),
    "release schedule_version": lambda r: Release.objects.filter(pk=r.pk).update(schedule_version=7),
    "release coordinator": lambda r: Release.objects.filter(pk=r.pk).update(coordinator=Cast().cy),
    "state": lambda r: Item.objects.filter(pk=item(r, "Order cake").pk).update(state="done"),
    "by": lambda r: Item.objects.filter(pk=item(r, "All PRs merged").pk).update(state_by=Cast().cy),
    "at": lambda r: Item.objects.filter(pk=item(r, "All PRs merged").pk).update(
        state_at=r.created_at - timedelta(days=1)
    ),
    "title": lambda r: Item.objects.filter(pk=item(r, "All PRs merged").pk).update(title="Some PRs merged"),
    "choice": lambda r: Ballot.objects.filter(seat__role__slug="qa-lead").update(choice="no_go"),
    "statement": lambda r: Ballot.objects.filter(seat__role__slug="qa-lead").update(statement="I was never asked"),
    "standing": lambda r: Ballot.objects.filter(seat__role__slug="qa-lead").update(standing=False),
    "rationale": lambda r: Decision.objects.filter(release=r).update(rationale="I was told to"),
    "call": lambda r: Decision.objects.filter(release=r).update(call="conditional_go"),
    "reason": lambda r: Override.objects.filter(release=r).update(reason="none needed"),
}


@pytest.mark.parametrize("what", ROWS)
def test_a_row_changed_behind_the_events_back_is_named(closed, what):
    ROWS[what](closed)

    found = fault(closed)

    assert found is not None
    assert found.what.endswith(what)


def test_evidence_that_no_event_added_is_named(closed):
    row = item(closed, "All PRs merged")
    row.evidence.create(label="trust me", by=Cast().cy, at=timezone.now())

    assert fault(closed).what == f"item {row.pk} evidence"


def test_a_poll_that_no_event_opened_is_named(closed):
    Poll.objects.create(release=closed, round=9, schedule_version=1, opened_at=timezone.now(), opened_by=Cast().cy)

    assert str(fault(closed)).endswith("found “a row that no event made”")


def test_an_event_that_claims_another_past_is_named():
    from releases import events

    release = ReleaseFactory()
    row = item(release, "Order cake")
    events.record(
        release, "item.done", by=release.coordinator, on=row, before={"state": "blocked"}, after={"state": "done"}
    )

    found = fault(release)

    assert (found.sequence, found.what) == (2, f"item {row.pk} state before it")
    assert (found.expected, found.found) == ("open", "blocked")


def test_an_event_of_another_release_is_not_taken_for_ones_own(closed):
    key = "PAY-777.0"
    Release.objects.filter(pk=closed.pk).update(key=key)

    assert (fault(closed).sequence, fault(closed).what) == (1, "the hash of its words")


def test_a_person_renamed_later_is_no_tampering(closed):
    ada = closed.coordinator
    ada.name = "Ada King"
    ada.save(update_fields=["name"])

    assert fault(closed) is None


def test_the_audit_asks_a_fixed_number_of_questions(closed, django_assert_num_queries):
    with django_assert_num_queries(20):
        audit(closed)
    rolled_back = bring_to(ReleaseFactory(), Status.ROLLED_BACK)
    with django_assert_num_queries(21):  # and the steps of its rollback
        audit(rolled_back)


# The command


def verify(*arguments, **options):
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


def test_the_command_says_that_all_is_well(closed):
    assert verify() == "Every chain holds, and every release is what its events say.\n"


def test_the_command_gives_the_head_of_a_named_release(closed):
    assert verify(closed.key).startswith(
        f"{closed.key}: chain of {closed.event_sequence} events verified, head {closed.event_head}"
    )


def test_the_command_fails_and_names_the_first_difference(closed):
    other = ReleaseFactory()
    Item.objects.filter(pk=item(other, "Order cake").pk).update(state="done")
    out = StringIO()

    with pytest.raises(CommandError, match="1 check does not hold"):
        call_command("verify_audit", stdout=out, no_color=True)

    assert (
        out.getvalue()
        == f"{other.key}: event 1: item {item(other, 'Order cake').pk} state: expected “open”, found “done”\n"
    )


def test_the_command_fails_for_a_release_that_is_not_there():
    with pytest.raises(CommandError, match="There is no release called PAY-404"):
        verify("PAY-404")


def test_the_command_fails_while_the_triggers_are_missing(closed):
    lift_guards()
    try:
        with pytest.raises(CommandError):
            verify()
    finally:
        put_back_guards()
    assert connection.vendor
