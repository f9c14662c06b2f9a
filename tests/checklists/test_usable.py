"""What keeps a release from being made of a checklist, and what is only worth a word."""

from dataclasses import replace
from pathlib import Path

import pytest

import checklists
from checklists.blueprints import Blueprint, Kind, RolePlan, SeatPlan, Stage
from checklists.markdown import parse
from checklists.tminus import Anchor, Offset
from checklists.usable import lacks

STANDARD = parse(Path(checklists.__file__).with_name("standard.md").read_text(encoding="utf-8")).blueprint


def changed(stage, **changes):
    """The standard checklist with its first phase of `stage` changed."""
    at = [phase.stage for phase in STANDARD.phases].index(stage)
    phases = list(STANDARD.phases)
    phases[at] = replace(phases[at], **changes)
    return replace(STANDARD, phases=tuple(phases))


def without(stage):
    return replace(STANDARD, phases=tuple(phase for phase in STANDARD.phases if phase.stage is not stage))


def without_kind(stage, kind):
    phase = next(phase for phase in STANDARD.phases if phase.stage is stage)
    return changed(stage, items=tuple(item for item in phase.items if item.kind is not kind))


def renamed(**changes):
    first, *rest = STANDARD.phases[0].items
    return changed(Stage.PREPARATION, items=(replace(first, **changes), *rest))


def test_the_standard_checklist_lacks_nothing():
    assert lacks(STANDARD) == ()


@pytest.mark.parametrize(
    ("blueprint", "sentence"),
    [
        (Blueprint("R"), "no phases"),
        (changed(Stage.PREPARATION, opens=None), '"Pre-Release Readiness" does not say when it opens.'),
        (
            changed(Stage.DECISION, opens=Offset(minutes=60)),
            '"Go/No-Go Decision" opens after "Production Deployment" starts (T-0). Move it before T-0.',
        ),
        (changed(Stage.DECISION, opens=Offset(Anchor.DEPLOYED)), "Move it before T-0."),
        (changed(Stage.DECISION, opens=Offset(days=-2)), '(T-2d) before "Staging Deployment" (T-1d)'),
        (changed(Stage.POST_DEPLOYMENT, due=Offset()), "is due (T-0) before it opens (deployed+0)"),
        (replace(STANDARD, phases=STANDARD.phases[::-1]), "stands behind"),
        (without(Stage.DECISION), "No phase holds the go/no-go decision"),
        (without_kind(Stage.DECISION, Kind.DECISION), "No item records the decision"),
        (without(Stage.PREPARATION).__class__("R", phases=STANDARD.phases[2:3]), "No production deployment phase"),
        (without(Stage.PRODUCTION), "No production deployment phase has items"),
        (changed(Stage.POST_DEPLOYMENT, items=()), "No post-deployment phase has items"),
        (replace(STANDARD, seats=()), "Nobody has a seat"),
        (replace(STANDARD, seats=(SeatPlan("QA Lead"), SeatPlan("qa lead"))), "Two seats belong to"),
        (replace(STANDARD, roles=(*STANDARD.roles, RolePlan("QA-Lead"))), "Two roles are called"),
        (replace(STANDARD, roles=(RolePlan("!?"),)), "needs a letter or a digit"),
        (replace(STANDARD, roles=(RolePlan("x" * 81),)), "longer than 80"),
        (renamed(title=" "), "has no title"),
        (renamed(title="x" * 301), "longer than 300"),
        (renamed(group="x" * 201), "longer than 200"),
        (renamed(condition="x" * 121), "longer than 120"),
        (renamed(kind=Kind.DECISION), "outside the go/no-go phase"),
        (changed(Stage.PRODUCTION, name=""), "A phase has no name"),
        (replace(STANDARD, name="x" * 201), "longer than 200"),
    ],
)
def test_a_release_cannot_be_made_of_a_checklist_that_lacks_it(blueprint, sentence):
    found = [problem.message for problem in lacks(blueprint) if problem.blocking]
    assert any(sentence in message for message in found), found


def test_a_decision_that_rests_on_nothing_is_refused():
    decision = next(item for item in STANDARD.items if item.kind is Kind.DECISION)
    blueprint = without(Stage.PREPARATION)
    phases = (replace(blueprint.phases[0], items=(decision,)), *blueprint.phases[1:])
    assert any("Nothing is checked" in problem.message for problem in lacks(replace(blueprint, phases=phases)))


@pytest.mark.parametrize(
    ("blueprint", "sentence"),
    [
        (replace(STANDARD, name=" "), "no name"),
        (without_kind(Stage.POST_DEPLOYMENT, Kind.CLOSE), "closes it by hand"),
        (without(Stage.CONTINGENCY), "no rollback steps"),
        (replace(STANDARD, seats=(SeatPlan("QA Lead", required=False),)), "Every seat in the poll is optional"),
        (renamed(kind=Kind.SIGN_OFF, role=""), "nobody can give it"),
        (renamed(kind=Kind.WATCH), "how many minutes"),
        (changed(Stage.CONTINGENCY, items=()), "has no items"),
    ],
)
def test_what_a_release_can_live_without_is_only_noted(blueprint, sentence):
    found = lacks(blueprint)
    assert any(sentence in problem.message for problem in found), found
    assert not any(problem.blocking for problem in found)


def test_a_lack_of_a_phase_names_the_line_of_its_heading():
    reading = parse("# R\n\n## Staging\n\n- [ ] a\n")
    assert any(problem.line == 3 and "does not say when it opens" in problem.message for problem in reading.problems)
    assert not reading.usable
