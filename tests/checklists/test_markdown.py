"""How a checklist is read: the shapes people keep them in, what is inferred, and what explicit marks say."""

from pathlib import Path

import pytest

import checklists
from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage
from checklists.markdown import Progress, dump, parse
from checklists.tminus import Offset

DATA = Path(__file__).with_name("data")
STANDARD = Path(checklists.__file__).with_name("standard.md")
# Checklists of other teams, tried where they lie next to the project.
OTHERS = sorted((STANDARD.parents[2] / "shared" / "checklists" / "others").glob("*.md"))


def read(text):
    return parse(text).blueprint


def only_item(text):
    (item,) = read(text).items
    return item


def messages(text):
    return [
        (problem.line, problem.message) for problem in parse(text).problems if problem.line and not problem.blocking
    ]


def shape(blueprint):
    return [(phase.name, [(item.group, item.title) for item in phase.items]) for phase in blueprint.phases]


# Shapes


def test_headings_are_phases_and_headings_inside_them_groups():
    blueprint = read((DATA / "grouped.md").read_text(encoding="utf-8"))

    assert blueprint.name == "Harbour release checklist"
    assert shape(blueprint) == [
        (
            "Before the release",
            [
                ("Scope", "Scope agreed with the harbour master"),
                ("Scope", "Freeze announced (if applicable)"),
                ("Quality", "QA sign-off given (see test plan)"),
                ("Quality", "Load test repeated (optional)"),
            ],
        ),
        ("Go or no-go", [("", "Go/no-go readiness reviewed"), ("", "Decision taken")]),
        (
            "Production day",
            [
                ("Deploy", "Lock gates lowered"),
                ("Deploy", "New version deployed"),
                ("Watch", "Monitor the locks for at least 20 minutes"),
            ],
        ),
        ("After the deployment", [("", "Close the release issue"), ("", "Harbour diary updated (when needed)")]),
        ("Rolling back", [("Decide", "Cause named"), ("Act", "Old version deployed")]),
    ]


def test_a_grouped_checklist_means_what_its_words_say():
    blueprint = read((DATA / "grouped.md").read_text(encoding="utf-8"))
    items = {item.title: item for item in blueprint.items}

    assert [str(phase.opens or "") for phase in blueprint.phases] == ["T-14d", "T-1d", "T-0", "deployed+0", ""]
    assert items["Freeze announced (if applicable)"].condition == "if applicable"
    assert (items["QA sign-off given (see test plan)"].kind, items["QA sign-off given (see test plan)"].role) == (
        Kind.SIGN_OFF,
        "QA Lead",
    )
    assert items["QA sign-off given (see test plan)"].guidance == "[test plan](./plan.md)"
    assert not items["Load test repeated (optional)"].required
    assert items["Go/no-go readiness reviewed"].kind is Kind.COMPUTED
    assert (items["Decision taken"].kind, items["Decision taken"].role) == (Kind.DECISION, "Release Manager")
    assert items["Monitor the locks for at least 20 minutes"].watch_min == 20
    assert items["Close the release issue"].kind is Kind.CLOSE
    assert items["Old version deployed"].kind is Kind.STEP
    assert blueprint.seats == (
        SeatPlan("Release Manager"),
        SeatPlan("QA Lead"),
        SeatPlan("Tide Watcher", required=False),
    )
    assert "**Version:**" in blueprint.description
    assert blueprint.closing == "## Further reading\n- [Tide tables](./tides.md)"
    assert parse((DATA / "grouped.md").read_text(encoding="utf-8")).usable


