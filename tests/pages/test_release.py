"""The team's page: where the release stands, who holds it, what is mine; within its budgets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from checklists.blueprints import Blueprint, ItemPlan, PhasePlan, Stage
from checklists.models import Role
from relcoord.models import User
from releases import amending, birth, gonogo, people, rollback, ticking, workflow
from releases.models import Assignment, Item, Release, Status
from releases.sheet import sheet
from releases.views.cards import team, unassigned
from tests.factories import (
    SMALL,
    Cast,
    ReleaseFactory,
    bring_to,
    fresh,
    item,
    role,
    saved,
    seat,
    settle_gate,
    standard,
    vote_go,
    window,
)
from tests.web import signed_in

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
Page = Callable[..., str]


@pytest.fixture
def page(client: Client, cast: Cast) -> Page:
    """The page of a release as somebody reads it (Ada unless said), without the markup: `page(release, as_=cast.cy)`."""

    def read(release: Release, as_: Any = None, raw: bool = False) -> str:
        client.force_login(as_ or cast.ada)
        html = client.get(release.get_absolute_url()).content.decode()
        return html if raw else words(html)

    return read


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace(" ,", ",")


def part(html: str, name: str, until: str) -> str:
    return words(html[html.index(f'id="{name}"') : html.index(until)])


# Where we stand


def test_an_override_stands_in_the_header_until_the_release_is_closed(release: Release, cast: Cast, page: Page) -> None:
    release = bring_to(release, Status.CLEARED)
    assert "Override" not in part(page(release, raw=True), "head", 'class="tabs"')
    workflow.start_deployment(release, by=cast.ada, override="agreed with support")
    html = page(release, raw=True)
    assert "Override" in part(html, "head", 'class="tabs"')
    assert "Override by Ada Lovelace: agreed with support" in words(html)


def test_a_closed_release_leaves_its_overrides_to_the_record(release: Release, page: Page) -> None:
    closed = bring_to(release, Status.CLOSED)
    assert closed.overrides.exists()
    assert "Override" not in part(page(closed, raw=True), "head", 'class="tabs"')


@pytest.mark.parametrize("status", list(Status))
def test_the_page_stands_in_every_state(release: Release, page: Page, status: Status) -> None:
    text = page(bring_to(release, status))
    assert "PAY-4.2" in text
    assert "of 13 settled" in text


@time_machine.travel(NOON, tick=False)
def test_the_header_counts_down_and_names_the_next_phase(cast: Cast, page: Page) -> None:
    text = page(ReleaseFactory(window=window(timedelta(days=3, hours=1))))
    assert "T−3d 01:00" in text
    assert "Readiness at 13:00 in 1 h 0 min" in text


def test_a_hold_stops_the_clock_and_says_who_and_why(release: Release, cast: Cast, page: Page) -> None:
    workflow.hold(release, "on-call is tied up", by=cast.ada)
    text = page(release)
    assert "HOLD" in text
    assert "Held by Ada Lovelace" in text
    assert "on-call is tied up" in text
    assert "T−" not in text


def test_a_no_go_stands_in_the_clocks_place(release: Release, page: Page) -> None:
    text = page(bring_to(release, Status.NO_GO))
    assert "NO-GO Not rescheduled" in text
    assert "Set a new T-0…" in text


def test_a_go_that_lapsed_with_its_window_says_so(cast: Cast, page: Page) -> None:
    release = bring_to(ReleaseFactory(window=window(timedelta(minutes=30))), Status.CLEARED)
    with time_machine.travel(release.window_end + timedelta(minutes=1)):
        text = page(release)
    assert "The GO has lapsed" in text
    assert "GO lapsed" in text


def test_in_the_window_the_header_says_when_it_closes(cast: Cast, page: Page) -> None:
    release = bring_to(ReleaseFactory(window=window(timedelta(minutes=30))), Status.CLEARED)
    with time_machine.travel(release.t_zero + timedelta(minutes=12), tick=False):
        text = page(release)
    assert "T+00:12" in text
    assert "window closes in 1:48" in text
    assert "the deployment may start" in text


def test_a_rollback_takes_the_header(release: Release, cast: Cast, page: Page) -> None:
    html = page(bring_to(release, Status.ROLLING_BACK), raw=True)
    assert 'data-mode="rollback"' in html
    assert "Rolling back: error rate 4 %" in html


def test_waiting_on_names_people_busiest_first_and_only_for_phases_that_have_opened(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(window=window(timedelta(hours=20)))
    text = part(page(release, raw=True), "head", 'class="tabs"')
    assert re.search(r"Waiting on Ada 2 Ben Gus", text)
    assert "Fay" not in text
    early = ReleaseFactory(window=window(timedelta(days=9)))
    assert "Nobody is waited on" in page(early)


# The rail and the gate


def test_the_rail_says_for_each_phase_how_much_is_settled(release: Release, cast: Cast, page: Page) -> None:
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    html = page(release, raw=True)
    rail = part(html, "rail", 'id="gate"')
    assert "1 of 3" in rail
    assert html.count('aria-current="step"') == 1


@time_machine.travel(NOON, tick=False)
def test_the_rail_marks_where_the_clock_stands_in_a_phase(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(window=window(timedelta(days=2)))
    assert 'svg x="50%"' in page(release, raw=True)


def test_the_gate_says_one_sentence_and_names_before_titles(release: Release, cast: Cast, page: Page) -> None:
    ticking.block(item(release, "Assess risks"), "the risk report is missing", by=cast.fay)
    gate = part(page(release, raw=True), "gate", 'id="list"')
    assert "Not ready: 6 items hold the Go/No-Go, 1 blocked" in gate
    assert re.search(r"Fay\s+Assess risks\s+blocked", gate)
    assert gate.index("Assess risks") < gate.index("All PRs merged")
    assert "Open the decision room" in gate


def test_a_gate_that_holds_is_said_in_words(release: Release, page: Page) -> None:
    settle_gate(release)
    assert "Ready for the Go/No-Go: everything before it is settled" in page(release)


def test_an_open_poll_shows_whose_vote_is_awaited(release: Release, cast: Cast, page: Page) -> None:
    settle_gate(release)
    gonogo.open_poll(release, by=cast.ada)
    gate = part(page(fresh(release), raw=True), "gate", 'id="list"')
    assert "Voting: 3 votes to come" in gate
    assert re.search(r"Ben\s+Vote as QA Lead", gate)
    vote_go(release)
    assert "the decision is the coordinator’s" in page(fresh(release))


def test_a_no_go_ballot_is_named(release: Release, cast: Cast, page: Page) -> None:
    bring_to(release, Status.POLLING)
    gonogo.cast_ballot(release, seat(release, "QA Lead"), gonogo.Choice.NO_GO, by=cast.ben, statement="two fail")
    assert "Ben Osei votes NO-GO as QA Lead" in page(fresh(release))


@pytest.mark.parametrize(
    ("status", "button", "name"),
    [
        (Status.CLEARED, "Start the deployment", "start"),
        (Status.DEPLOYING, "Finish the deployment", "finish"),
        (Status.DEPLOYED, "Close the release", "close"),
    ],
)
def test_the_verb_the_release_stands_before_is_offered_to_the_coordinator_alone(
    release: Release, cast: Cast, page: Page, status: Status, button: str, name: str
) -> None:
    release = bring_to(release, status)
    html = page(release, raw=True)
    gate = html[html.index('id="gate"') : html.index('id="list"')]
    assert f"{button}…" in gate
    assert reverse(f"releases:{name}", args=[release.key]) in gate
    assert button not in part(page(release, cast.ben, raw=True), "gate", 'id="list"')


def test_a_verb_nothing_stands_before_is_one_form_that_asks_once(cast: Cast, page: Page) -> None:
    release = bring_to(ReleaseFactory(window=window(timedelta(minutes=30))), Status.CLEARED)
    with time_machine.travel(release.t_zero + timedelta(minutes=1)):
        html = page(release, raw=True)
    gate = html[html.index('id="gate"') : html.index('id="list"')]
    assert f'<form method="post" action="{reverse("releases:start", args=[release.key])}">' in gate
    assert 'data-confirm="Yes, start now"' in gate
    assert 'name="once"' in gate


# The rows


def row(html: str, of: Item) -> str:
    begins = html.index(f'id="item-{of.pk}"')
    return html[begins : html.index("</li>", begins)]


def test_the_current_phase_is_open_and_the_others_are_folded(release: Release, page: Page) -> None:
    html = page(release, raw=True)
    assert re.search(r'id="phase-1" open>', html)
    assert not re.search(r'id="phase-[2345]" open>', html)
    deploying = page(bring_to(release, Status.DEPLOYING), raw=True)
    assert re.search(r'id="phase-4" open>', deploying)
    assert not re.search(r'id="phase-1" open>', deploying)


def test_a_done_row_says_who_for_whom_and_when_and_shows_what_proves_it(
    release: Release, cast: Cast, page: Page
) -> None:
    proof = ticking.Proof(label="Run 4812", url="https://ci.example.org/4812", commit="9f3c2ab77")
    done = ticking.set_done(
        item(release, "Performance verified"), True, by=cast.ada, on_behalf="Gus said so by phone", proof=proof
    )
    html = row(page(release, raw=True), done)
    text = words(html)
    assert "Ada Lovelace" in text
    assert "For Gus Rao : Gus said so by phone" in text
    assert "Run 4812 at 9f3c2ab" in text
    assert 'href="https://ci.example.org/4812"' in html


def test_a_late_row_says_how_late_and_a_soon_one_how_soon(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(window=window(timedelta(days=2)))
    soon = amending.set_due(item(release, "All PRs merged"), datetime.now(UTC) + timedelta(minutes=30), by=cast.ada)
    assert "due in" in words(row(page(release, raw=True), soon))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        late = row(page(release, raw=True), soon)
    assert re.search(r"late 1 h", words(late))
    assert 'class="tag risk"' in late


def test_nothing_is_late_while_the_clock_is_stopped(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(window=window(timedelta(hours=20)))
    assert "late" in part(page(release, raw=True), "head", 'class="tabs"')
    workflow.hold(release, "waiting for a fix", by=cast.ada)
    assert " late" not in part(page(release, raw=True), "head", 'class="tabs"')


@pytest.mark.parametrize(
    ("title", "has", "has_not"),
    [
        ("All PRs merged", 'name="to" value="done"', "Start the watch"),
        ("Review deployment readiness", "Follows from the earlier phases", "<form"),
        ("Decision made", "Open the decision room", "<form"),
        ("Deployment executed", "after the start", "<form"),
        ("Release announced", "after the deployment", "<form"),
    ],
)
def test_each_kind_of_item_offers_what_settles_it(
    release: Release, page: Page, title: str, has: str, has_not: str
) -> None:
    html = row(page(release, raw=True), item(release, title))
    assert has in html
    assert has_not not in html


def test_a_sign_off_has_a_button_for_its_holder_and_none_for_the_coordinator(
    release: Release, cast: Cast, page: Page
) -> None:
    sign_off = item(release, "QA sign-off obtained")
    assert 'class="tick" id="tick-' in row(page(release, cast.ben, raw=True), sign_off)
    assert 'class="tick" id="tick-' not in row(page(release, cast.ada, raw=True), sign_off)


def test_the_coordinators_button_on_anothers_item_says_for_whom(release: Release, cast: Cast, page: Page) -> None:
    assert "Done for Fay: Assess risks" in page(release, cast.ada)
    assert "Done: Assess risks" in page(release, cast.fay)


def test_who_may_do_nothing_sees_rows_without_buttons_or_menus(release: Release, cast: Cast, page: Page) -> None:
    html = page(release, cast.cy, raw=True)
    rows = html[html.index('id="list"') : html.index('id="people"')]
    assert "<button" not in rows
    assert "row-menu" not in rows
    assert 'id="add-note"' not in html
    assert "Edit the release" not in html


def test_a_watch_shows_its_minutes_and_asks_for_the_verdict(cast: Cast, page: Page) -> None:
    release = bring_to(ReleaseFactory(window=window(timedelta(hours=1))), Status.DEPLOYING)
    assert "Start the watch" in page(release)
    from releases import items

    watch = items.start_watch(item(release, "Monitor metrics"), by=cast.ada)
    with time_machine.travel(watch.started_at + timedelta(minutes=12)):
        text = words(row(page(release, raw=True), watch.item))
    assert "of 15 to 30 min" in text
    assert "healthy possible in" in text
    with time_machine.travel(watch.started_at + timedelta(minutes=31)):
        assert "the verdict is asked for" in words(row(page(release, raw=True), watch.item))


def test_titles_and_notes_are_shown_as_text(release: Release, cast: Cast, page: Page) -> None:
    amending.edit_item(item(release, "All PRs merged"), by=cast.ada, title='<img src=x onerror="x">')
    ticking.write_note(release, "<script>alert(1)</script> **loud**", by=cast.ada)
    html = page(release, raw=True)
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html
    assert "<script>alert" not in html
    assert "<strong>loud</strong>" in html


# Nobody's word is markup

MARKUP = "\"'><script>alert(1)</script><i title='x'>"


class Elements(HTMLParser):
    """The elements of an answer that people's words could have made."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.made: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = dict(attributes)
        if (tag == "script" and "src" not in names) or (tag == "i" and "title" in names):
            self.made.append(tag)


