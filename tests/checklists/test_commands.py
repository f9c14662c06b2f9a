"""Checklists from and to the command line."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checklists.markdown import parse
from checklists.models import Template, TemplateVersion
from tests.factories import SMALL, STANDARD

pytestmark = pytest.mark.django_db


def run(command, *arguments, **options):
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def file(tmp_path):
    def write(content, name="list.md"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_importing_the_standard_file_reports_and_saves_it():
    said = run("import_checklist", STANDARD)
    assert "6 phases, 35 items, 6 roles, 4 seats" in said
    assert "Saved “Release Coordination Checklist”, version 1." in said
    assert "Not understood" not in said
    assert "needed:" not in said


def test_importing_the_same_file_twice_makes_no_new_version():
    run("import_checklist", STANDARD)
    assert "there is no new version" in run("import_checklist", STANDARD)
    assert TemplateVersion.objects.count() == 1


def test_a_changed_file_is_compared_and_becomes_the_next_version(file):
    run("import_checklist", STANDARD)
    text = STANDARD.read_text(encoding="utf-8").replace("**Deploy to staging**", "**Deploy to the staging site**")
    said = run("import_checklist", file(text), note="Names the place")
    assert "Against version 1: 1 changed, 34 items the same" in said
    assert "changed Deploy to the staging site in Staging Deployment: title" in said
    assert Template.objects.get().current.change_note == "Names the place"


def test_a_dry_run_reports_and_saves_nothing():
    assert "Nothing was saved" in run("import_checklist", STANDARD, dry_run=True)
    assert not Template.objects.exists()


def test_a_name_given_wins_over_the_heading_and_a_person_over_nobody(ada):
    run("import_checklist", STANDARD, name="Payments", by="ada@example.org")
    assert Template.objects.get().name == "Payments"
    assert Template.objects.get().current.created_by == ada


def test_what_was_not_understood_is_said_with_its_line(file):
    said = run("import_checklist", file("# List\n\n## Staging (T-1d)\n\n- [ ] Deploy\n\n## Odd\n\nwords\n"))
    assert "Not understood:\n  line 7:" in said
    assert "Still missing:" in said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"# List\n\xff\n", "list.md is not UTF-8 text: line 2"),
        (b"x" * (512 * 1024 + 1), "list.md is larger than 512 KiB"),
        ("# List\n## P\n" + "- [ ] item\n" * 501, "501 items"),
        ("# List\n## P (T-1d)\n- [ ] " + "long " * 70, "Phase 1, item 1: This text is"),
    ],
)
def test_a_file_that_cannot_be_taken_stops_with_a_sentence_and_saves_nothing(file, content, sentence):
    with pytest.raises(CommandError, match=sentence) as refusal:
        run("import_checklist", file(content))
    assert refusal.value.returncode == 1
    assert not Template.objects.exists()


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(CommandError, match=r"missing\.md cannot be read: No such file"):
        run("import_checklist", "missing.md")


def test_an_unknown_mail_address_is_named():
    with pytest.raises(CommandError, match="no account with the mail address zoe@example.org"):
        run("import_checklist", STANDARD, by="zoe@example.org")


@pytest.mark.parametrize("name", ["small-checklist", "Small checklist", "SMALL CHECKLIST"])
def test_exporting_prints_what_importing_reads_back(small, name):
    assert parse(run("export_checklist", name)).blueprint == SMALL


def test_exporting_what_is_not_there_names_what_is(small):
    with pytest.raises(CommandError, match="no checklist “Tiny”. There are: small-checklist"):
        run("export_checklist", "Tiny")
    with pytest.raises(CommandError, match="has no version 7; the newest is 1"):
        run("export_checklist", "small-checklist", number=7)