def test_an_issue_template_gives_its_front_matter_steps_and_remarks():
    reading = parse((DATA / "issue_template.md").read_text(encoding="utf-8"))

    assert reading.blueprint.name == "Cut a harbour release"
    assert reading.blueprint.description.startswith("One issue for each cut\n\n## Planned for")
    assert shape(reading.blueprint) == [
        (
            "Steps",
            [
                ("", "Give the green light on the day itself"),
                ("", "Open a thread"),
                ("Real run", "Stage"),
                ("Real run", "Promote the image"),
                ("", "Update the `tides.yaml` file (fixes only)"),
            ],
        )
    ]
    wanting = [item.title for item in reading.blueprint.items if item.evidence_wanted]
    assert wanting == ["Open a thread", "Promote the image"]
    assert reading.blueprint.items[-1].condition == "fixes only"
    assert "- [ ] not an item" in reading.blueprint.closing
    remark = next(problem for problem in reading.problems if "Dress rehearsal" in problem.message)
    assert list(remark.lines) == [14, 15, 16, 17]
    assert any('"labels: release, harbour"' in problem.message for problem in reading.problems)


@pytest.mark.parametrize("path", [*sorted(DATA.glob("*.md")), *OTHERS], ids=lambda path: path.stem)
def test_checklists_of_other_teams_are_read_whole(path):
    text = path.read_text(encoding="utf-8")
    reading = parse(text)
    reported = {number for problem in reading.problems for number in problem.lines}
    lines = {number for number, line in enumerate(text.split("\n"), 1) if line.strip(" -")}

    assert len(reading.blueprint.items) >= (11 if path in OTHERS else 5)
    assert lines <= reading.lines_used | reported | {1}
    assert parse(dump(reading.blueprint)).blueprint == reading.blueprint


def test_a_heading_that_only_holds_phases_is_no_phase():
    blueprint = read(
        "# R\n## Checklist\n### Before (T-3d)\n- [ ] a\n### Go/No-Go (T-4h)\n- [ ] b\n### Production\n- [ ] c\n"
    )

    assert [phase.name for phase in blueprint.phases] == ["Before", "Go/No-Go", "Production"]


def test_phases_may_be_headings_of_the_first_level():
    assert [phase.name for phase in read("# A (T-1d)\n- [ ] x\n# B\n- [ ] y\n").phases] == ["A", "B"]


def test_items_without_a_heading_go_to_a_phase_of_their_own_and_the_report_says_so():
    reading = parse("# Hotfix\n\n- [ ] a\n- [ ] b\n")

    assert (reading.blueprint.name, shape(reading.blueprint)) == ("Hotfix", [("Preparation", [("", "a"), ("", "b")])])
    assert any("no heading of their own" in problem.message and problem.line == 3 for problem in reading.problems)


def test_underlined_headings_are_headings():
    blueprint = read("Harbour\n=======\n\nStaging (T-1d)\n--------------\n\n- [ ] a\n")

    assert (blueprint.name, blueprint.phases[0].name) == ("Harbour", "Staging")


@pytest.mark.parametrize(
    "text", ["- [ ] a", "* [ ] a", "+ [ ] a", "- [x] a", "- [X] a", "1. [ ] a", "\t- [ ] a", "- [] a"]
)
def test_boxes_of_every_kind_are_items(text):
    assert only_item(f"## P\n{text}\n").title == "a"


@pytest.mark.parametrize(
    "text",
    [
        "**T** - g",
        "**T** \u2013 g",
        "**T** \u2014 g",
        "**T**: g",
        "**T:** g",
        "T - g",
        "T \u2014 g",
        "**T**\n  g",
        "T\n\n  g",
    ],
)
def test_title_and_guidance_are_told_apart(text):
    item = only_item(f"## P\n- [ ] {text}\n")
    assert (item.title, item.guidance) == ("T", "g")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("**bold** in front", "bold in front"),
        ("tidy `a_b` and **this**", "tidy `a_b` and this"),
        (r"five \* six \[x\]", "five * six [x]"),
        ("snake_case_name", "snake_case_name"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("pre-release", "pre-release"),
        ("mail sent:", "mail sent"),
    ],
)
def test_a_title_is_plain_text(text, title):
    assert only_item(f"## P\n- [ ] {text}\n").title == title


def test_nested_steps_stay_a_list_in_the_guidance():
    text = "## P\n- [ ] **Deploy** - in order\n    - [ ] first\n    - second\n\n      more\n- [ ] next\n"

    first, following = read(text).items
    assert first.guidance == "in order\n- [ ] first\n- second\n\n  more"
    assert following.title == "next"


