"""One event, one sentence: who, what, when."""

from __future__ import annotations

import ast
from datetime import timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

import releases
from releases import events, gonogo, people, story, ticking, workflow
from releases.models import Choice, Status
from tests.factories import Cast, ReleaseFactory, bring_to, item, role, run_rollback, seat, settle_gate, window

BERLIN = ZoneInfo("Europe/Berlin")
SOURCE = Path(releases.__file__).parent


def told(release, action):
    return story.tell(release.events.filter(action=action).order_by("-sequence")[0], release.zone)


# The table is complete


def action_words(path):
    """The action words a module records: constants, or the values of a table of constants it looks them up in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tables = {
        target.id: [value.value for value in node.value.values]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name) and all(isinstance(value, ast.Constant) for value in node.value.values)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.record":
            yield from _words(node.args[1], tables, f"{path.name}:{node.lineno}")


def _words(node, tables, place):
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*_words(node.body, tables, place), *_words(node.orelse, tables, place)]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in tables:
        return tables[ast.unparse(node.value)]
    raise AssertionError(f"{place}: write the action word of an event out, so that the story can be held complete")


@cache
def recorded():
    return {word for path in SOURCE.rglob("*.py") for word in action_words(path)}


def test_every_action_word_that_is_recorded_has_its_sentence():
    assert sorted(recorded() - set(story.TABLE)) == []


def test_every_sentence_is_for_an_action_word_that_is_recorded():
    assert sorted(set(story.TABLE) - recorded()) == []


def test_every_sentence_is_of_a_kind_that_can_be_filtered():
    assert {telling.kind for telling in story.TABLE.values()} <= set(story.KINDS)


@pytest.mark.django_db
def test_an_unknown_action_word_is_told_plainly():
    release = ReleaseFactory(key="PAY-4.2")
    event = events.record(release, "release.sent_to_moon", by=release.coordinator)

    assert story.tell(event, release.zone).what == "release sent to moon: PAY-4.2 Payments"


# Sentences


@pytest.mark.django_db
def test_nothing_is_left_unsaid_in_a_release_that_took_many_turns():
    for status in Status:
        release = bring_to(ReleaseFactory(), status)
        for day in story.by_day(release.events.all(), release.zone):
            for one in day.told:
                assert one.what.strip()
                assert not set("{}[]") & set(one.what), one.what
                assert "None" not in one.what, one.what
                assert "  " not in one.what, one.what


@pytest.mark.django_db
class TestSentences:
    def test_birth(self):
        release = ReleaseFactory(key="PAY-4.2", window=window(timedelta(days=3)))
        at = release.t_zero.astimezone(BERLIN)

        one = told(release, "release.created")

        shown = f"{at:%a} {at.day} {at:%b %Y %H:%M %Z}"
        assert (
            one.sentence
            == f"Ada Lovelace planned PAY-4.2 Payments from Small checklist, version 1, with T-0 on {shown}"
        )

    def test_a_tick_for_another_names_both_and_the_reason(self):
        cast, release = Cast(), ReleaseFactory()
        row = item(release, "Assess risks")
        ticking.set_done(row, True, by=cast.ada, on_behalf="told me on the phone")

        one = told(release, "item.done")

        assert one.sentence == "Ada Lovelace ticked “Assess risks” for Fay Lindqvist"
        assert one.why == "told me on the phone"
        assert one.target == f"item-{row.pk}"

    def test_an_item_opened_again_says_what_it_was(self):
        cast, release = Cast(), ReleaseFactory()
        ticking.mark_not_applicable(item(release, "Backup taken"), "nothing is stored", by=cast.ada)
        ticking.reopen(item(release, "Backup taken"), by=cast.ada)

        assert told(release, "item.reopened").what == "opened “Backup taken” again, which was not applicable"

    def test_a_reschedule_says_from_when_to_when(self):
        cast, release = Cast(), ReleaseFactory()
        workflow.reschedule(release, window(timedelta(days=9)), by=cast.ada, reason="the bank is closed")

        one = told(release, "release.rescheduled")

        assert one.what.startswith("moved T-0 from ")
        assert one.why == "the bank is closed"

    def test_the_same_t_zero_again_is_no_move(self):
        release = bring_to(ReleaseFactory(), Status.NO_GO)
        same = workflow.Window(release.t_zero, release.window_end, release.time_zone)
        workflow.reschedule(release, same, by=release.coordinator, reason="fixed already")

        assert told(release, "release.rescheduled").what.startswith("planned for the same T-0 again, ")

    def test_ballots_in_person_spoken_and_by_deputy(self):
        cast, release = Cast(), ReleaseFactory()
        today = timezone.localdate(timezone=release.zone)
        people.delegate(cast.dana, cast.cy, today, today, by=cast.dana)
        settle_gate(release)
        gonogo.open_poll(release, by=cast.ada)

        def cast_by(who, name, **more):
            gonogo.cast_ballot(release, seat(release, name), Choice.GO, by=who, **more)
            return told(release, "ballot.cast").sentence

        assert cast_by(cast.ben, "QA Lead") == "Ben Osei answered GO as QA Lead"
        assert cast_by(cast.cy, "Project Manager") == "Cy Young answered GO as Project Manager, for Dana Ruiz"
        spoken = cast_by(cast.ada, "Risk Champion", spoken_by_holder=cast.fay)
        assert spoken == "Ada Lovelace recorded Fay Lindqvist’s spoken GO as Risk Champion"

    def test_a_decision_carries_its_rationale_and_its_colour(self):
        release = bring_to(ReleaseFactory(), Status.NO_GO)

        one = told(release, "decision.recorded")

        assert (one.what, one.why, one.tone) == ("decided NO-GO, round 1", "two queries fail", "no_go")

    def test_an_override_names_what_it_went_against(self):
        release = bring_to(ReleaseFactory(), Status.DEPLOYING)

        one = told(release, "override.recorded")

        assert one.what == "overrode what stood against it: T-0 has not come"
        assert one.why == "the window was agreed by phone"

    def test_roles_and_their_ends(self):
        cast, release = Cast(), ReleaseFactory()
        people.assign(release, role("Developers"), cast.cy, by=cast.ada)
        people.unassign(release, role("Developers"), cast.cy, by=cast.ada)
        people.transfer(release, cast.dana, by=cast.ada)

        assert told(release, "role.assigned").what == "made Cy Young Developers"
        assert told(release, "role.unassigned").what == "ended Cy Young’s time as Developers"
        assert told(release, "coordinator.transferred").what == "handed the release from Ada Lovelace to Dana Ruiz"

    def test_a_rollback(self):
        release = bring_to(ReleaseFactory(), Status.ROLLING_BACK)
        run_rollback(release.rollbacks.get(), by=release.coordinator)

        assert told(release, "rollback.triggered").sentence == "Ada Lovelace started rollback 1"
        assert told(release, "rollback.triggered").why == "error rate 4 %"
        assert told(release, "rollback.assessed").what == "judged it major and chose to roll back"

    def test_days_are_those_of_the_releases_zone(self):
        release = ReleaseFactory()
        days = list(story.by_day(release.events.all(), ZoneInfo("Pacific/Kiritimati")))

        assert [day.day for day in days] == [release.created_at.astimezone(ZoneInfo("Pacific/Kiritimati")).date()]

    def test_what_people_wrote_is_never_taken_for_a_phrase(self):
        cast, release = Cast(), ReleaseFactory()
        ticking.block(item(release, "Order cake"), "{name} [{for}] {0.__class__}", by=cast.ada)

        assert told(release, "item.blocked").why == "{name} [{for}] {0.__class__}"
