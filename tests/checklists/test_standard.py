"""The standard checklist reads as what it means, line by line, and its text is kept in one shape."""

from dataclasses import replace
from pathlib import Path

import pytest

import checklists
from checklists.blueprints import Kind, SeatPlan, Stage
from checklists.markdown import dump, parse

STANDARD = Path(checklists.__file__).with_name("standard.md")
# The document the standard checklist was made from, where it lies next to the project.
SOURCE = STANDARD.parents[2] / "shared" / "checklists" / "release-coordination-checklist.md"
DOCUMENTS = [document for document in (STANDARD, SOURCE) if document.exists()]

PHASES = [
    # name, stage, opens, due
    ("Pre-Release Readiness", Stage.PREPARATION, "T-3d", None),
    ("Staging Deployment", Stage.PREPARATION, "T-1d", None),
    ("Go/No-Go Decision", Stage.DECISION, "T-4h", None),
    ("Production Deployment", Stage.PRODUCTION, "T-0", None),
    ("Post-Deployment", Stage.POST_DEPLOYMENT, "deployed+0", "deployed+2h"),
    ("Rollback Procedure", Stage.CONTINGENCY, None, None),
]
COORDINATOR, PM, QA, RISK, ON_CALL = (
    "Release Coordinator", "Project Manager", "QA Lead", "Risk Champion", "On-call Engineer",
)  # fmt: skip
WINDOW = "bound to the window"
ITEMS = [
    # title, kind, role, condition, bound to the window
    [
        ("All PRs merged", Kind.CHECK, "", "", ""),
        ("CI/CD passing", Kind.CHECK, "", "", ""),
        ("Acceptance criteria validated", Kind.CHECK, QA, "", ""),
        ("Release notes drafted", Kind.CHECK, "", "", ""),
        ("Deployment plan reviewed", Kind.CHECK, "", "", ""),
        ("Smoke tests prepared", Kind.CHECK, "", "", ""),
        ("Backup/snapshot taken", Kind.CHECK, "", "if applicable", WINDOW),
        ("Stakeholder notification sent", Kind.CHECK, PM, "", WINDOW),
    ],
    [
        ("Deploy to staging", Kind.CHECK, "", "", ""),
        ("Run smoke tests", Kind.CHECK, QA, "", ""),
        ("QA sign-off obtained", Kind.SIGN_OFF, QA, "", ""),
        ("Performance verified", Kind.CHECK, "", "", ""),
        ("Security scan reviewed", Kind.CHECK, "", "", ""),
        ("Rollback plan tested", Kind.CHECK, "", "if needed", ""),
    ],
    [
        ("Review deployment readiness", Kind.COMPUTED, "", "", ""),
        ("Assess risks", Kind.CHECK, RISK, "", ""),
        ("Confirm on-call coverage", Kind.ACKNOWLEDGE, ON_CALL, "", WINDOW),
        ("Communication plan ready", Kind.CHECK, PM, "", WINDOW),
        ("Decision made", Kind.DECISION, COORDINATOR, "", ""),
    ],
    [
        ("Deployment window started", Kind.CHECK, "", "", ""),
        ("Deployment executed", Kind.CHECK, "", "", ""),
        ("Initial health checks pass", Kind.CHECK, "", "", ""),
        ("Run smoke tests", Kind.CHECK, QA, "", ""),
        ("Monitor metrics", Kind.WATCH, "", "", ""),
        ("Verify key features", Kind.CHECK, "", "", ""),
    ],
    [
        ("Release announced", Kind.CHECK, PM, "", ""),
        ("Documentation updated", Kind.CHECK, "", "as needed", ""),
        ("Monitor for issues", Kind.CHECK, "", "", ""),
        ("Close release ticket", Kind.CLOSE, "", "", ""),
    ],
    [
        ("Trigger incident response", Kind.STEP, "", "", ""),
        ("Assess severity", Kind.STEP, "", "", ""),
        ("Execute rollback", Kind.STEP, "", "", ""),
        ("Verify rollback success", Kind.STEP, "", "", ""),
        ("Communicate status", Kind.STEP, PM, "", ""),
        ("Schedule post-incident review", Kind.STEP, "", "", ""),
    ],
]
ROLES = [(COORDINATOR, True), (QA, True), (PM, True), ("Developers", False), (RISK, False), (ON_CALL, True)]
SEATS = (SeatPlan(COORDINATOR), SeatPlan(PM), SeatPlan(QA), SeatPlan(RISK, required=False))


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.stem)
def reading(request):
    return parse(request.param.read_text(encoding="utf-8"))


