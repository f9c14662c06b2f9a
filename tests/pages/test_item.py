"""Acting on an item over HTTP: what is taken, what is asked, what is refused, and that nothing typed is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from releases import gonogo, items, ticking
from releases.live import token
from releases.models import Item, Note, Override, Release, State, Status, Verdict, Watch
from releases.workflow import Window
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, phase, role, settle_gate, window

HTMX = {"HX-Request": "true"}


class Desk:
    """Somebody at their browser: posts forms on items, plain or by htmx as from the release page."""

    def __init__(self, client: Client, release: Release) -> None:
        self.client, self.release = client, release

    def sits(self, person: Any) -> Desk:
        self.client.force_login(person)
        return self

    def url(self, name: str, row: Item | None = None) -> str:
        return reverse(f"releases:{name}", args=[self.release.key, *([row.pk] if row else [])])

    def post(self, name: str, row: Item | None = None, htmx: bool = False, **fields: Any) -> HttpResponse:
        headers = {}
        if htmx:
            page = f"http://testserver{self.release.get_absolute_url()}"
            headers = {**HTMX, "HX-Current-URL": page, "X-Live-Token": str(token(fresh(self.release), now()))}
        return self.client.post(self.url(name, row), fields, headers=headers)  # type: ignore[return-value]

    def tick(self, row: Item, htmx: bool = False, **fields: Any) -> HttpResponse:
        return self.post("item_done", row, htmx, **({"to": "done", "v": row.version} | fields))


def now() -> Any:
    from django.utils import timezone

    return timezone.now()


@pytest.fixture
def desk(client: Client, release: Release) -> Desk:
    return Desk(client, release)


def text(answer: HttpResponse) -> str:
    return answer.content.decode()


# Tick


def test_a_plain_tick_is_saved_and_leads_back_to_its_row(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    answer = desk.sits(cast.fay).tick(row)

    assert (answer.status_code, answer["Location"]) == (303, f"/r/PAY-4.2/#item-{row.pk}")
    page = text(desk.client.get("/r/PAY-4.2/"))
    assert "Assess risks is done" in page
    assert reverse("releases:item_reopen", args=["PAY-4.2", row.pk]) in page  # the way back
    assert item(release, "Assess risks").state == State.DONE


def test_an_htmx_tick_answers_with_the_row_and_all_that_changed_in_one_go(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Assess risks")
    answer = desk.sits(cast.fay).tick(row, htmx=True)
    html = text(answer)

    assert answer.status_code == 200
    assert html.lstrip().startswith(f'<li class="row" id="item-{row.pk}" data-state="done"')
    for region in ("head", "gate", "rail", "people", "activity"):
        assert f'id="{region}" hx-swap-oob="true"' in html or f'id="{region}" data-mode="prepare" hx-swap-oob' in html
    assert 'id="phase-3-count" hx-swap-oob="true"' in html
    assert 'hx-swap-oob="beforeend:#toasts"' in html
    assert "Undo" in html
    assert "Go/No-Go: 1 of 4 settled" in html  # for those who listen
    assert "live:token" in answer["HX-Trigger"]


def test_the_answer_brings_what_others_changed_meanwhile(desk: Desk, release: Release, cast: Cast) -> None:
    row, other = item(release, "Assess risks"), item(release, "All PRs merged")
    seen = str(token(fresh(release), now()))
    ticking.set_done(other, True, by=cast.ada)

    headers = {**HTMX, "HX-Current-URL": "http://testserver/r/PAY-4.2/", "X-Live-Token": seen}
    desk.sits(cast.fay)
    answer = desk.client.post(desk.url("item_done", row), {"to": "done", "v": row.version}, headers=headers)

    assert f'id="item-{other.pk}" data-state="done" hx-swap-oob="true"' in text(answer)  # type: ignore[arg-type]


def test_a_tick_from_another_page_touches_nothing_that_is_not_there(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    headers = {**HTMX, "HX-Current-URL": f"http://testserver/r/PAY-4.2/items/{row.pk}/"}
    desk.sits(cast.fay)
    html = desk.client.post(desk.url("item_done", row), {"to": "done", "v": 1}, headers=headers).content.decode()
    assert 'id="head"' in html
    assert 'id="gate"' not in html
    assert 'id="rail"' not in html


def test_a_tick_asks_the_database_no_more_than_twelve_times(desk: Desk, release: Release, cast: Cast) -> None:
    desk.sits(cast.fay).client.get("/r/PAY-4.2/")  # as she reads it before
    row = item(release, "Assess risks")
    with CaptureQueriesContext(connection) as read:
        assert desk.tick(row, htmx=True).status_code == 200
    asked = [q["sql"] for q in read.captured_queries if "SAVEPOINT" not in q["sql"] and "heartbeat" not in q["sql"]]
    assert len(asked) - 1 <= 12, "\n".join(asked)  # one is the test's own, for the token


def test_a_tick_leads_back_to_the_page_it_came_from_on_this_site_alone(
    desk: Desk, release: Release, cast: Cast
) -> None:
    desk.sits(cast.fay)
    assert desk.tick(item(release, "Assess risks"), next="/me/")["Location"] == "/me/"
    for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        row = item(release, "Assess risks")
        answer = desk.post("item_done", row, to="open" if row.is_done else "done", v=row.version, next=elsewhere)
        assert answer["Location"].startswith("/r/PAY-4.2/")


def test_undo_brings_the_item_back(desk: Desk, release: Release, cast: Cast) -> None:
    desk.sits(cast.fay).tick(item(release, "Assess risks"))
    row = item(release, "Assess risks")
    assert desk.post("item_reopen", row, v=row.version).status_code == 303
    assert item(release, "Assess risks").state == State.OPEN


def test_the_same_tick_twice_is_one(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    desk.sits(cast.fay).tick(row)
    count = fresh(release).event_sequence
    assert desk.tick(row).status_code == 303
    assert fresh(release).event_sequence == count


def test_who_came_second_gets_the_fresh_row_and_the_name_of_who_was_first(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Assess risks")
    ticking.block(row, "the report is missing", by=cast.fay)

    for htmx in (False, True):
        answer = desk.sits(cast.fay).tick(row, htmx=htmx)
        assert answer.status_code == 409
        assert "Fay Lindqvist changed “Assess risks”" in text(answer)
        assert "You changed nothing" in text(answer)
        assert 'data-state="blocked"' in text(answer)
    assert item(release, "Assess risks").state == State.BLOCKED


def test_who_may_not_hears_who_may(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "QA sign-off obtained")
    for htmx in (False, True):
        answer = desk.sits(cast.gus).tick(row, htmx=htmx)
        assert answer.status_code == 403
        assert "Ben Osei (QA Lead)" in text(answer)
    assert item(release, "QA sign-off obtained").state == State.OPEN


def test_a_locked_item_says_why(desk: Desk, release: Release, cast: Cast) -> None:
    answer = desk.sits(cast.ada).tick(item(release, "Deployment executed"), htmx=True)
    assert answer.status_code == 422
    assert "opens when the deployment is started on a standing GO" in text(answer)


@pytest.mark.parametrize("fields", [{}, {"to": "toggle"}, {"to": "done", "v": "x"}, {"to": "done", "v": "-9" * 40}])
def test_a_form_of_nonsense_changes_nothing(desk: Desk, release: Release, cast: Cast, fields: dict[str, str]) -> None:
    desk.sits(cast.fay)
    answer = desk.client.post(desk.url("item_done", item(release, "Assess risks")), fields)
    assert answer.status_code in (409, 422)
    assert item(release, "Assess risks").state == State.OPEN


def test_an_item_of_another_release_is_not_found(desk: Desk, cast: Cast) -> None:
    elsewhere = item(ReleaseFactory(), "Assess risks")
    desk.sits(cast.fay)
    assert desk.client.post(desk.url("item_done", elsewhere), {"to": "done"}).status_code == 404


# Reasons


def test_acting_for_another_asks_for_the_reason_and_names_what_the_record_will_show(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Assess risks")
    for htmx in (False, True):
        answer = desk.sits(cast.ada).tick(row, htmx=htmx)
        html = text(answer)
        assert answer.status_code == 422
        assert "The record will show: Ada Lovelace for Fay Lindqvist" in html
        assert 'name="reason"' in html
        assert "autofocus" in html
        assert 'name="to" value="done"' in html
    assert item(release, "Assess risks").state == State.OPEN

    desk.tick(row, reason="Fay said so by phone")
    done = item(release, "Assess risks")
    assert (done.state, done.state_for, done.state_reason) == (State.DONE, "Fay Lindqvist", "Fay said so by phone")


def test_evidence_that_is_wanted_is_asked_for_and_ticks_in_one_go(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Performance verified")
    for htmx in (False, True):
        answer = desk.sits(cast.gus).tick(row, htmx=htmx)
        assert answer.status_code == 422
        assert "wants evidence" in text(answer)
        assert 'name="proof"' in text(answer)
        assert "autofocus" in text(answer)

    desk.tick(row, proof="https://ci.example.org/run/4812", commit="9f3c2ab")
    done = item(release, "Performance verified")
    assert done.state == State.DONE
    given = done.evidence.get()
    assert (given.url, given.label, given.commit) == (
        "https://ci.example.org/run/4812",
        "ci.example.org/run/4812",
        "9f3c2ab",
    )


def test_evidence_and_reason_are_asked_one_after_the_other_and_nothing_typed_is_lost(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Performance verified")
    asked = desk.sits(cast.ada).tick(row, reason="Gus is away")
    assert 'name="reason" value="Gus is away"' in text(asked)

    again = desk.tick(row, proof="looked at the graphs")
    assert again.status_code == 422
    assert "looked at the graphs" in text(again)
    assert "for Gus Rao" in text(again)

    desk.tick(row, proof="looked at the graphs", reason="Gus is away")
    done = item(release, "Performance verified")
    assert (done.state, done.state_for) == (State.DONE, "Gus Rao")
    assert done.evidence.count() == 1


def test_evidence_that_is_no_link_says_so_and_keeps_what_was_typed(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Performance verified")
    for wrong in ("javascript:alert(1)", "ftp://files.example.org/x", "http://", "https://two words"):
        answer = desk.sits(cast.gus).post("item_evidence", row, proof=wrong, label="Graphs")
        assert answer.status_code == 422
        assert "A link begins with https://" in text(answer)
        assert 'value="Graphs"' in text(answer)
    assert not row.evidence.exists()


def test_evidence_can_be_a_sentence(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Performance verified")
    assert desk.sits(cast.gus).post("item_evidence", row, proof="p99 is 4 % better").status_code == 303
    assert row.evidence.get().label == "p99 is 4 % better"


@pytest.mark.parametrize(
    ("name", "title", "state", "asks"),
    [
        ("item_block", "Assess risks", State.BLOCKED, "What blocks it?"),
        ("item_not_applicable", "Backup taken", State.NOT_APPLICABLE, "Why does it not apply?"),
        ("item_waive", "Assess risks", State.WAIVED, "Why is it accepted without?"),
    ],
)
def test_states_that_need_a_reason_ask_for_it(
    desk: Desk, release: Release, cast: Cast, name: str, title: str, state: State, asks: str
) -> None:
    row = item(release, title)
    for htmx in (False, True):
        empty = desk.sits(cast.ada).post(name, row, htmx, v=row.version)
        assert empty.status_code == 422
        assert asks in text(empty)
        assert "Give a reason; the record shows it." in text(empty)

    assert desk.post(name, row, v=row.version, reason="agreed in the stand-up").status_code == 303
    assert (item(release, title).state, item(release, title).state_reason) == (state, "agreed in the stand-up")
    assert desk.post("item_reopen", item(release, title)).status_code == 303
    assert item(release, title).state == State.OPEN


def test_an_item_that_is_not_conditional_cannot_be_called_not_applicable_and_the_words_stay(
    desk: Desk, release: Release, cast: Cast
) -> None:
    answer = desk.sits(cast.ada).post("item_not_applicable", item(release, "All PRs merged"), reason="we never do")
    assert answer.status_code == 422
    assert "is not conditional" in text(answer)
    assert "we never do" in text(answer)


def test_a_menu_line_opens_its_form_in_the_row(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    desk.sits(cast.fay)
    answer = desk.client.get(f"{desk.url('item', row)}?form=block", headers=HTMX)
    html = answer.content.decode()
    assert html.lstrip().startswith("<li")
    assert f'action="{desk.url("item_block", row)}"' in html
    assert "Not now" in html


# After the GO


def test_reopening_after_a_go_asks_on_a_page_that_names_the_consequence(
    desk: Desk, release: Release, cast: Cast
) -> None:
    bring_to(release, Status.CLEARED)
    row = item(release, "All PRs merged")
    for htmx in (False, True):
        answer = desk.sits(cast.ada).post("item_done", row, htmx, to="open", v=row.version)
        assert answer.status_code == 422
        assert "The GO is revoked, the release goes back to preparing and everyone on it is told" in text(answer)
        assert 'name="revoke"' in text(answer)
    assert fresh(release).status == Status.CLEARED
    assert item(release, "All PRs merged").state == State.DONE

    desk.post("item_reopen", row, v=row.version, revoke="a change came late")
    assert fresh(release).status == Status.PREPARING
    assert item(release, "All PRs merged").state == State.OPEN
    assert release.decisions.get().ended_reason == "a change came late"  # type: ignore[attr-defined]


def test_blocking_after_a_go_asks_the_same_and_keeps_the_reason_typed(desk: Desk, release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLEARED)
    row = item(release, "Assess risks")
    asked = desk.sits(cast.fay).post("item_block", row, v=row.version, reason="a CVE came in")
    assert asked.status_code == 422
    assert "The GO is revoked" in text(asked)
    assert "a CVE came in" in text(asked)

    desk.post("item_block", row, v=row.version, reason="a CVE came in", revoke="we must look at it first")
    assert fresh(release).status == Status.PREPARING


def test_an_act_that_takes_the_go_back_tells_the_page_to_fetch_its_list(
    desk: Desk, release: Release, cast: Cast
) -> None:
    bring_to(release, Status.CLEARED)
    row = item(release, "All PRs merged")
    answer = desk.sits(cast.ada).post("item_reopen", row, True, v=row.version, revoke="a change came late")
    assert answer["HX-Trigger-After-Settle"] == "live:list"
    assert 'id="gate" hx-swap-oob="true"' in text(answer)


def test_adding_a_required_item_after_a_go_asks_for_the_reason(desk: Desk, release: Release, cast: Cast) -> None:
    bring_to(release, Status.CLEARED)
    fields = {"phase": phase(release, "Staging").pk, "title": "Warm the caches", "required": "on", "kind": "check"}
    asked = desk.sits(cast.ada).post("item_add", **fields)
    assert asked.status_code == 422
    assert "The GO is revoked" in text(asked)
    assert "Warm the caches" in text(asked)
    assert fresh(release).status == Status.CLEARED

    assert desk.post("item_add", **fields, revoke="caches were cold last time").status_code == 303
    assert fresh(release).status == Status.PREPARING


def test_an_overridden_item_comes_open_without_revoking(desk: Desk, release: Release, cast: Cast) -> None:
    ticking.block(item(release, "Assess risks"), "no report", by=cast.fay)
    gonogo.open_poll(release, by=cast.ada)
    gonogo.decide(release, gonogo.Call.GO, by=cast.ada, rationale="known", override="we know the risks")
    assert Override.objects.filter(release=release).exists()

    row = item(release, "Assess risks")
    assert desk.sits(cast.fay).post("item_reopen", row, v=row.version).status_code == 303
    assert fresh(release).status == Status.CLEARED


# Watch and close


def test_a_watch_starts_shows_and_ends_with_its_verdict(cast: Cast, client: Client) -> None:
    release = bring_to(ReleaseFactory(key="PAY-4.2"), Status.DEPLOYING)
    desk, row = Desk(client, release).sits(cast.ada), item(release, "Monitor metrics")

    started = desk.tick(row, htmx=True)
    assert 'data-state="active"' in text(started)
    assert "Record the verdict" in text(started)

    early = desk.post("item_watch_end", row, verdict="healthy")
    assert early.status_code == 422
    assert "Too early to call it healthy" in text(early)

    unsaid = desk.post("item_watch_end", row, verdict="hotfix", note=" ")
    assert unsaid.status_code == 422
    assert "Say what you saw." in text(unsaid)

    desk.post("item_watch_end", row, verdict="hotfix", note="a fix went out")
    assert [watch.verdict for watch in Watch.objects.filter(item=row)] == [Verdict.HOTFIX, ""]


def test_a_watch_that_ends_in_a_rollback_leads_to_it(cast: Cast, client: Client) -> None:
    release = bring_to(ReleaseFactory(key="PAY-4.2"), Status.DEPLOYING)
    row = item(release, "Monitor metrics")
    items.start_watch(row, by=cast.ada)

    answer = Desk(client, release).sits(cast.ada).post("item_watch_end", row, verdict="rollback", note="errors at 4 %")
    assert answer["Location"] == "/r/PAY-4.2/rollback/"
    assert fresh(release).status == Status.ROLLING_BACK


def test_the_closing_item_closes_the_release(cast: Cast, client: Client) -> None:
    release = bring_to(ReleaseFactory(key="PAY-4.2"), Status.DEPLOYED)
    desk, row = Desk(client, release).sits(cast.ada), item(release, "Close release ticket")

    held = desk.tick(row)
    assert held.status_code == 422
    assert "cannot be closed: 1 item is open" in text(held)

    desk.tick(item(release, "Release announced"))
    assert desk.tick(row).status_code == 303
    assert fresh(release).status == Status.CLOSED


# Notes


def test_a_note_on_an_item_is_written_once_however_often_it_is_sent(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    for _ in range(2):
        answer = desk.sits(cast.gus).post("item_note", row, text="**seen** it", once="abc")
        assert answer.status_code == 303
    assert Note.objects.filter(item=row).count() == 1
    page = text(desk.client.get(desk.url("item", row)))  # type: ignore[arg-type]
    assert "<strong>seen</strong> it" in page


def test_a_note_on_the_release_comes_back_in_its_place(desk: Desk, release: Release, cast: Cast) -> None:
    answer = desk.sits(cast.ben).post("note", htmx=True, text="Finance asks for a pause")
    assert answer.status_code == 200
    assert "Finance asks for a pause" in text(answer)
    assert desk.post("note", htmx=True, text=" ").status_code == 422
    assert desk.sits(cast.cy).post("note", text="me too").status_code == 403


# The item's own page


def test_the_items_page_holds_its_words_its_history_and_every_form_its_reader_may_use(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Performance verified")
    ticking.block(row, "no numbers", by=cast.gus)
    desk.sits(cast.ada)
    page = text(desk.client.get(desk.url("item", row)))  # type: ignore[arg-type]
    for name in ("item_block", "item_waive", "item_evidence", "item_note", "item_reopen", "item_done"):
        assert f'action="{desk.url(name, row)}"' in page
    assert "marked “Performance verified” blocked: no numbers" in page

    desk.sits(cast.cy)
    page = text(desk.client.get(desk.url("item", row)))  # type: ignore[arg-type]
    assert f'action="{desk.url("item_block", row)}"' not in page


def test_the_guidance_comes_alone_as_safe_html(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    Item.objects.filter(pk=row.pk).update(guidance="Look **closely** <script>x</script>")
    desk.sits(cast.fay)
    html = desk.client.get(f"{desk.url('item', row)}?guide", headers=HTMX).content.decode()
    assert "<strong>closely</strong>" in html
    assert "<script>" not in html


# The coordinator changes the list


def test_the_coordinator_adds_edits_moves_and_gives_items(desk: Desk, release: Release, cast: Cast) -> None:
    desk.sits(cast.ada)
    staging = phase(release, "Staging")
    desk.post("item_add", phase=staging.pk, title="Warm the caches", kind="check", role=role("Developers").pk)
    row = item(release, "Warm the caches")
    assert (row.phase, row.role, row.required) == (staging, role("Developers"), False)

    words = {"title": "Warm all caches", "required": "on", "condition": "if needed", "v": row.version}
    assert desk.post("item_edit", row, **words, role=role("QA Lead").pk).status_code == 303
    row.refresh_from_db()
    assert (row.title, row.required, row.condition, row.role) == ("Warm all caches", True, "if needed", role("QA Lead"))

    desk.post("item_move", row, to="up")
    assert [entry.title for entry in staging.items.order_by("position")][1] == "Warm all caches"
    desk.post("item_move", row, to="down")
    assert [entry.title for entry in staging.items.order_by("position")][2] == "Warm all caches"
    desk.post("item_move", row, to="phase", phase=phase(release, "Readiness").pk)
    assert item(release, "Warm all caches").phase.name == "Readiness"

    chosen = [item(release, title).pk for title in ("All PRs merged", "Order cake")]
    desk.post("items_give", items=chosen, role=role("Developers").pk)
    assert {item(release, title).role for title in ("All PRs merged", "Order cake")} == {role("Developers")}


def test_an_edit_on_what_somebody_changed_meanwhile_is_409_and_keeps_the_words(
    desk: Desk, release: Release, cast: Cast
) -> None:
    row = item(release, "Assess risks")
    ticking.set_done(row, True, by=cast.fay)
    answer = desk.sits(cast.ada).post("item_edit", row, title="Weigh the risks", required="on", v=row.version)
    assert answer.status_code == 409
    assert "Weigh the risks" in text(answer)
    assert item(release, "Assess risks").title == "Assess risks"


def test_a_due_moment_is_read_as_the_releases_clock_shows_it(cast: Cast, client: Client) -> None:
    begins = (now() + timedelta(days=4)).replace(second=0, microsecond=0)
    release = ReleaseFactory(key="PAY-4.2", window=Window(begins, begins + timedelta(hours=2), "Europe/Berlin"))
    desk, row = Desk(client, release), item(release, "All PRs merged")
    wall = release.t_zero.astimezone(release.zone).strftime("%Y-%m-%dT00:30")
    assert desk.sits(cast.ada).post("item_due", row, due=wall, v=row.version).status_code == 303
    row = item(release, "All PRs merged")
    due = fresh(release).plan[0].due_of(row)
    assert due is not None
    assert due.astimezone(release.zone).strftime("%Y-%m-%dT%H:%M") == wall
    assert wall in text(desk.client.get(desk.url("item_edit", row)))  # type: ignore[arg-type]

    assert desk.post("item_due", row, due="", v=row.version).status_code == 303
    assert item(release, "All PRs merged").due == ""


@pytest.mark.parametrize(("wrong", "says"), [("tomorrow", "Write day and time like"), ("9999-12-31T23:59", "before")])
def test_a_due_moment_that_makes_no_sense_says_what_would(
    desk: Desk, release: Release, cast: Cast, wrong: str, says: str
) -> None:
    answer = desk.sits(cast.ada).post("item_due", item(release, "All PRs merged"), due=wrong)
    assert answer.status_code == 422
    assert says in text(answer)
    assert wrong in text(answer)


def test_giving_nothing_to_a_role_says_so(desk: Desk, release: Release, cast: Cast) -> None:
    answer = desk.sits(cast.ada).post("items_give", role=role("Developers").pk)
    assert answer.status_code == 422
    assert "Choose at least one item." in text(answer)


def test_only_the_coordinator_changes_the_list(desk: Desk, release: Release, cast: Cast) -> None:
    row = item(release, "Assess risks")
    desk.sits(cast.fay)
    for name, of in (("item_add", None), ("items_give", None), ("item_edit", row), ("edit", None)):
        assert desk.client.get(desk.url(name, of)).status_code == 403
        assert desk.post(name, of, title="x").status_code in (403, 422)
    assert desk.post("item_move", row, to="up").status_code == 403
    assert desk.post("item_due", row, due="").status_code == 403
    assert item(release, "Assess risks").title == "Assess risks"


# The release's details


def test_the_coordinator_edits_the_release(desk: Desk, release: Release, cast: Cast) -> None:
    desk.sits(cast.ada)
    assert 'value="Payments"' in text(desk.client.get(desk.url("edit")))  # type: ignore[arg-type]
    fields = {"title": "Payments 4.2", "notes": "Freeze on *Friday*", "restricted": "on", "viewers": [cast.cy.pk]}
    assert desk.post("edit", **fields).status_code == 303
    changed = fresh(release)
    assert (changed.title, changed.restricted, list(changed.viewers.all())) == ("Payments 4.2", True, [cast.cy])
    assert "<em>Friday</em>" in text(desk.client.get("/r/PAY-4.2/"))  # type: ignore[arg-type]

    empty = desk.post("edit", title=" ", notes="kept")
    assert empty.status_code == 422
    assert "A release needs a title." in text(empty)
    assert "kept" in text(empty)


def test_the_first_tick_that_makes_the_gate_hold_says_so_at_once(cast: Cast, client: Client) -> None:
    release = ReleaseFactory(key="PAY-4.2", window=window())
    settle_gate(release)
    ticking.reopen(item(release, "Assess risks"), by=cast.fay)
    html = text(Desk(client, release).sits(cast.fay).tick(item(release, "Assess risks"), htmx=True))
    assert "Ready for the Go/No-Go: everything before it is settled" in html


def test_an_item_of_another_release_is_not_found_under_this_one(desk: Desk, release: Release, cast: Cast) -> None:
    other = item(ReleaseFactory(key="PAY-5.0"), "All PRs merged")
    desk.sits(cast.ada)
    assert desk.tick(other).status_code == 404
    for name, said in (("item_block", {"reason": "x"}), ("item_note", {"text": "x"}), ("item_reopen", {})):
        assert desk.post(name, other, v=other.version, **said).status_code == 404
    other.refresh_from_db()
    assert (other.state, other.version) == (State.OPEN, 1)
