"""The record: one value, four forms, two pages."""

from __future__ import annotations

import csv
import json
from datetime import UTC
from io import StringIO
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from checklists.markdown import parse
from releases import amending, gonogo, people, ticking, verify_record, workflow
from releases.models import Choice, Item, State, Status
from releases.record import as_csv, as_data, as_json, as_markdown, build
from releases.record.as_csv import safe
from releases.views.record import PAGE
from tests.factories import (
    SMALL,
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    phase,
    role,
    saved,
    seat,
    settle_gate,
    standard,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return Cast()


@pytest.fixture
def release(cast):
    return ReleaseFactory(key="PAY-4.2", title="Payments 4.2")


@pytest.fixture
def get(client, cast):
    client.force_login(cast.ada, backend="django.contrib.auth.backends.ModelBackend")

    def fetch(name, release, **query):
        return client.get(reverse(f"releases:{name}", args=[release.key]), query)

    return fetch


# The value


def test_a_record_is_built_with_a_fixed_number_of_queries(release, django_assert_num_queries):
    with django_assert_num_queries(19):
        build(release)
    bring_to(release, Status.ROLLED_BACK)
    with django_assert_num_queries(21):
        build(release)
    for number in range(5):
        added = (
            amending.add_item(phase(release, "Post-deployment"), f"More {number}", by=release.coordinator)
            if 0
            else None
        )
        assert added is None
        ticking.write_note(release, f"Note {number}", by=release.coordinator)
    with django_assert_num_queries(21):
        build(release)


def test_a_record_cannot_be_changed(release):
    made = build(release)

    with pytest.raises(AttributeError):
        made.head = "0" * 64


def test_dissent_is_what_was_said_against_the_decision(release, cast):
    settle_gate(release)
    gonogo.open_poll(release, by=cast.ada)
    for name, who in (("Release Coordinator", cast.ada), ("Project Manager", cast.dana), ("QA Lead", cast.ben)):
        choice = Choice.NO_GO if who == cast.ben else Choice.GO
        gonogo.cast_ballot(release, seat(release, name), choice, by=who, statement="two queries fail")
    gonogo.decide(release, gonogo.Call.GO, by=cast.ada, rationale="they are old", override="known since May")

    assert [(ballot.voter.name, ballot.label) for ballot in build(release).dissent] == [("Ben Osei", "NO-GO")]


def test_holders_are_shown_over_time(release, cast):
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)
    people.unassign(release, role("Developers"), cast.gus, by=cast.ada)
    people.transfer(release, cast.dana, by=cast.ada)
    people.take_over(release, "she fell ill", by=cast.sam)

    held = [(row.role, row.person.name, row.how, row.until is None) for row in build(release).people]

    assert held == [
        ("Developers", "Gus Rao", "", False),
        ("Developers", "Cy Young", "given by Ada Lovelace", True),
        ("On-call Engineer", "Eli Tanaka", "", True),
        ("Project Manager", "Dana Ruiz", "", True),
        ("QA Lead", "Ben Osei", "", True),
        ("Release Coordinator", "Ada Lovelace", "", False),
        ("Release Coordinator", "Dana Ruiz", "handed over", False),
        ("Release Coordinator", "Sam Staff", "taken over", True),
        ("Risk Champion", "Fay Lindqvist", "", True),
    ]


# Markdown


@pytest.mark.parametrize("version", [lambda: saved(SMALL), standard], ids=["small", "standard"])
@pytest.mark.parametrize("status", [Status.PREPARING, Status.CLEARED, Status.CLOSED, Status.ROLLED_BACK])
def test_a_running_release_reads_back_as_its_template(version, status):
    template = version()
    release = bring_to(ReleaseFactory(version=template), status)

    text = as_markdown(build(release))

    assert parse(text).blueprint == template.blueprint()


def test_the_markdown_shows_ticks_names_and_times(release, cast):
    proof = ticking.Proof("PR 977", "https://example.org/977", "c41e")
    row = ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada, proof=proof)
    at = row.state_at.astimezone(release.zone)
    ticking.waive(item(release, "QA sign-off obtained"), "a typo in a footer", by=cast.ada)
    when = f"{at:%a} {at.day} {at:%b %Y %H:%M %Z}"

    text = as_markdown(build(release))

    assert "# Small checklist\n" in text
    assert "- [x] **All PRs merged**" in text
    assert f"  - done by Ada Lovelace, {when} <!-- log: yes -->" in text
    assert f"  - evidence: PR 977 https://example.org/977 at commit c41e, Ada Lovelace, {when}" in text
    assert "- [ ] **QA sign-off obtained**" in text
    assert "  - waived by Ada Lovelace, " in text
    assert ": a typo in a footer <!-- log: yes -->" in text
    assert "- [ ] **Order cake**" in text


