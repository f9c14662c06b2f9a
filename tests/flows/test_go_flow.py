"""A whole go/no-go over HTTP, as forms without script: ask, answer, decide, start."""

from __future__ import annotations

from datetime import timedelta

import time_machine
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases.models import Call, Release, Status
from tests.factories import Cast, fresh, seat, settle_gate
from tests.web import signed_in, text


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


def answer(release: Release, name: str, user: User, choice: str, statement: str = "") -> None:
    row = seat(release, name)
    posted = signed_in(user).post(
        url("ballot", release, row.pk), {f"seat-{row.pk}-choice": choice, f"seat-{row.pk}-statement": statement}
    )
    assert posted.status_code == 303, posted.content.decode()


def test_a_release_is_polled_decided_and_started_by_forms_alone(release: Release, cast: Cast) -> None:
    settle_gate(release)
    ada = signed_in(cast.ada)
    page = ada.get(url("decision", release))
    assert "No one has been asked yet" in page.content.decode()

    assert ada.post(url("poll_open", release)).status_code == 303
    for name, person in (("Release Coordinator", cast.ada), ("Project Manager", cast.dana), ("QA Lead", cast.ben)):
        answer(release, name, person, "go", "plan and people are ready")
    answer(release, "Risk Champion", cast.fay, "abstain")
    assert "4 of 4 answered" in ada.get(url("decision", release)).content.decode()

    decided = ada.post(
        url("decide", release),
        {"call": "go", "rationale": "All green, nothing speaks against it.", "record": "go"},
        follow=True,
    )
    words = decided.content.decode()
    decision = release.decisions.get()
    assert (decision.call, fresh(release).status) == (Call.GO, Status.CLEARED)
    assert "Decided by <b>Ada Lovelace</b>" in words
    assert release.events.get(action="decision.recorded").hash in words

    with time_machine.travel(release.t_zero + timedelta(minutes=5), tick=False):
        ada = signed_in(cast.ada)
        assert "The window is open" in ada.get(url("start", release)).content.decode()
        assert ada.post(url("start", release)).status_code == 303
    assert fresh(release).status == Status.DEPLOYING


def test_a_no_go_leads_through_its_action_items_to_a_second_round_that_ends_in_go(release: Release, cast: Cast) -> None:
    settle_gate(release)
    ada, gus = signed_in(cast.ada), signed_in(cast.gus)
    ada.post(url("poll_open", release))
    answer(release, "QA Lead", cast.ben, "no_go", "two queries fail")
    later = timezone.localtime() + timedelta(days=9)
    due = f"{timezone.localtime() + timedelta(days=2):%Y-%m-%dT%H:%M}"
    said = {
        "call": "no_go",
        "rationale": "Two queries fail.",
        "record": "no_go",
        "then": "new",
        "action-rows": "3",
        "action-0-title": "Rebuild the index",
        "action-0-owner": "Gus Rao",
        "action-0-due": due,
        "new-day": f"{later:%Y-%m-%d}",
        "new-at": "14:00",
        "new-zone": "Europe/Berlin",
        "new-ends": "16:00",
    }
    assert ada.post(url("decide", release), said).status_code == 303
    assert fresh(release).schedule_version == 2

    shut = ada.post(url("poll_open", release), {"next": url("decision", release)}, follow=True)
    assert "“Rebuild the index” is still open" in text(shut)
    action = release.action_items.get()
    assert gus.post(url("action_settle", release, action.pk), {"state": "done"}).status_code == 303
    settle_gate(fresh(release))
    assert ada.post(url("poll_open", release)).status_code == 303
    for name, person in (("Release Coordinator", cast.ada), ("Project Manager", cast.dana), ("QA Lead", cast.ben)):
        answer(release, name, person, "go")
    assert ada.post(url("decide", release), {"call": "go", "rationale": "Fixed.", "record": "go"}).status_code == 303
    words = text(ada.get(url("decision", release)))
    assert fresh(release).status == Status.CLEARED
    assert "Decided by Ada Lovelace" in words
    assert "Earlier rounds Round 1: NO-GO" in words