def test_numbered_steps_are_items_in_a_rollback_and_where_nothing_has_a_box():
    assert [item.kind for item in read("## Rollback\n1. a\n2. b\n").items] == [Kind.STEP, Kind.STEP]
    assert [item.title for item in read("## Staging (T-1d)\n1. a\n2. b\n").items] == ["a", "b"]
    noted = read("## Staging\n- [ ] a\n\nWhy:\n\n1. because\n")
    assert (len(noted.items), noted.phases[0].note) == (1, "Why:\n\n1. because")


def test_a_code_fence_holds_no_items():
    blueprint = read("## P\n- [ ] a\n  ```\n  - [ ] b\n  ```\n\n~~~\n- [ ] c\n# d\n~~~\n")

    assert [item.title for item in blueprint.items] == ["a"]
    assert blueprint.items[0].guidance == "```\n- [ ] b\n```"
    assert blueprint.phases[0].note == "~~~\n- [ ] c\n# d\n~~~"


@pytest.mark.parametrize(
    "change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r")]
)
def test_line_ends_and_a_byte_order_mark_change_nothing(change):
    text = STANDARD.read_text(encoding="utf-8")
    assert parse(change(text)) == parse(text)


# Headings and offsets


@pytest.mark.parametrize(
    ("heading", "name", "opens", "due"),
    [
        ("Staging (T-minus 1 day)", "Staging", "T-1d", None),
        ("Staging (T-1d)", "Staging", "T-1d", None),
        ("T-3d: Freeze", "Freeze", "T-3d", None),
        ("T-3d Freeze", "Freeze", "T-3d", None),
        ("Freeze - T-2 weeks", "Freeze", "T-14d", None),
        ("Freeze (T-3d to T-1d)", "Freeze", "T-3d", "T-1d"),
        ("Production (T+1 hour)", "Production", "T+1h", None),
        ("Wrap-up (Within 2 hours)", "Wrap-up", "deployed+0", "deployed+2h"),
        ("Release day", "Release day", "T-0", None),
        ("Production", "Production", "T-0", None),
        ("Post-deployment", "Post-deployment", "deployed+0", None),
        ("Checks (all of them)", "Checks (all of them)", None, None),
        ("*Checks* & `more` ##", "Checks & `more`", None, None),
    ],
)
def test_a_heading_says_when_its_phase_opens(heading, name, opens, due):
    (phase,) = read(f"# R\n\n## {heading}\n\n- [ ] a\n").phases
    found = (phase.name, phase.opens and str(phase.opens), phase.due and str(phase.due))
    assert found == (name, opens, due)


@pytest.mark.parametrize(
    ("heading", "stage"),
    [
        ("Pre-Release Readiness", Stage.PREPARATION),
        ("Pre-production checks", Stage.PREPARATION),
        ("Deployment preparation", Stage.PREPARATION),
        ("Go / no-go", Stage.DECISION),
        ("Rollout", Stage.PRODUCTION),
        ("Go-live", Stage.PRODUCTION),
        ("After the release", Stage.POST_DEPLOYMENT),
        ("Contingency", Stage.CONTINGENCY),
        ("Tidying (deployed+1d)", Stage.POST_DEPLOYMENT),
        ("Anything (T-0)", Stage.PRODUCTION),
        ("Anything (T-2h)", Stage.PREPARATION),
    ],
)
def test_a_heading_says_which_stage_its_phase_belongs_to(heading, stage):
    assert read(f"# R\n\n## {heading}\n\n- [ ] a\n").phases[0].stage is stage


# People


@pytest.mark.parametrize(
    "text",
    [
        "Attendees: Lead, QA Lead (optional)",
        "**Meeting attendees**: Lead, QA Lead (optional)",
        "**Voters:** Lead and QA Lead (optional)",
        "Participants:\n\n- Lead\n- QA Lead (optional)",
        "| Role | Seat |\n|---|---|\n| Lead | required |\n| QA Lead | optional |",
        "Attendees: Lead\nOptional attendees: QA Lead",
    ],
)
def test_attendees_of_the_decision_get_seats(text):
    blueprint = read(f"## Go/No-Go (T-4h)\n\n{text}\n\n- [ ] Decision made\n")
    assert blueprint.seats == (SeatPlan("Lead"), SeatPlan("QA Lead", required=False))
    assert blueprint.phases[0].note == ""


