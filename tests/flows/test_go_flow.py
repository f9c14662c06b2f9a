"""A whole go/no-go over HTTP, as forms without script: ask, answer, decide, start."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from relcoord.models import User
from releases.models import Call, Release, Status
from tests.factories import Cast, ReleaseFactory, fresh, seat, settle_gate

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def release(cast: Cast) -> Release:
    return ReleaseFactory(key="PAY-4.2", title="Payments 4.2")


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
        url("decide", release), {"call": "go", "rationale": "All green, nothing speaks against it.", "record": "go"},
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