def spoilt(release: Release, cast: Cast) -> Release:
    """The release with `MARKUP` wherever somebody may write."""
    first, second, third = Item.objects.of(release)[:3]
    ticking.add_evidence(first, ticking.Proof(MARKUP, f"https://x.example/{MARKUP}", MARKUP), by=cast.ada)
    ticking.write_note(release, MARKUP, by=cast.ada, item=first)
    ticking.write_note(release, MARKUP, by=cast.ada)
    ticking.block(third, MARKUP, by=cast.ada)
    Item.objects.filter(phase__release=release).update(title=MARKUP, guidance=MARKUP, group=MARKUP, condition=MARKUP)
    Item.objects.filter(pk=second.pk).update(state_for=MARKUP, state_reason=MARKUP)
    release.phases.update(name=MARKUP, note=MARKUP)
    Release.objects.filter(pk=release.pk).update(title=MARKUP, notes=MARKUP)
    Role.objects.update(name=Concat("name", Value(MARKUP)), responsibility=MARKUP)
    User.objects.update(name=Concat(Value(MARKUP), "name"))
    return fresh(release)


def test_no_word_of_anybodys_is_markup_on_the_page_or_in_an_answer(release: Release, cast: Cast, page: Page) -> None:
    release = spoilt(release, cast)
    client, row = signed_in(cast.ada), Item.objects.of(release)[0]
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{release.get_absolute_url()}"}
    done = f"{release.get_absolute_url()}items/{row.pk}/done/"
    answer = client.post(done, {"to": "done", "v": row.version, "reason": MARKUP}, headers=headers)
    assert answer.status_code == 200
    assert 'id="gate"' in answer.content.decode()
    assert not Elements(answer.content.decode()).made
    workflow.hold(release, MARKUP, by=cast.ada)
    html = page(release, raw=True)
    assert not Elements(html).made
    assert html.count("&lt;script&gt;alert(1)") > 60
    assert Elements(f"<p>{MARKUP}").made == ["script", "i"]