def test_a_changed_checklist_reads_back_as_the_release_has_it(release, cast):
    amending.add_item(phase(release, "Staging"), "Tell the bank", by=cast.ada, role=role("Developers"))

    blueprint = parse(as_markdown(build(release))).blueprint

    assert [entry.title for entry in blueprint.phases[1].items][-1] == "Tell the bank"


HOSTILE = (
    *("<!-- end of log -->", "# Heading", "- [x] **Not an item**", "<!-- role: nobody -->", "line\n\n## break"),
    *("*a* `b` [c](d)", "-->", "<!-- log -->", "\n<!-- end of log -->\n## Phase\n- [ ] item", "```", "---"),
)


@pytest.mark.parametrize("words", HOSTILE)
def test_what_people_write_never_becomes_part_of_the_checklist(release, cast, words):
    ticking.block(item(release, "Order cake"), words, by=cast.ada)
    ticking.waive(item(release, "QA sign-off obtained"), words, by=cast.ada)
    workflow.hold(release, words, by=cast.ada)

    text = as_markdown(build(release))

    assert parse(text).blueprint == SMALL


def test_rollback_steps_stand_below_the_steps_of_the_procedure(cast):
    release = bring_to(ReleaseFactory(), Status.ROLLED_BACK)

    text = as_markdown(build(release))

    assert "   - rollback 1: done by Ada Lovelace, " in text
    assert "### Rollback 1" in text


# JSON


def test_the_json_carries_its_schema_and_every_event_as_it_was_hashed(release):
    data = json.loads(as_json(build(bring_to(release, Status.CLOSED))))

    assert data["schema"] == 1
    assert [event["sequence"] for event in data["events"]] == list(range(1, data["counted"] + 1))
    assert data["head"] == data["events"][-1]["hash"] == fresh(release).event_head
    assert verify_record.first_fault(data) is None


def test_the_keys_of_schema_1_stay_as_they_are(release):
    data = as_data(build(release))

    assert list(data) == [
        *("schema", "what", "made_at", "release", "people", "phases", "polls", "decisions", "overrides"),
        *("action_items", "holds", "rollbacks", "notes", "events", "counted", "head"),
    ]
    assert list(data["phases"][0]["items"][0]) == [
        *("id", "title", "guidance", "group", "role", "kind", "required", "condition", "state", "reason", "by"),
        *("acted_for", "at", "due_at", "evidence", "watches"),
    ]


# CSV


def rows(release):
    return list(csv.DictReader(StringIO(as_csv(build(release)).removeprefix("\ufeff"))))


def test_the_csv_has_one_row_an_item_with_who_and_when(release, cast):
    proof = ticking.Proof(commit="c41e", label="PR")
    row = ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada, proof=proof)

    first = rows(release)[0]

    assert [first[name] for name in ("Item", "State", "By")] == ["All PRs merged", "done", "Ada Lovelace"]
    assert (first["Evidence"], first["Commit"]) == ("PR", "c41e")
    assert first["At (UTC)"] == f"{row.state_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    assert len(rows(release)) == Item.objects.of(release).count()


def test_the_csv_has_the_steps_of_each_rollback(cast):
    release = bring_to(ReleaseFactory(), Status.ROLLED_BACK)

    steps = [row for row in rows(release) if row["Phase"] == "Rollback 1"]

    assert [row["Item"] for row in steps][:2] == ["1. Trigger incident response", "2. Assess severity"]


