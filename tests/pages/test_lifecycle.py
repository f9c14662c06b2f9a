"""Start, finish and close: each page says what stands before it, and lets it happen when nothing does."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from releases import gonogo, items, workflow
from releases.gonogo import FollowUp
from releases.models import Call, Item, Release, Status
from tests.factories import Cast, bring_to, fresh, item, settle, vote_go
from tests.web import markup, signed_in, text


def url(name: str, release: Release) -> str:
    return reverse(f"releases:{name}", args=[release.key])


@pytest.fixture
def cleared(release: Release) -> Release:
    return bring_to(release, Status.CLEARED)


def test_inside_its_window_a_cleared_release_starts_with_one_button(cleared: Release, cast: Cast) -> None:
    with time_machine.travel(cleared.t_zero + timedelta(minutes=1)):
        ada = signed_in(cast.ada)
        page = ada.get(url("start", cleared))
        assert "The window is open and everything that must hold does" in text(page)
        assert "<textarea" not in markup(page)
        assert ada.post(url("start", cleared)).status_code == 303
    assert fresh(cleared).status == Status.DEPLOYING


@pytest.mark.parametrize(
    ("away", "words"),
    [(timedelta(hours=-1), "T-0 has not come"), (timedelta(hours=3), "the window has ended and the GO with it")],
)
def test_early_or_late_it_asks_for_the_reason_and_keeps_it_as_an_override(
    cleared: Release, cast: Cast, away: timedelta, words: str
) -> None:
    with time_machine.travel(cleared.t_zero + away):
        ada = signed_in(cast.ada)
        assert words in text(ada.get(url("start", cleared)))
        bare = ada.post(url("start", cleared))
        assert bare.status_code == 422
        assert "Say why it starts all the same" in text(bare)
        assert fresh(cleared).status == Status.CLEARED
        assert ada.post(url("start", cleared), {"override": "agreed by phone"}).status_code == 303
    assert fresh(cleared).overrides.get(verb="start").reason == "agreed by phone"


def test_what_no_reason_can_override_is_said_and_has_no_button(release: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    page = ada.get(url("start", release))
    assert "It cannot start: " in text(page)
    assert "PAY-4.2 has no standing GO" in text(page)
    assert 'id="start"' not in markup(page)
    refused = ada.post(url("start", release), {"override": "anyway"})
    assert refused.status_code == 422
    assert "The deployment of PAY-4.2 cannot start" in text(refused)


def test_an_open_condition_holds_the_start_and_names_its_owner(release: Release, cast: Cast) -> None:
    polling = bring_to(release, Status.POLLING)
    vote_go(polling)
    condition = FollowUp("Warm the caches", cast.gus, timezone.now() + timedelta(days=1), "start")
    gonogo.decide(polling, Call.CONDITIONAL_GO, by=cast.ada, rationale="with care", conditions=[condition])
    page = text(signed_in(cast.ada).get(url("start", fresh(polling))))
    assert "It cannot start: " in page
    assert "“Warm the caches” is still open Gus Rao" in page


def test_a_hold_holds_the_start(cleared: Release, cast: Cast) -> None:
    workflow.hold(cleared, "wait for the vendor", by=cast.ada)
    assert "the clock is on hold" in text(signed_in(cast.ada).get(url("start", cleared)))


def test_nobody_but_the_coordinator_starts_finishes_or_closes(cleared: Release, cast: Cast) -> None:
    for name in ("start", "finish", "close"):
        for answer in (signed_in(cast.dana).get(url(name, cleared)), signed_in(cast.dana).post(url(name, cleared))):
            assert answer.status_code == 403
            assert "Ada Lovelace (Release Coordinator)" in text(answer)


def test_the_end_of_the_deployment_waits_for_every_production_item(release: Release, cast: Cast) -> None:
    deploying = bring_to(release, Status.DEPLOYING)
    ada = signed_in(cast.ada)
    assert "Not yet: 2 items are open" in text(ada.get(url("finish", deploying)))
    refused = ada.post(url("finish", deploying))
    assert refused.status_code == 422
    assert "The deployment of PAY-4.2 cannot be finished: 2 items are open" in text(refused)

    settle(item(deploying, "Deployment executed"))
    watched = Item.objects.of(deploying).get(kind=Kind.WATCH)
    with time_machine.travel(timezone.now() - timedelta(minutes=20)):
        items.start_watch(watched, by=cast.ada)
    items.end_watch(watched, items.Verdict.HEALTHY, by=cast.ada)
    assert "Every required production item is settled" in text(ada.get(url("finish", deploying)))
    assert ada.post(url("finish", deploying)).status_code == 303
    assert fresh(deploying).status == Status.DEPLOYED


def test_closing_waits_for_every_post_deployment_item_but_its_own(release: Release, cast: Cast) -> None:
    deployed = bring_to(release, Status.DEPLOYED)
    ada = signed_in(cast.ada)
    assert "Not yet: 1 item is open" in text(ada.get(url("close", deployed)))
    assert ada.post(url("close", deployed)).status_code == 422
    settle(item(deployed, "Release announced"))
    assert "Every required post-deployment item is settled" in text(ada.get(url("close", deployed)))
    assert ada.post(url("close", deployed)).status_code == 303
    closed = fresh(deployed)
    assert closed.status == Status.CLOSED
    assert Item.objects.of(closed).get(kind=Kind.CLOSE, phase__stage=Stage.POST_DEPLOYMENT).is_done


@pytest.mark.parametrize("name", ["start", "finish", "close"])
def test_a_press_sent_twice_has_one_effect_and_ends_in_the_same_place(release: Release, cast: Cast, name: str) -> None:
    before = {"start": Status.CLEARED, "finish": Status.DEPLOYING, "close": Status.DEPLOYED}[name]
    ready = bring_to(release, before)
    if name == "finish":
        settle(item(ready, "Deployment executed"))
        watched = Item.objects.of(ready).get(kind=Kind.WATCH)
        with time_machine.travel(timezone.now() - timedelta(minutes=20)):
            items.start_watch(watched, by=cast.ada)
        items.end_watch(watched, items.Verdict.HEALTHY, by=cast.ada)
    if name == "close":
        settle(item(ready, "Release announced"))
    ada = signed_in(cast.ada)
    answers = [ada.post(url(name, ready), {"once": "k1", "override": "agreed by phone"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert {answer["Location"] for answer in answers} == {ready.get_absolute_url()}