# People, notes, what is missing


def test_people_stand_with_their_roles_words_and_open_work(release: Release, page: Page) -> None:
    text = part(page(release, raw=True), "people", "<h2>Do</h2>")
    assert re.search(r"Ben Osei\s+QA Lead\s+Signs off\s+1 open", text)


def test_the_coordinator_hears_calmly_what_nobody_has(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(holders={role("QA Lead"): [cast.ben]})
    text = page(release)
    assert "Nobody is Project Manager or On-call Engineer yet." in text
    assert "items without a role are yours until given to one." in text
    assert "Nobody is Project Manager" not in page(release, cast.ben)


def test_what_the_page_says_is_missing_equals_what_the_birth_says(cast: Cast) -> None:
    release = fresh(ReleaseFactory(holders={role("QA Lead"): [cast.ben]}))
    born = birth.unassigned(release)
    whole = sheet(release, cast.ada, datetime.now(UTC))
    shown = unassigned(whole, team(whole))
    assert shown.items == born.items_without_role
    assert shown.required == list(born.empty_required)
    assert shown.others == list(born.empty_others)


def test_activity_tells_the_latest_events_in_sentences(release: Release, cast: Cast, page: Page) -> None:
    ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)
    assert "Fay Lindqvist ticked “Assess risks”" in page(release)