FORMULAS = (
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        " \u00a0@x",
        "＝1",
        "=cmd|' /C calc'!A0",
        "-- no",
    ),
)


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_begins_a_formula_is_neutralised(cell):
    assert safe(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Ben Osei", "1. Trigger", "a=b", "'quoted'", "T-3d", "50 %"])
def test_other_cells_stay_as_they_are(cell):
    assert safe(cell) == cell


def test_no_cell_of_a_hostile_release_begins_a_formula(release, cast):
    evil = '=HYPERLINK("http://evil.example","click")'
    amending.edit_item(item(release, "Order cake"), by=cast.ada, title=evil)
    ticking.waive(item(release, "QA sign-off obtained"), evil, by=cast.ada)
    ticking.add_evidence(item(release, "All PRs merged"), ticking.Proof(label=evil, commit="-1+1"), by=cast.ada)

    cells = [cell for row in rows(release) for cell in row.values()]

    assert f"'{evil}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


# The pages


def test_the_record_page_tells_the_whole_release(get, release, cast):
    page = get("record", bring_to(release, Status.CLOSED)).content.decode()

    for words in (
        *("Payments 4.2", "PAY-4.2", "Closed", "all green", "Ada Lovelace", "Dissent", "Waivers", "People over time"),
        *("the window was agreed by phone", "QA Lead, Ben Osei", "Monitor metrics", "Record complete, chain of"),
        fresh(release).event_head,
    ):
        assert words in page or words.split(",")[0] in page, words
    assert "does not hold" not in page


def test_the_record_page_shows_a_rollback_with_its_times(get, release):
    page = get("record", bring_to(release, Status.ROLLED_BACK)).content.decode()

    for words in ("Rollback 1", "error rate 4 %", "To detect", "To decide", "To restore", "2. Assess severity"):
        assert words in page


def test_the_record_page_says_when_the_chain_is_broken(get, release):
    Item.objects.filter(pk=item(release, "Order cake").pk).update(state=State.DONE)

    page = get("record", release).content.decode()

    assert "This record does not hold." in page
    assert "chain of" not in page


def test_the_record_page_is_drawn_from_the_record_alone(get, release, django_assert_max_num_queries):
    bring_to(release, Status.CLOSED)

    with django_assert_max_num_queries(36):
        get("record", release)


@pytest.mark.parametrize(
    ("name", "kind", "file"),
    [
        ("record_md", "text/markdown", "PAY-4.2-record.md"),
        ("record_json", "application/json", "PAY-4.2-record.json"),
        ("record_csv", "text/csv", "PAY-4.2-record.csv"),
        ("verify_script", "text/x-python", "verify_record.py"),
    ],
)
def test_each_form_is_a_download(get, release, name, kind, file):
    answer = get(name, release)

    assert answer.status_code == 200
    assert answer["Content-Type"] == f"{kind}; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="{file}"'


def test_the_program_that_is_offered_is_the_one_that_is_tested(get, release):
    assert get("verify_script", release).content == Path(verify_record.__file__).read_bytes()


@pytest.mark.parametrize("name", ["record", "record_md", "record_json", "record_csv", "verify_script", "events"])
def test_strangers_find_no_record(client, cast, name):
    hidden = ReleaseFactory(restricted=True)
    client.force_login(cast.cy, backend="django.contrib.auth.backends.ModelBackend")

    assert client.get(reverse(f"releases:{name}", args=[hidden.key])).status_code == 404


@pytest.mark.parametrize("name", ["record", "record_md", "record_json", "record_csv", "events"])
def test_looking_changes_nothing(get, release, name):
    before = fresh(release).event_sequence
    get(name, release)

    assert fresh(release).event_sequence == before


# The story


def test_the_story_is_told_by_day_with_the_newest_first(get, release, cast):
    ticking.block(item(release, "Order cake"), "the oven is broken", by=cast.ada)
    answer = get("events", release)
    page = answer.content.decode()

    assert f"{timezone.localtime(timezone=release.zone):%A}" in page
    assert page.index("marked “Order cake” blocked") < page.index("planned PAY-4.2")
    assert "the oven is broken" in page
    assert f"#item-{item(release, 'Order cake').pk}" in page


def test_the_story_can_begin_with_the_oldest(get, release, cast):
    ticking.block(item(release, "Order cake"), "the oven is broken", by=cast.ada)
    page = get("events", release, order="oldest").content.decode()

    assert page.index("planned PAY-4.2") < page.index("marked “Order cake” blocked")


def test_the_story_can_be_filtered_by_kind(get, release, cast):
    ticking.block(item(release, "Order cake"), "the oven is broken", by=cast.ada)
    people.assign(release, role("Developers"), cast.cy, by=cast.ada)

    def told(kind):
        return [one.event.action for day in get("events", release, kind=kind).context["days"] for one in day.told]

    assert told("items") == ["item.blocked"]
    assert told("people") == ["role.assigned"]
    assert told("nonsense") == ["role.assigned", "item.blocked", "release.created"]
    assert told("rollback") == []


def test_a_long_story_comes_in_pages(get, release, cast, django_assert_max_num_queries):
    from releases import events

    for number in range(PAGE + 5):
        events.record(release, "release.noted", by=cast.ada, text=f"note {number}")

    with django_assert_max_num_queries(28):  # the badge of My work is drawn afresh here, and the header
        first = get("events", release)
    second = get("events", release, page=2)

    assert sum(len(day.told) for day in first.context["days"]) == PAGE
    assert second.context["days"][-1].told[-1].event.action == "release.created"
    assert "Page 1 of 2" in first.content.decode()


def test_what_people_write_is_shown_as_text(get, release, cast):
    ticking.block(item(release, "Order cake"), "<script>alert(1)</script>", by=cast.ada)

    for name in ("events", "record"):
        page = get(name, release).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
