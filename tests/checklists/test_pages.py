"""The pages of checklists over HTTP: who may, what is shown, what is saved, and that nothing typed is lost."""

import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from checklists import permissions, urls
from checklists.blueprints import Blueprint, ItemPlan, PhasePlan
from checklists.editing import retire_template, save_template
from checklists.forms.desk import SLICE, Desk
from checklists.forms.draft import Draft, DraftError
from checklists.markdown import dump, parse
from checklists.models import Template, TemplateVersion
from releases.models import Release
from tests.factories import SMALL, STANDARD, ReleaseFactory

pytestmark = pytest.mark.django_db

EDIT = "/checklists/small-checklist/edit/"
MARKDOWN = "/checklists/small-checklist/markdown/"
READ = ["", "small-checklist/", "small-checklist/v/1/", "small-checklist/diff/", "small-checklist.md"]
CHANGE = ["import/", "new/", "small-checklist/edit/", "small-checklist/markdown/"]
POST_ONLY = ["small-checklist/retire/", "small-checklist/restore/", "small-checklist/copy/"]


def release_of(version: TemplateVersion, **more: Any) -> Release:
    release: Any = ReleaseFactory(version=version, **more)
    return Release.objects.get(pk=release.pk)


def text_of(answer: Any) -> str:
    return answer.content.decode()


def desk_data(plan: Blueprint, **more: str) -> dict[str, str]:
    return {"draft": Draft.of(plan).dumps(), "at": "phases.0", "start": "0", "seen": "1", "do": "save"} | more


# Who may ----------------------------------------------------------------------------------------------------------


def test_every_address_says_its_verb_and_the_table_has_it():
    for pattern in urls.urlpatterns:
        assert getattr(pattern.callback, "verb", None) in permissions.TABLE, pattern.name