def test_the_tabs_lead_to_every_page_of_the_release(release: Release, page: Page) -> None:
    html = page(release, raw=True)
    tabs = html[html.index('class="tabs"') : html.index('class="wrap page"')]
    for name in ("release", "decision", "rollback", "release_people", "record", "events"):
        assert reverse(f"releases:{name}", args=[release.key]) in tabs
    assert tabs.count('aria-current="page"') == 1


def test_members_who_may_are_offered_the_rollback(release: Release, cast: Cast, page: Page) -> None:
    release = bring_to(release, Status.DEPLOYED)
    assert "Start a rollback…" in page(release, cast.eli)
    assert "Start a rollback…" not in page(release, cast.ben)
    rollback.trigger(release, "error rate 4 %", by=cast.eli)
    assert "Open the rollback" in page(fresh(release), cast.ben)


def test_a_stranger_gets_404_for_a_restricted_release(client: Client, cast: Cast) -> None:
    release = ReleaseFactory(restricted=True)
    client.force_login(cast.cy)
    assert client.get(release.get_absolute_url()).status_code == 404
    client.logout()
    assert client.get(release.get_absolute_url()).status_code == 302


def test_the_status_can_be_copied_as_text(release: Release, cast: Cast, client: Client) -> None:
    client.force_login(cast.ben)
    ticking.block(item(release, "Assess risks"), "the <report> is missing", by=cast.fay)
    answer = client.get(reverse("releases:status_text", args=[release.key]))
    text = answer.content.decode()

    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert text.startswith("PAY-4.2 Payments: T−3d")
    assert "Not ready: 6 items hold the Go/No-Go, 1 blocked." in text
    assert "Assess risks: Fay Lindqvist, blocked: the <report> is missing" in text
    assert "Coordinator: Ada Lovelace" in text


