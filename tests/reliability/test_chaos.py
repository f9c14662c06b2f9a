"""The quick form of the chaos: real programs and services killed with `kill -9` while mails flow."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from releases import ledger, people
from releases.models import Reminder
from tests.reliability import chaos, journeys, kills
from tests.reliability.journeys import KINDS, SCRIPTS, Journey, Mailbox, Tally, Troupe
from tests.smtp import sink

ROOT = Path(__file__).resolve().parents[2]
KILLS = 6  # one of each
PATIENCE = 240  # seconds, on a busy machine


@pytest.mark.postgres
def test_programs_and_services_killed_while_mails_flow_lose_nothing() -> None:
    """In a process of its own, with services of its own: nobody else may meet a PostgreSQL that is killed."""
    command = [
        sys.executable,
        "-m",
        "tests.reliability.chaos",
        "--histories=0",
        f"--kills={KILLS}",
        "--load=0",
        "--quick",
    ]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert all(f"| `kill -9` of {name}" in run.stdout for name in kills.AGES), run.stdout
    assert "of PostgreSQL | 0 |" not in run.stdout
    assert "| mails owed by what was done | 0 |" not in run.stdout


@pytest.mark.django_db
def test_every_journey_comes_to_its_end_and_mails_of_every_kind_flow(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undisturbed, in one process: what each verb owes comes, once, and is known again by what its reader sees."""
    monkeypatch.setattr(people, "COALESCE", timedelta(0))
    with sink(settings) as smtp:
        mailbox, dice, tally = Mailbox(smtp), random.Random(1), Tally()
        travels = [Journey(Troupe(dice), tally, script) for script in SCRIPTS]
        for _ in range(20):
            for journey in travels:
                while journey.is_ready(mailbox):
                    journey.advance()
            ledger.tick()
            mailbox.look()
    assert [journey.key for journey in travels if journey.step] == []
    assert tally.expected - mailbox.ids.keys() == set()
    assert mailbox.kinds.keys() == KINDS.keys(), "and every kind there is"
    assert len(KINDS) == len(Reminder.Kind)
    assert {len(mailbox.ids[owed]) for owed in tally.expected} == {1}
    assert tally.forgotten == []
    assert set(tally.verbs) == {"acknowledged"}


class Open:
    """The test's own connection, whose transaction has to outlive the failure."""

    def close_all(self) -> None:
        pass


@pytest.mark.django_db
def test_a_verb_whose_answer_was_lost_is_judged_by_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journeys, "connections", Open())
    tally = Tally()
    journey = Journey(Troupe(random.Random(1)), tally, "held")
    journey.advance()
    step = journey.step
    assert step is not None

    def lost_before() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    def lost_after() -> None:
        step.act()
        raise OperationalError("server closed the connection unexpectedly")

    for act, done in ((lost_before, False), (lost_after, True)):
        journey.step = replace(step, act=act)
        journey.advance()
        assert not step.owes & tally.expected
        journey.find_out()
        assert (step.owes <= tally.expected) is done


def result(**more: object) -> kills.Result:
    found = kills.Result(**more)  # type: ignore[arg-type]
    found.kills.update({kills.SENDER: 80, kills.WORKER: 30})
    return found


def test_what_is_wrong_in_a_run_is_said() -> None:
    assert result().wrong == []
    assert result(extra=11).wrong == []
    assert "12 extra copies" in result(extra=12).wrong[0]
    assert result(lost=["held R1 to Ben"]).wrong == ["lost: held R1 to Ben"]
    assert result(forgotten=["R1"]).wrong == ["forgotten: R1"]
    assert result(strangers=["held R1 to Ben"]).wrong == ["another Message-ID: held R1 to Ben"]


def test_a_run_writes_the_report_as_it_stands_but_for_what_it_measured() -> None:
    text = chaos.REPORT.read_text(encoding="utf-8")
    parts = {name: found for name in chaos.PARTS if (found := chaos.part_of(text, name))}
    assert parts.keys() >= {"kills", "simulation"}
    assert chaos.document(parts) == text, "it is written by the command alone"


def test_each_kind_is_killed_often_enough() -> None:
    few = kills.Result()
    few.kills.update(dict.fromkeys(kills.AGES, 100))
    assert not kills.spared(few, 1_000)
    few.kills[random.Random(1).choice(list(kills.AGES))] = 99
    assert kills.spared(few, 1_000)