def test_the_standard_checklist_can_be_used_as_it_is_and_leaves_no_line_unread(reading):
    assert reading.problems == ()
    assert reading.usable
    assert reading.blueprint.name == "Release Coordination Checklist"
    assert reading.blueprint.description


def test_its_phases_open_and_fall_due_as_their_headings_say(reading):
    phases = reading.blueprint.phases
    found = [(phase.name, phase.stage, str(phase.opens or ""), str(phase.due or "")) for phase in phases]
    assert found == [(name, stage, opens or "", due or "") for name, stage, opens, due in PHASES]


def test_each_line_means_what_it_says(reading):
    found = [
        [(i.title, i.kind, i.role, i.condition, WINDOW if i.bound_to_window else "") for i in phase.items]
        for phase in reading.blueprint.phases
    ]
    assert found == ITEMS
    assert all(item.required and item.guidance and not item.group for item in reading.blueprint.items)


def test_metrics_are_watched_for_15_to_30_minutes_and_nothing_else_is_a_watch(reading):
    watches = {item.title: (item.watch_min, item.watch_max) for item in reading.blueprint.items if item.watch_max}
    assert watches == {"Monitor metrics": (15, 30)}


def test_six_roles_carry_their_responsibility_and_four_of_them_need_a_holder(reading):
    assert [(role.name, role.required) for role in reading.blueprint.roles] == ROLES
    assert all(role.responsibility for role in reading.blueprint.roles)


def test_attendees_have_a_seat_and_the_risk_champions_is_optional(reading):
    assert reading.blueprint.seats == SEATS


def test_what_to_do_after_a_no_go_and_before_a_rollback_stays_in_the_note(reading):
    notes = {phase.name: phase.note for phase in reading.blueprint.phases if phase.note}
    assert list(notes) == ["Go/No-Go Decision", "Rollback Procedure"]
    assert notes["Go/No-Go Decision"].startswith("If NO-GO: ")


def test_writing_it_down_again_gives_the_same_file(reading, request):
    path = request.node.callspec.params["reading"]
    assert dump(reading.blueprint) == path.read_text(encoding="utf-8")


def test_all_documents_are_equal_in_all_but_their_wording():
    """Holds the shipped checklist to its source, where that is at hand; the tables above hold each by itself."""

    def bones(path):
        blueprint = parse(path.read_text(encoding="utf-8")).blueprint
        phases = tuple(
            replace(phase, note="", items=tuple(replace(item, guidance="") for item in phase.items))
            for phase in blueprint.phases
        )
        roles = tuple(replace(role, responsibility="") for role in blueprint.roles)
        return replace(blueprint, description="", closing="", phases=phases, roles=roles)

    assert all(bones(document) == bones(STANDARD) for document in DOCUMENTS)


def test_the_shipped_guidance_is_our_own():
    """No guidance is that of the source, and each says enough to act on without becoming an essay."""
    guidance = [item.guidance for item in parse(STANDARD.read_text(encoding="utf-8")).blueprint.items]
    assert all(60 <= len(text) <= 320 for text in guidance)
    for document in DOCUMENTS[1:]:
        theirs = {item.guidance for item in parse(document.read_text(encoding="utf-8")).blueprint.items}
        assert not theirs & set(guidance)