# Budgets


def test_the_page_of_the_standard_checklist_keeps_to_60_kb(cast: Cast, page: Page) -> None:
    release = ReleaseFactory(key="PAY-4.2", version=standard())
    assert Item.objects.of(release).count() == 29
    html = page(release, raw=True)
    assert len(html.encode()) <= 60 * 1024


def many(count: int) -> Blueprint:
    """SMALL with `count` items more in its first phase, by turns of each role."""
    roles = ["", "QA Lead", "Developers", "Risk Champion", "Project Manager"]
    more = tuple(ItemPlan(f"Check {n}", role=roles[n % 5], guidance="Look **closely**") for n in range(count))
    first = SMALL.phases[0]
    wide = PhasePlan(first.name, Stage.PREPARATION, opens=first.opens, items=first.items + more)
    return replace(SMALL, name=f"With {count}", phases=(wide, *SMALL.phases[1:]))


@pytest.mark.parametrize("status", [Status.PREPARING, Status.POLLING, Status.DEPLOYING, Status.CLOSED])
def test_the_page_reads_as_often_for_5_items_as_for_60(cast: Cast, client: Client, status: Status) -> None:
    client.force_login(cast.ada)
    counts = []
    for size in (5, 47):
        release = bring_to(ReleaseFactory(version=saved(many(size))), status)
        for entry in Item.objects.of(release)[:size]:
            ticking.write_note(release, "seen", by=cast.ada, item=entry)
        client.get(release.get_absolute_url())
        with CaptureQueriesContext(connection) as read:
            assert client.get(release.get_absolute_url()).status_code == 200
        counts.append(len([q for q in read.captured_queries if "heartbeat" not in q["sql"]]))
    assert counts[0] == counts[1]
    more = {Status.POLLING: 3, Status.DEPLOYING: 2}  # the poll, its seats and ballots; an override, the watch
    assert counts[0] <= 10 + more.get(status, 0)


def test_people_read_as_often_for_many_holders(cast: Cast, client: Client, release: Release) -> None:
    client.force_login(cast.ada)

    def count() -> int:
        client.get(release.get_absolute_url())
        with CaptureQueriesContext(connection) as read:
            client.get(release.get_absolute_url())
        return len(read.captured_queries)

    few = count()
    for number in range(12):
        from tests.factories import UserFactory

        people.assign(
            release, role("Developers"), UserFactory(name=f"Dev {number}", email=f"d{number}@x.org"), by=cast.ada
        )
    assert Assignment.objects.filter(release=release).count() > 12
    assert count() == few


def test_two_who_share_a_first_name_are_told_apart(cast: Cast, page: Page) -> None:
    from tests.factories import UserFactory

    other = UserFactory(name="Ben Affleck", email="ben2@example.org")
    held = cast.holders() | {role("Risk Champion"): [other]}
    release = ReleaseFactory(window=window(timedelta(hours=3)), holders=held)
    head = part(page(release, raw=True), "head", 'class="tabs"')
    assert "Ben Affleck" in head
    assert "Ben Osei" in head