def test_lines_to_sign_are_seats_and_the_blanks_are_reported():
    reading = parse("## P\n- [ ] a\n\n## Sign-off\n\n**QA Lead:** ____ Date: ____\n**Board (big ones):** ____\n")
    assert reading.blueprint.seats == (SeatPlan("QA Lead"), SeatPlan("Board", required=False))
    assert {problem.line for problem in reading.problems if "blanks" in problem.message} == {6, 7}


@pytest.mark.parametrize(
    "text",
    [
        "- **QA Lead**: tests\n- **Pilot** - steers",
        "* QA Lead: tests\n* Pilot: steers",
        "| Role | Responsibility |\n|:--|--:|\n| QA Lead | tests |\n| Pilot | steers |",
        "**QA Lead**: tests\n**Pilot**: steers",
        "### QA Lead\n\ntests\n\n### Pilot\n\nsteers",
    ],
)
def test_roles_are_read_from_lists_tables_lines_and_headings(text):
    blueprint = read(f"## P\n- [ ] a\n\n## Roles & Responsibilities\n\n{text}\n")
    assert [(role.name, role.responsibility) for role in blueprint.roles] == [("QA Lead", "tests"), ("Pilot", "steers")]


def test_whoever_must_decide_vote_or_sign_is_a_required_role():
    blueprint = read(
        "## Staging (T-1d)\n- [ ] Build sign-off by the Pilot\n## Go/No-Go (T-4h)\n\n"
        "Attendees: Cook, Guest (optional)\n\n"
        "- [ ] Decision made\n## Roles\n- Release Manager\n- Pilot\n- Cook\n- Guest\n- Sailor\n"
    )
    assert [role.name for role in blueprint.roles if role.required] == ["Release Manager", "Pilot", "Cook"]


def test_roles_that_only_a_seat_or_a_mark_names_join_the_list():
    blueprint = read("## Go/No-Go (T-4h)\n\nAttendees: Cook\n\n- [ ] a <!-- role: Pilot -->\n\n## Roles\n- Sailor\n")
    assert [(role.name, role.required) for role in blueprint.roles] == [
        ("Sailor", False),
        ("Cook", True),
        ("Pilot", False),
    ]


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("Results checked - QA Lead confirms them", "QA Lead"),
        ("Results checked by the QA Lead", "QA Lead"),
        ("Security Champion review completed", "Security Champion"),
        ("Tell the QA Lead and the Project Manager", ""),
        ("QA Lead is informed", ""),
        ("Results checked", ""),
    ],
)
def test_a_role_is_inferred_only_where_the_text_lets_it_act(text, role):
    assert only_item(f"## P\n- [ ] {text}\n").role == role


def test_a_duty_goes_to_the_role_whose_responsibility_names_it():
    roles = "## Roles\n- Herald: owns stakeholder communication\n- Tester: runs smoke tests\n"
    titles = ("Inform stakeholders", "Run smoke tests", "Run the backup")
    blueprint = read(f"## P\n{''.join(f'- [ ] {title}' + chr(10) for title in titles)}{roles}")
    assert [item.role for item in blueprint.items] == ["Herald", "Tester", ""]


# Marks


def test_explicit_marks_beat_inference():
    item = only_item(
        "## P (T-1d)\n"
        "- [ ] **QA sign-off** - QA Lead approves (if needed) <!-- role: Cook; kind: check; required: no -->\n"
        "  <!-- condition: none; window: yes; evidence: yes; group: Galley -->\n"
    )
    assert item == ItemPlan(
        title="QA sign-off",
        guidance="QA Lead approves (if needed)",
        role="Cook",
        required=False,
        bound_to_window=True,
        evidence_wanted=True,
        group="Galley",
    )


