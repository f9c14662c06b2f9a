"""`verify_record.py`: a record in a file, a head hash in a mail, and nothing of ours in between."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from releases import ticking, verify_record
from releases.models import Status
from releases.record import as_data, as_json, build
from tests.factories import ReleaseFactory, bring_to, item

pytestmark = pytest.mark.django_db

PROGRAM = Path(verify_record.__file__)


RECORDS = []  # read from the database once a process: the program knows nothing but the file


@pytest.fixture
def record():
    if not RECORDS:
        release = ReleaseFactory(key="PAY-4.2")
        ticking.waive(item(release, "QA sign-off obtained"), "a typo in a footer", by=release.coordinator)
        RECORDS.append(as_data(build(bring_to(release, Status.ROLLED_BACK))))
    return deepcopy(RECORDS[0])


def holds(record, head=None):
    return verify_record.verdict(record, head or record["head"])


def run(*arguments):
    """Run the program as an auditor does: alone, in a plain Python."""
    command = [sys.executable, "-I", str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


# As a program


def test_it_imports_nothing_but_the_standard_library():
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}

    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)


def test_it_says_that_a_record_holds(record, tmp_path):
    file = tmp_path / "record.json"
    file.write_text(json.dumps(record), encoding="utf-8")

    answer = run(file, "--head", record["head"])

    assert (answer.returncode, answer.stderr) == (0, "")
    assert (
        answer.stdout == f"PAY-4.2: holds. {record['counted']} events, unbroken, and the record says what they say.\n"
    )


def test_the_export_holds_as_it_is_downloaded(tmp_path):
    release = bring_to(ReleaseFactory(), Status.CLOSED)
    file = tmp_path / "record.json"
    file.write_text(as_json(build(release)), encoding="utf-8")

    assert run(file, "--head", release.event_head).returncode == 0


def test_it_ends_with_1_and_names_what_does_not_hold(record, tmp_path):
    record["events"][3]["actor"] = "Somebody Else"
    file = tmp_path / "record.json"
    file.write_text(json.dumps(record), encoding="utf-8")

    answer = run(file, "--head", record["head"])

    assert answer.returncode == 1
    assert answer.stdout.startswith("PAY-4.2: DOES NOT HOLD. Event 4: the hash of its words: expected ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it is no record in JSON"),
        ("[]", "its schema is None"),
        ('{"schema": 2}', "its schema is 2; this program reads schema 1"),
        ('{"schema": 1}', "something is missing in it"),
        ('{"schema": 1, "schema": 1}', "a key comes twice"),
        ('{"schema": 1, "events": [1.5]}', "no fractions"),
        ('{"schema": 1, "events": [NaN]}', "no fractions"),
        ('{"schema": 1, "events": 7, "release": {"key": 3}}', "something is missing in it"),
    ],
)
def test_it_ends_with_2_and_a_sentence_for_what_it_cannot_read(text, sentence, tmp_path):
    file = tmp_path / "record.json"
    file.write_text(text, encoding="utf-8")

    answer = run(file, "--head", "0" * 64)

    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_it_ends_with_2_for_a_file_that_is_not_there(tmp_path):
    assert run(tmp_path / "nothing.json", "--head", "0" * 64).returncode == 2


@pytest.mark.parametrize("head", ["", "9b1f04c2", "g" * 64])
def test_it_refuses_a_head_that_could_be_forged(head, tmp_path):
    answer = run(tmp_path / "record.json", "--head", head)

    assert answer.returncode == 2
    assert "64 characters" in answer.stderr


def test_it_wants_a_head():
    assert run("record.json").returncode == 2


def test_its_help_says_what_it_cannot_prove():
    text = run("--help").stdout

    for words in ("WHAT IT CANNOT PROVE", "That your head is genuine", "THE CANONICAL FORM", "SHA-256", "keyboard"):
        assert words in text


# Heads


def test_a_head_from_an_earlier_mail_vouches_up_to_its_event(record):
    stands, sentence = holds(record, record["events"][4]["hash"])

    assert stands
    assert f"vouches for events 1 to 5. The {record['counted'] - 5} after it fit" in sentence


def test_a_head_of_another_history_is_refused(record):
    stands, sentence = holds(record, "f" * 64)

    assert not stands
    assert "The head you gave is not in this record" in sentence


def test_a_chain_forged_as_a_whole_does_not_meet_the_head_that_was_mailed(record):
    mailed, previous = record["head"], ""
    forged = json.loads(json.dumps(record).replace("Ada Lovelace", "Eda Lovelace"))
    for event in forged["events"]:
        event["previous_hash"] = previous
        event["hash"] = previous = verify_record.digest({name: event[name] for name in verify_record.BODY}, previous)
    forged["head"] = previous

    assert holds(forged)[0]  # in itself it is perfect
    assert not holds(forged, mailed)[0]


# One changed character anywhere


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from leaves(entry, (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from leaves(entry, (*path, index))
    else:
        yield path, value


def changed(record, path, value):
    copy = deepcopy(record)
    inside = copy
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return copy


def other(value):
    """The same value with one character changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{'x' if value[:1] != 'x' else 'y'}{value[1:]}" if value else "x"


