"""A team settles a checklist over HTTP, from the first tick to the closed release: with plain forms alone, and by htmx."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client

from checklists.blueprints import Kind
from relcoord.models import User
from releases import gonogo
from releases.audit import audit
from releases.models import Item, Release, State, Status
from tests.factories import Cast, ReleaseFactory, fresh, item, vote_go, window

FORM = re.compile(r"<form[^>]*?(?P<head>[^>]*)>(?P<body>.*?)</form>", re.DOTALL)
FIELD = re.compile(r'<input type="hidden" name="(?P<name>[^"]+)"(?: value="(?P<value>[^"]*)")?')


class Team:
    """The people of the release, each at their own browser, who press what their page offers and nothing else."""

    def __init__(self, release: Release, *, htmx: bool) -> None:
        self.release, self.htmx, self.browsers = release, htmx, dict[int, Client]()

    def browser(self, person: User) -> Client:
        if person.pk not in self.browsers:
            self.browsers[person.pk] = Client(enforce_csrf_checks=True)
            self.browsers[person.pk].force_login(person)
        return self.browsers[person.pk]

    def page(self, person: User) -> str:
        return self.browser(person).get(self.release.get_absolute_url()).content.decode()

    def form(self, html: str, action: str) -> dict[str, str]:
        """The hidden fields of the form that posts to `action`."""
        for found in FORM.finditer(html):
            if f'action="{action}"' in found["head"] or f'action="{action}"' in found[0]:
                return {field["name"]: unescape(field["value"] or "") for field in FIELD.finditer(found["body"])}
        raise AssertionError(f"the page has no form for {action}")

    def tick(self, person: User, row: Item, **said: str) -> str:
        """Press the row's button; fill in what is asked for, if anything is."""
        action = f"/r/{self.release.key}/items/{row.pk}/done/"
        fields = self.form(self.page(person), action) | {"to": "done"}
        answer = self.post(person, action, fields)
        if answer.status_code == 422:
            fields = self.form(answer.content.decode(), action) | {"to": "done"} | said
            answer = self.post(person, action, fields)
        assert answer.status_code == (200 if self.htmx else 303), answer.content.decode()[:800]
        return answer.content.decode()

    def post(self, person: User, action: str, fields: dict[str, str]) -> Any:
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{self.release.get_absolute_url()}"}
        return self.browser(person).post(action, fields, headers=headers if self.htmx else {})

    def whose(self, row: Item) -> User:
        held = self.release.assignments.filter(role=row.role).select_related("user").first() if row.role else None
        return held.user if held else self.release.coordinator


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_team_settles_everything_by_its_own_buttons(cast: Cast, htmx: bool) -> None:
    release = ReleaseFactory(key="PAY-4.2", window=window(timedelta(hours=5)))
    team = Team(release, htmx=htmx)
    gate = [row for row in Item.objects.of(release).gate() if row.kind in (Kind.CHECK, Kind.SIGN_OFF, Kind.ACKNOWLEDGE)]

    for row in gate:
        team.tick(team.whose(row), row, proof="https://ci.example.org/run/1")
    assert "Ready for the Go/No-Go" in team.page(cast.ben)
    assert item(release, "Review deployment readiness").state == State.DONE

    gonogo.open_poll(release, by=cast.ada)
    vote_go(release)
    gonogo.decide(release, gonogo.Call.GO, by=cast.ada, rationale="all green")
    with time_machine.travel(release.t_zero + timedelta(minutes=1)) as clock:
        _deploy(team, cast, clock)
    assert fresh(release).status == Status.CLOSED
    assert audit(fresh(release)).holds


def _deploy(team: Team, cast: Cast, clock: Any) -> None:
    """Start, deploy, watch, finish, announce and close, by the buttons of Ada's page."""
    release, key = team.release, team.release.key
    press(team, cast.ada, f"/r/{key}/start/")
    team.tick(cast.ada, item(release, "Deployment executed"))
    watch = item(release, "Monitor metrics")
    team.tick(cast.ada, watch)
    clock.shift(timedelta(minutes=16))
    asked = team.browser(cast.ada).get(f"/r/{key}/items/{watch.pk}/?form=watch").content.decode()
    fields = team.form(asked, f"/r/{key}/items/{watch.pk}/watch/") | {"verdict": "healthy"}
    team.post(cast.ada, f"/r/{key}/items/{watch.pk}/watch/", fields)
    press(team, cast.ada, f"/r/{key}/finish/")
    team.tick(cast.ada, item(release, "Release announced"))
    press(team, cast.ada, f"/r/{key}/close/")


def press(team: Team, person: User, action: str) -> None:
    """Press the button of the gate card, a plain form."""
    fields = team.form(team.page(person), action)
    answer = team.browser(person).post(action, fields)
    assert answer.status_code == 303, answer.content.decode()[:800]


def test_the_log_in_comes_back_to_the_row_a_mail_points_at(cast: Cast, release: Release) -> None:
    row = item(release, "Assess risks")
    stranger = Client()
    answer = stranger.get(f"/r/{release.key}/items/{row.pk}/")
    assert answer.status_code == 302
    assert f"items/{row.pk}/" in answer["Location"]


def test_a_fragment_asked_for_after_the_session_ended_sends_the_whole_page_to_the_log_in(
    cast: Cast, release: Release
) -> None:
    row = item(release, "Assess risks")
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/r/{release.key}/"}
    answer = Client().post(f"/r/{release.key}/items/{row.pk}/done/", {"to": "done"}, headers=headers)
    assert "HX-Redirect" in answer
    assert f"next=/r/{release.key}/" in answer["HX-Redirect"]
    assert item(release, "Assess risks").state == State.OPEN


def test_two_people_on_one_row_lose_nothing(cast: Cast, release: Release) -> None:
    """Fay has her form open while Ada waives the item: Fay hears so, and both acts are in the history once."""
    team = Team(release, htmx=False)
    row = item(release, "Assess risks")
    action = f"/r/{release.key}/items/{row.pk}/done/"
    fays = team.form(team.page(cast.fay), action) | {"to": "done"}

    waive = f"/r/{release.key}/items/{row.pk}/waive/"
    adas = team.form(team.browser(cast.ada).get(f"/r/{release.key}/items/{row.pk}/?form=waive").content.decode(), waive)
    assert team.post(cast.ada, waive, adas | {"reason": "known and small"}).status_code == 303

    answer = team.post(cast.fay, action, fays)
    assert answer.status_code == 409
    assert "Ada Lovelace changed “Assess risks”" in answer.content.decode()
    assert item(release, "Assess risks").state == State.WAIVED
    words = [event.action for event in release.events.all()]
    assert words.count("item.waived") == 1
    assert words.count("item.done") == 0