@pytest.mark.parametrize("path", READ + CHANGE + POST_ONLY)
def test_strangers_are_sent_to_log_in(client, small, path):
    answer = client.post(f"/checklists/{path}") if path in POST_ONLY else client.get(f"/checklists/{path}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("path", READ)
def test_everybody_signed_in_reads_and_takes_away(client, cy, small, path):
    client.force_login(cy, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(f"/checklists/{path}")
    assert answer.status_code == 200
    assert "/edit/" not in text_of(answer)


@pytest.mark.parametrize("path", CHANGE + POST_ONLY)
def test_who_may_not_edit_is_refused_and_told_who_may(client, cy, small, path):
    client.force_login(cy, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(f"/checklists/{path}", desk_data(replace(SMALL, closing="Mine now.")))
    assert answer.status_code == 403
    assert TemplateVersion.objects.count() == 1
    assert Template.objects.in_use().count() == 1


def test_the_group_of_editors_may_edit(client, cy, small):
    Group.objects.filter(name=permissions.EDITORS_GROUP).delete()
    import_module("checklists.migrations.0003_editors_group").make_group(apps, None)
    cy.groups.add(Group.objects.get(name=permissions.EDITORS_GROUP))
    client.force_login(cy, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(EDIT, desk_data(replace(SMALL, closing="Bye."))).status_code == 303


@pytest.mark.parametrize("path", READ + CHANGE)
def test_looking_changes_nothing(as_ada, small, path, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as queries:
        as_ada.get(f"/checklists/{path}")
    assert [query["sql"] for query in queries if query["sql"].split()[0] in {"INSERT", "UPDATE", "DELETE"}] == []


@pytest.mark.parametrize("path", POST_ONLY)
def test_what_changes_is_never_a_get(as_ada, small, path):
    assert as_ada.get(f"/checklists/{path}").status_code == 405


def test_what_is_not_there_is_404(as_ada, small):
    for path in ("other/", "small-checklist/v/2/", "other/edit/", "other.md", "other/diff/"):
        assert as_ada.get(f"/checklists/{path}").status_code == 404, path


def test_a_form_without_its_token_is_refused(ada, small):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(EDIT, desk_data(replace(SMALL, closing="Bye."))).status_code == 403


# Looking ----------------------------------------------------------------------------------------------------------


def test_the_list_asks_the_database_as_often_for_one_as_for_ten(as_ada, small, ada):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    as_ada.get("/checklists/")  # what the shell keeps is kept now
    with CaptureQueriesContext(connection) as one:
        as_ada.get("/checklists/")
    for n in range(9):
        save_template(replace(SMALL, name=f"List {n}"), by=ada)
    with CaptureQueriesContext(connection) as ten:
        answer = as_ada.get("/checklists/")
    assert len(ten) == len(one)
    assert len([query for query in ten if "checklists_" in query["sql"]]) == 1
    assert "19 items · version 1" in text_of(answer)


def test_the_list_counts_items_of_the_newest_version_and_running_releases(as_ada, small, ada):
    save_template(replace(SMALL, phases=SMALL.phases[:1]), by=ada, template=small.template)
    release_of(small)
    shown = text_of(as_ada.get("/checklists/"))
    assert "3 items · version 2" in shown
    assert "1 running release" in shown


def test_a_template_s_page_names_the_releases_made_of_it_with_their_versions(as_ada, small, ada):
    release = release_of(small)
    save_template(replace(SMALL, closing="Bye."), by=ada, template=small.template)
    shown = text_of(as_ada.get("/checklists/small-checklist/"))
    assert release.key in shown
    assert "version 1</span>" in shown
    release.refresh_from_db()
    assert release.template_version == small


def test_a_restricted_release_is_not_named_to_strangers(client, cy, small):
    release = release_of(small, restricted=True)
    client.force_login(cy, backend="django.contrib.auth.backends.ModelBackend")
    assert release.key not in text_of(client.get("/checklists/small-checklist/"))


def test_an_unusable_template_says_so_on_its_page(as_ada, ada):
    save_template(replace(SMALL, name="Half", phases=SMALL.phases[:2]), by=ada)
    shown = text_of(as_ada.get("/checklists/half/"))
    assert "No release can be planned with this version yet" in shown
    assert "No phase holds the go/no-go decision" in shown


def test_an_older_version_says_that_it_is_and_leads_to_what_changed(as_ada, small, ada):
    save_template(replace(SMALL, closing="Bye."), by=ada, template=small.template)
    shown = text_of(as_ada.get("/checklists/small-checklist/v/1/"))
    assert "This is an older version" in shown
    assert "?from=1&amp;to=2" in shown
    assert "Bye." in text_of(as_ada.get("/checklists/small-checklist/diff/?from=1&to=2"))
    assert as_ada.get("/checklists/small-checklist/diff/?from=x&to=99").status_code == 200


def test_the_export_is_a_file_that_reads_back(as_ada, small, ada):
    save_template(replace(SMALL, closing="Bye."), by=ada, template=small.template)
    answer = as_ada.get("/checklists/small-checklist.md?version=1")
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="small-checklist.md"'
    assert parse(text_of(answer)).blueprint == SMALL


# Editing by forms -------------------------------------------------------------------------------------------------


def test_saving_an_untouched_draft_makes_no_new_version(as_ada, small):
    answer = as_ada.post(EDIT, desk_data(SMALL), follow=True)
    assert "Nothing differs from version 1" in text_of(answer)
    assert TemplateVersion.objects.count() == 1


def test_the_page_s_own_fields_posted_back_give_the_same_blueprint(as_ada, small):
    """What the page draws, a browser sends back: for every place of the draft."""
    import html5lib

    for place in ("about", "people", *(f"phases.{n}" for n in range(6))):
        shown = as_ada.post(EDIT, desk_data(SMALL, at=place, do=f"show:{place}"))
        form = html5lib.parse(text_of(shown), namespaceHTMLElements=False).find(".//form[@id='draft']")
        as_ada.post(EDIT, posted(form) | {"do": "save"})
        assert TemplateVersion.objects.count() == 1, place


def posted(form: Any) -> dict[str, str]:
    """The fields of a form as a browser would post them."""
    data = {}
    for field in (field for field in form.iter() if field.tag in ("input", "textarea", "select")):
        name, kind = field.get("name"), field.get("type")
        if not name or (kind == "checkbox" and field.get("checked") is None):
            continue
        if field.tag == "select":
            chosen = [option for option in field.iter("option") if option.get("selected") is not None]
            data[name] = (chosen or list(field.iter("option")))[0].get("value", "")
        else:
            data[name] = (field.text or "") if field.tag == "textarea" else field.get("value", "on")
    return data


def test_what_is_typed_is_saved_as_the_next_version(as_ada, small, ada):
    typed = {"item0-here": "1", "item0-title": " All pull requests  merged ", "item0-required": "on"}
    answer = as_ada.post(EDIT, desk_data(SMALL, change_note="Says what is meant", **typed))
    assert (answer.status_code, answer["Location"]) == (303, "/checklists/small-checklist/")
    version = small.template.current
    assert (version.number, version.created_by, version.change_note) == (2, ada, "Says what is meant")
    assert version.blueprint().items[0].title == "All pull requests merged"


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_button_changes_the_draft_and_writes_nothing(as_ada, small, headers):
    typed = {"item0-here": "1", "item0-title": "Half typed", "item0-required": "on"}
    answer = as_ada.post(EDIT, desk_data(SMALL, do="down:phases.0.items.0", **typed), headers=headers)
    shown = text_of(answer)
    assert answer.status_code == 200
    assert ("<html" in shown) is not bool(headers)
    assert shown.index('value="Backup taken"') < shown.index('value="Half typed"')
    assert TemplateVersion.objects.count() == 1


def test_faults_stand_beside_their_fields_and_everything_typed_is_still_there(as_ada, small):
    typed = {"phase-here": "1", "phase-name": "Readiness!", "phase-opens": "T-3x", "phase-stage": "preparation"}
    answer = as_ada.post(EDIT, desk_data(SMALL, **typed))
    shown = text_of(answer)
    assert answer.status_code == 422
    assert "Phase 1: &quot;T-3x&quot; is no moment" in shown
    assert 'value="T-3x"' in shown
    assert 'value="Readiness!"' in shown
    assert 'aria-describedby="id_phase-opens_error"' in shown
    assert TemplateVersion.objects.count() == 1


def test_a_moment_is_said_in_words(as_ada, small):
    assert "3 days before T-0" in text_of(as_ada.get(EDIT))


def test_a_stale_draft_is_kept_compared_and_saved_on_top_when_asked_again(as_ada, small, ben):
    save_template(replace(SMALL, closing="By Ben."), by=ben, template=small.template)
    answer = as_ada.post(EDIT, desk_data(replace(SMALL, description="By Ada.")))
    shown = text_of(answer)
    assert answer.status_code == 409
    assert "Ben Okri saved version 2 while you worked on version 1" in shown
    assert "<del>By Ben.</del>" in shown
    assert 'name="seen" value="2"' in shown
    assert TemplateVersion.objects.count() == 2
    as_ada.post(EDIT, desk_data(replace(SMALL, description="By Ada."), seen="2"))
    assert small.template.current.description == "By Ada."


def test_a_new_checklist_starts_empty_and_is_saved_by_its_name(as_ada):
    assert as_ada.get("/checklists/new/").status_code == 200
    answer = as_ada.post("/checklists/new/", desk_data(replace(SMALL, name="Mobile"), seen=""))
    assert answer["Location"] == "/checklists/mobile/"
    again = as_ada.post("/checklists/new/", desk_data(replace(SMALL, name="Mobile"), seen=""))
    assert again.status_code == 422
    assert "already a checklist named “Mobile”" in text_of(again)


@pytest.mark.parametrize("draft", ["", "[]", "{}", '{"phases": 3}', "[" * 3000, '{"name": 1, "phases": []}'])
def test_a_draft_that_was_tampered_with_is_refused_with_a_sentence(as_ada, small, draft):
    answer = as_ada.post(EDIT, desk_data(SMALL, draft=draft), follow=True)
    assert "cannot be read. Nothing was saved" in text_of(answer)
    with pytest.raises(DraftError):
        Draft.loads(draft)


@pytest.mark.parametrize(
    "button",
    ["up:phases.99", "down:x", "remove:roles.-1", "add:", "undo", "from:x", "show:phases.9999999", "up:", "zap"],
)
def test_a_button_that_fits_nothing_does_no_harm(as_ada, small, button):
    assert as_ada.post(EDIT, desk_data(SMALL, do=button)).status_code == 200


def test_a_draft_travels_unchanged():
    draft = Draft.of(SMALL)
    draft.remove("phases.0.items.0")
    draft.remove("phases.1")
    assert Draft.loads(draft.dumps()) == draft
    assert Draft.of(SMALL).read() == (SMALL, [])


def test_an_item_moved_over_the_edge_goes_to_the_next_phase():
    draft = Draft.of(SMALL)
    assert draft.move("phases.0.items.2", +1) == "phases.1.items.0"
    assert [item.title for item in draft.phases[1].items][:2] == ["Order cake", "QA sign-off obtained"]
    assert draft.move("phases.1.items.0", -1) == "phases.0.items.2"
    assert draft.read()[0] == SMALL
    assert draft.move("phases.0.items.0", -1) == "phases.0.items.0"


def test_a_removed_row_comes_back_where_it_was():
    draft = Draft.of(SMALL)
    for path in ("phases.0.items.1", "roles.2", "seats.0", "phases.3"):
        draft.remove(path)
    for _ in range(4):
        draft.undo()
    assert draft.read()[0] == SMALL


def test_a_renamed_role_is_followed_by_its_items_and_seats():
    draft = Draft.of(SMALL)
    desk = Desk.posted(
        {
            "draft": draft.dumps(),
            "at": "people",
            "role2-here": "1",
            "role2-name": "Quality Lead",
            "role2-required": "on",
        }
    )
    assert desk.draft.phases[1].items[0].role == "Quality Lead"
    assert desk.draft.seats[2].role == "Quality Lead"


def test_a_checklist_of_500_items_is_shown_and_saved_within_two_seconds(as_ada):
    items = tuple(ItemPlan(f"Item {n}", guidance="What good looks like. " * 30) for n in range(500))
    plan = Blueprint("Long", phases=(PhasePlan("All", items=items),))
    start = time.process_time()
    answer = as_ada.post("/checklists/new/", desk_data(plan, seen="", do="show:phases.0"))
    assert text_of(answer).count('-title"') >= SLICE
    assert as_ada.post("/checklists/new/", desk_data(plan, seen="")).status_code == 303
    assert as_ada.get("/checklists/long/").status_code == 200
    assert time.process_time() - start < 6
    assert Template.objects.get().current.blueprint() == plan


# Text -------------------------------------------------------------------------------------------------------------


def looked_at(answer: Any) -> str:
    return text_of(answer).split('name="looked_at" value="')[1].split('"')[0]


def test_a_pasted_text_is_looked_at_and_then_saved(as_ada, ada):
    data = {"text": STANDARD.read_text(encoding="utf-8"), "name": ""}
    look = as_ada.post("/checklists/import/", data | {"do": "look"})
    assert "6 phases, 35 items, 6 roles, 4 seats" in text_of(look)
    assert not Template.objects.exists()
    saved = as_ada.post("/checklists/import/", data | {"do": "save", "looked_at": looked_at(look)})
    assert saved["Location"] == "/checklists/release-coordination-checklist/"
    assert Template.objects.get().current.blueprint() == parse(data["text"]).blueprint


def test_an_uploaded_file_moves_into_the_page(as_ada):
    upload = SimpleUploadedFile("list.md", dump(SMALL).encode("utf-8-sig"))
    shown = text_of(as_ada.post("/checklists/import/", {"file": upload, "do": "look"}))
    assert "6 phases, 19 items" in shown
    assert "- [ ] **All PRs merged**" in shown


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"text": ""}, "There is nothing to read yet"),
        ({"text": "# X\n## P\n" + "- [ ] a\n" * 501}, "501 items"),
        ({"text": "x" * (512 * 1024 + 1)}, "longer than 512 KiB"),
        ({"file": b"# X\n\xff\xfe"}, "is not UTF-8 text: line 2"),
        ({"file": b"x" * (512 * 1024 + 1)}, "is larger than 512 KiB"),
        ({"text": "# X\0"}, "Null characters"),
    ],
)
def test_bad_input_gets_a_sentence_that_says_what_and_where(as_ada, data, sentence):
    if "file" in data:
        data = {"file": SimpleUploadedFile("list.md", data["file"])}
    answer = as_ada.post("/checklists/import/", data | {"do": "look"})
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    if "text" in data and len(data["text"]) < 9000:
        assert data["text"].replace("\0", "")[:4] in text_of(answer)


def test_what_was_not_understood_stands_with_its_line_and_words(as_ada):
    text = "# List\r\n\r\n## Staging (T-1d)\r\n\r\n- [ ] Deploy\r\n\r\n## Odd\r\n\r\nwords\r\n"
    shown = text_of(as_ada.post("/checklists/import/", {"text": text, "do": "look"}))
    assert '<span class="n">7</span>' in shown
    assert "<code>## Odd</code>" in shown
    assert "no release can be planned with it until" in shown


def test_a_text_changed_after_the_look_is_looked_at_again(as_ada, small):
    data = {"text": dump(SMALL), "do": "look"}
    mark = looked_at(as_ada.post("/checklists/import/", data))
    changed = {"text": dump(replace(SMALL, closing="Bye.")), "do": "save", "looked_at": mark}
    answer = as_ada.post("/checklists/import/", changed)
    assert answer.status_code == 409
    assert "The text changed since you looked" in text_of(answer)
    assert TemplateVersion.objects.count() == 1


def test_importing_a_known_name_shows_the_difference_and_saves_the_next_version(as_ada, small):
    data = {"text": dump(replace(SMALL, phases=SMALL.phases[1:]))}
    look = as_ada.post("/checklists/import/", data | {"do": "look"})
    assert "Against version 1 of Small checklist" in text_of(look)
    assert "<del>All PRs merged</del>" in text_of(look)
    as_ada.post("/checklists/import/", data | {"do": "save", "looked_at": looked_at(look), "seen": "1"})
    assert small.template.current.number == 2


def test_the_live_preview_is_a_fragment(as_ada, small):
    answer = as_ada.post(MARKDOWN, {"text": dump(SMALL), "do": "look"}, headers={"HX-Request": "true"})
    assert text_of(answer).lstrip().startswith('<div class="stack" id="preview">')


def test_markdown_is_edited_in_place_and_conflicts_lose_nothing(as_ada, small, ben):
    text = dump(replace(SMALL, closing="By Ada."))
    look = as_ada.post(MARKDOWN, {"text": text, "do": "look", "seen": "1"})
    save_template(replace(SMALL, closing="By Ben."), by=ben, template=small.template)
    save = {"text": text, "do": "save", "looked_at": looked_at(look)}
    answer = as_ada.post(MARKDOWN, save | {"seen": "1"})
    assert answer.status_code == 409
    assert "By Ada." in text_of(answer)
    assert 'name="seen" value="2"' in text_of(answer)
    as_ada.post(MARKDOWN, save | {"seen": "2"})
    assert small.template.current.closing == "By Ada."


# One press --------------------------------------------------------------------------------------------------------


def test_retiring_and_restoring_is_one_press_each_with_undo(as_ada, small):
    shown = text_of(as_ada.post("/checklists/small-checklist/retire/", follow=True))
    assert "is retired" in shown
    assert f'action="{reverse("checklists:restore", args=["small-checklist"])}"' in shown
    assert not Template.objects.in_use().exists()
    as_ada.post("/checklists/small-checklist/restore/")
    assert Template.objects.in_use().exists()


def test_a_retired_template_keeps_what_was_typed_and_says_why_it_is_not_saved(as_ada, small, ada):
    retire_template(small.template, by=ada)
    answer = as_ada.post(EDIT, desk_data(replace(SMALL, closing="Typed.")))
    assert answer.status_code == 422
    assert "is retired. Restore it first" in text_of(answer)
    assert "Typed." in text_of(answer)


def test_a_copy_opens_in_the_editor_and_a_name_taken_is_refused(as_ada, small):
    answer = as_ada.post("/checklists/small-checklist/copy/", {"name": "For Payments"})
    assert answer["Location"] == "/checklists/for-payments/edit/"
    answer = as_ada.post("/checklists/small-checklist/copy/", {"name": "For payments"}, follow=True)
    assert "already a checklist named “For Payments”" in text_of(answer)


# In a real browser ------------------------------------------------------------------------------------------------


def titles(page: Any) -> list[str]:
    return page.eval_on_selector_all("[name^=item][name$=-title]", "all => all.map(one => one.value)")


def test_keys_move_the_row_one_is_in_and_the_cursor_goes_with_it(page_as, live_url, ada, small):
    page = page_as(ada)
    page.goto(live_url + EDIT)
    page.fill("#id_item0-title", "All PRs are merged")
    page.press("#id_item0-title", "Alt+ArrowDown")
    page.wait_for_selector("#row-item1[data-here]")
    page.wait_for_selector("#id_item1-title:focus")
    assert titles(page) == ["Backup taken", "All PRs are merged", "Order cake"]
    page.click("#add-item")
    page.wait_for_selector("#id_item3-title:focus")
    page.keyboard.type("Tell support")
    page.click("#save")
    page.wait_for_url("**/checklists/small-checklist/")
    assert [item.title for item in small.template.current.blueprint().phases[0].items] == [
        *("Backup taken", "All PRs are merged", "Order cake", "Tell support")
    ]


def test_without_script_every_button_works(page_as, live_url, ada, small):
    page = page_as(ada, java_script_enabled=False)
    page.goto(live_url + EDIT)
    page.click("#remove-item2")
    assert "Removed “Order cake”" in page.inner_text("#draft-said")
    page.click("#undo")
    page.click("#up-item1")
    page.click("text=Roles and seats")
    page.fill("#id_role2-name", "Quality Lead")
    page.click("#save")
    plan = small.template.current.blueprint()
    assert [item.title for item in plan.items[:3]] == ["Backup taken", "All PRs merged", "Order cake"]
    assert plan.seats[2].role == "Quality Lead"


def test_what_is_pasted_is_previewed_while_typing_and_pages_are_open_to_everybody(page_as, live_url, ada, small, axe):
    page = page_as(ada, viewport={"width": 360, "height": 740})
    page.goto(f"{live_url}/checklists/import/")
    page.fill("#id_text", dump(replace(SMALL, phases=SMALL.phases[1:])))
    page.wait_for_selector("#understood-h")
    assert axe(page) == []
    page.click("button[value=save]")
    page.wait_for_url("**/checklists/small-checklist/")
    assert small.template.current.number == 2
    for path in ("", "small-checklist/", "small-checklist/diff/", "small-checklist/edit/"):
        page.goto(f"{live_url}/checklists/{path}")
        assert axe(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_paste_larger_than_a_form_may_be_is_answered_with_the_limit(as_ada, small, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 600 * 1024
    answer = as_ada.post("/checklists/import/", {"text": "x" * 700 * 1024})
    assert answer.status_code == 413
    assert "This site takes up to 600.0 KB in one form" in text_of(answer).replace("\xa0", " ")
    assert Template.objects.count() == 1