def test_one_changed_character_of_any_event_is_named_with_that_event(record):
    head, tried = record["head"], 0
    for path, value in leaves(record["events"]):
        forged = changed(record, ("events", *path), other("" if value is None else value))

        fault = verify_record.first_fault(forged)

        tried += 1
        assert fault is not None, path
        assert fault.sequence == path[0] + 1, (path, fault)
        assert not holds(forged, head)[0]
    assert tried > 500


@pytest.mark.parametrize("at", [0, 7, -1])
def test_an_event_left_out_is_missed(record, at):
    del record["events"][at]
    record["counted"] -= 1

    assert not holds(record)[0]


def test_two_events_that_changed_places_are_found(record):
    events = record["events"]
    events[3], events[4] = events[4], events[3]

    assert verify_record.first_fault(record).sequence == 4


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("release", "status"), "closed", "release status"),
        (("release", "t_zero"), "2026-01-01T00:00:00.000000Z", "release t_zero"),
        (("release", "coordinator", "id"), 99999, "release coordinator"),
        (("release", "coordinator", "name"), "Eda Lovelace", "account "),
        (("phases", 0, "items", 0, "title"), "Some PRs merged", " title"),
        (("phases", 0, "items", 0, "state"), "waived", " state"),
        (("phases", 0, "items", 0, "by", "id"), 99999, " by"),
        (("phases", 0, "items", 0, "by", "name"), "Eda Lovelace", "account "),
        (("phases", 0, "items", 0, "at"), "2026-01-01T00:00:00.000000Z", " at"),
        (("phases", 0, "items", 0, "evidence", 0, "label"), "nobody looked", " evidence"),
        (("phases", 1, "items", 0, "reason"), "none", " reason"),
        (("polls", 0, "state"), "void", " state"),
        (("polls", 0, "ballots", 0, "choice"), "no_go", " choice"),
        (("polls", 0, "ballots", 0, "voter", "name"), "Eda Lovelace", "account "),
        (("decisions", 0, "call"), "no_go", " call"),
        (("decisions", 0, "rationale"), "I was told to", " rationale"),
        (("decisions", 0, "standing"), False, " standing"),
        (("overrides", 0, "reason"), "none needed", " reason"),
        (("rollbacks", 0, "severity"), "minor", " severity"),
        (("action_items", 0, "state"), "done", " state"),
        (("counted",), 3, "how many events there are"),
        (("head",), "0" * 64, "the head the record names"),
    ],
)
def test_a_readable_part_that_says_something_else_than_the_events_is_named(record, path, value, what):
    fault = verify_record.first_fault(changed(record, path, value))

    assert fault is not None
    assert what in fault.what


def test_a_row_left_out_of_the_readable_part_is_missed(record):
    gone = record["polls"][0]["ballots"].pop()

    assert verify_record.first_fault(record).what == f"ballot {gone['id']}"


def test_a_row_added_to_the_readable_part_is_named(record):
    extra = deepcopy(record["decisions"][0]) | {"id": 99999}
    record["decisions"].append(extra)

    assert verify_record.first_fault(record).what == "decision 99999"