def test_marks_below_a_heading_speak_of_the_phase():
    (phase,) = read("# R\n\n## Lunch\n<!-- stage: production; opens: T+1h; due: T+2h -->\n\n- [ ] a\n").phases
    assert (phase.stage, str(phase.opens), str(phase.due)) == (Stage.PRODUCTION, "T+1h", "T+2h")


def test_a_mark_makes_any_item_a_watch():
    item = only_item("## Production\n- [ ] a <!-- kind: watch; watch: 10-20 -->\n")
    assert (item.kind, item.watch_min, item.watch_max) == (Kind.WATCH, 10, 20)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- [ ] a <!-- kind: odd -->", "A kind is one of check, sign_off"),
        ("- [ ] a <!-- watch: long -->", "A watch is given in minutes"),
        ("- [ ] a <!-- required: perhaps -->", "yes or no"),
        ("- [ ] a <!-- role: X; colour: red -->", '"colour: red"'),
        ("- [ ] a <!-- opens: T-1d -->", "says nothing about an item"),
        ("- [ ] a <!-- look here -->", 'left out: "look here"'),
        ("- [ ] a\n  <!-- role: X --> <!-- role: Y -->", "says it again"),
        ("- [ ] a\n- [ ]", "without words"),
        ("- [ ] a\n\n```\nb", "never closed"),
    ],
)
def test_what_is_not_understood_is_reported_with_its_line(text, sentence):
    found = messages(f"## P (T-1d)\n{text}\n")
    assert any(sentence in message and line >= 2 for line, message in found), found


# Writing


def test_a_dump_reads_like_a_checklist_and_marks_only_what_does_not_go_without_saying():
    blueprint = Blueprint(
        name="Harbour",
        phases=(
            PhasePlan(
                name="Staging",
                opens=Offset(days=-1),
                note="Mind the tide.",
                items=(
                    ItemPlan("Deploy", "carefully\n- first\n- second"),
                    ItemPlan("Odd *one*", role="Pilot", kind=Kind.SIGN_OFF, group="More"),
                ),
            ),
        ),
        roles=(RolePlan("Pilot", "steers", required=True),),
    )
    text = (
        "# Harbour\n\n## Staging (T-minus 1 day)\n\n"
        "- [ ] **Deploy** - carefully\n  - first\n  - second\n\n### More\n\n"
        "- [ ] **Odd \\*one\\*** <!-- role: Pilot; kind: sign_off -->\n\nMind the tide.\n\n"
        "## Roles and Responsibilities\n\n- **Pilot**: steers\n"
    )
    assert dump(blueprint) == text
    assert read(text) == blueprint


def test_text_that_looks_like_items_stays_text():
    blueprint = Blueprint("R", description="- [ ] no item\n\n## no phase", phases=(PhasePlan("P", note="- [ ] none"),))
    assert read(dump(blueprint)) == blueprint
    assert "<!-- end of description -->" in dump(blueprint)


def test_a_running_release_is_written_in_the_same_shape_and_reads_back_as_its_template():
    blueprint = read(STANDARD.read_text(encoding="utf-8"))
    progress = Progress(done=frozenset({(0, 0)}), lines={(0, 0): ("Done by Ada, 09:41",), (5, 1): ("Severity *high*",)})

    text = dump(blueprint, progress)

    assert "- [x] **All PRs merged**" in text
    assert "  - Done by Ada, 09:41 <!-- log: yes -->" in text
    assert "   - Severity \\*high\\* <!-- log: yes -->" in text
    assert read(text) == blueprint
    assert {problem.message for problem in parse(text).problems} == {
        'What happened in a release is no part of a template: "- Done by Ada, 09:41".',
        'What happened in a release is no part of a template: "- Severity \\*high\\*".',
    }


def test_a_log_between_comments_is_left_out_too():
    reading = parse("## P (T-1d)\n- [ ] a\n\n<!-- log -->\n- [ ] b\n<!-- end of log -->\n")
    assert [item.title for item in reading.blueprint.items] == ["a"]
    assert [list(problem.lines) for problem in reading.problems if "no part" in problem.message] == [[4, 5, 6]]
