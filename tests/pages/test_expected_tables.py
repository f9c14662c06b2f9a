"""State x verb and role x verb, as `tests/expected/tables.py` has them by hand, driven over HTTP by plain forms.

Carried out means rows changed. Refused means a sentence for the reader and not one row changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checklists.blueprints import Stage
from relcoord.models import User
from releases import people
from releases.models import Item, Release, Status
from tests.expected.tables import ROLE_BY_VERB, STATE_BY_VERB, read
from tests.factories import Cast, ReleaseFactory, UserFactory, bring_to, item, phase, role, seat
from tests.snapshot import changed, snapshot

pytestmark = pytest.mark.django_db

Act = Callable[[Client, Release, Cast], Any]
SAID = re.compile(r'class="(?:[^"]* )?(?:notice|error|blank)\b|Only .{3,200} may |no such page|There is no', re.DOTALL)


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


def on_item(name: str, title: str, **fields: str) -> Act:
    """Post a form of an item, as its row's page has it."""
    return lambda client, release, cast: client.post(url(name, release, item(release, title).pk), fields)


def post(name: str, **fields: str) -> Act:
    return lambda client, release, cast: client.post(url(name, release), fields)


def _reschedule(client: Client, release: Release, cast: Cast) -> Any:
    """See the preview, then confirm what it showed."""
    begins = timezone.now() + timedelta(days=9)
    said = {"day": f"{begins:%Y-%m-%d}", "at": "14:00", "zone": "Europe/Berlin", "ends": "2 h", "reason": "a holiday"}
    preview = client.post(url("reschedule", release), said)
    seen = re.search(r'name="seen"[^>]*value="([^"]*)"', preview.content.decode())
    return client.post(url("reschedule", release), said | {"confirm": "yes", "seen": seen[1] if seen else ""})


def _vote(client: Client, release: Release, cast: Cast) -> Any:
    row = seat(release, "QA Lead")
    return client.post(url("ballot", release, row.pk), {f"seat-{row.pk}-choice": "go"})


def _spoken(client: Client, release: Release, cast: Cast) -> Any:
    row = seat(release, "QA Lead")
    said = {"spoken-voice": f"{row.pk}-{cast.ben.pk}", "spoken-choice": "go"}
    return client.post(url("ballot_spoken", release), said)


def _decide(call: str) -> Act:
    def act(client: Client, release: Release, cast: Cast) -> Any:
        shown = client.get(url("decision", release)).content.decode()
        against = re.search(r'name="against"[^>]*value="([^"]*)"', shown)
        fields = {"call": call, "rationale": "weighed", "then": "later", "record": call, "override": "cannot wait"}
        return client.post(url("decide", release), fields | {"against": against[1] if against else ""})

    return act


def _assess(client: Client, release: Release, cast: Cast) -> Any:
    fields = {"severity": "major", "path": "rollback", "note": "no fix in sight"}
    return client.post(url("rollback_assess", release, 1), fields)


def _assign(client: Client, release: Release, cast: Cast) -> Any:
    return client.post(url("assign", release), {"role": str(role("Developers").pk), "user": str(cast.cy.pk)})


def _transfer(client: Client, release: Release, cast: Cast) -> Any:
    return client.post(url("transfer", release), {"transfer-to": str(cast.gus.pk), "transfer-reason": "a holiday"})


def _add_item(client: Client, release: Release, cast: Cast) -> Any:
    fields = {"phase": str(phase(release, "Readiness").pk), "title": "Licences checked", "required": "on"}
    return client.post(url("item_add", release), fields | {"revoke": "found in review", "kind": "check"})


def _edit_item(client: Client, release: Release, cast: Cast) -> Any:
    row = item(release, "Order cake")
    return client.post(url("item_edit", release, row.pk), {"title": "Order pie", "v": str(row.version)})


def _give(client: Client, release: Release, cast: Cast) -> Any:
    fields = {"items": [str(item(release, "Order cake").pk)], "role": str(role("Developers").pk)}
    return client.post(url("items_give", release), fields)


def _add_action(client: Client, release: Release, cast: Cast) -> Any:
    due = f"{timezone.now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    fields = {"add-title": "Rebuild the index", "add-owner": cast.gus.email, "add-due": due}
    return client.post(url("action_add", release), fields)


def _take_over(client: Client, release: Release, cast: Cast) -> Any:
    return client.post(url("take_over", release), {"take-reason": "Ada cannot be reached"})


def _edit_release(client: Client, release: Release, cast: Cast) -> Any:
    return client.post(url("edit", release), {"title": "Payments, renamed"})


def _withdraw_go(client: Client, release: Release, cast: Cast) -> Any:
    return client.post(url("go_withdraw", release), {"reason": "a CVE", "then": "later", "record": "yes"})


WHY = {"reason": "it is agreed", "revoke": "found in review"}

ACTS: dict[str, Act] = {
    "view": lambda client, release, cast: client.get(release.get_absolute_url()),
    "tick_early": on_item("item_done", "Order cake", to="done"),
    "block_early": on_item("item_block", "Assess risks", **WHY),
    "not_applicable_early": on_item("item_not_applicable", "Backup taken", **WHY),
    "waive_early": on_item("item_waive", "Assess risks", **WHY),
    "reopen_early": on_item("item_done", "Assess risks", to="open", **WHY),
    "tick_production": on_item("item_done", "Deployment executed", to="done"),
    "start_watch": on_item("item_done", "Monitor metrics", to="done"),
    "tick_post": on_item("item_done", "Release announced", to="done"),
    "tick_coordinators": on_item("item_done", "Order cake", to="done"),
    "tick_of_risk": on_item("item_done", "Assess risks", to="done", reason="agreed by phone"),
    "sign_off": on_item("item_done", "QA sign-off obtained", to="done", reason="agreed by phone"),
    "acknowledge": on_item("item_done", "Confirm on-call coverage", to="done", reason="agreed by phone"),
    "reopen_of_risk": on_item("item_done", "Assess risks", to="open", **WHY),
    "add_evidence": on_item("item_evidence", "Order cake", proof="https://example.org/cake"),
    "note": post("note", text="Thanks, all."),
    "add_item": _add_item,
    "edit_item": _edit_item,
    "give_items": _give,
    "assign": _assign,
    "transfer": _transfer,
    "take_over": _take_over,
    "open_poll": post("poll_open"),
    "vote": _vote,
    "vote_qa": _vote,
    "record_spoken": _spoken,
    "decide_no_go": _decide("no_go"),
    "decide_go_override": _decide("go"),
    "withdraw_poll": post("poll_withdraw", **{"poll-reason": "asked too early"}),
    "withdraw_go": _withdraw_go,
    "add_action": _add_action,
    "hold": post("hold", reason="incident elsewhere"),
    "reschedule": _reschedule,
    "cancel": post("cancel", reason="merged into 4.3"),
    "start": post("start", override="agreed with support"),
    "finish": post("finish"),
    "close": post("close"),
    "trigger_rollback": post("rollback_trigger", seen="error rate 4 %"),
    "assess": _assess,
    "edit_release": _edit_release,
}

STATES_FOR = {  # where role x verb is tried: a state in which the verb is legal
    "vote_qa": Status.POLLING,
    "record_spoken": Status.POLLING,
    "decide_no_go": Status.POLLING,
    "withdraw_poll": Status.POLLING,
    "withdraw_go": Status.CLEARED,
    "start": Status.CLEARED,
    "finish": Status.DEPLOYING,
    "close": Status.DEPLOYED,
    "trigger_rollback": Status.DEPLOYING,
    "assess": Status.ROLLING_BACK,
}
ACTOR = {"vote": "ben", "take_over": "dana"}  # of state x verb: who may, where that is not Ada


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def prepare(verb: str, release: Release) -> None:
    """See to it that nothing but the state or the person can be in the way of `verb`."""
    early = release.status in (Status.PREPARING, Status.POLLING, Status.NO_GO, Status.CLEARED)
    if verb in ("finish", "close"):
        _clear_way(release, verb)
    if early and verb.startswith("reopen"):
        Item.objects.filter(pk=item(release, "Assess risks").pk).update(state="done")
    if early and verb in ("tick_of_risk", "sign_off", "acknowledge", "block_early"):
        Item.objects.filter(phase__release=release, phase__stage__in=("preparation", "decision")).update(state="open")
    if early and verb in ("waive_early", "not_applicable_early"):
        title = "Assess risks" if verb == "waive_early" else "Backup taken"
        Item.objects.filter(pk=item(release, title).pk).update(state="open")


def _clear_way(release: Release, verb: str) -> None:
    stage = Stage.PRODUCTION if verb == "finish" else Stage.POST_DEPLOYMENT
    Item.objects.filter(phase__release=release, phase__stage=stage).exclude(kind="close").update(state="done")


def refused_with_a_sentence(answer: Any, client: Client) -> str:
    """The page the reader sees next; "" when it says nothing of a refusal. After a redirect any page says it once."""
    if answer.status_code in (302, 303):
        answer = client.get(reverse("help"))  # the shortest
    words = answer.content.decode()
    return words if SAID.search(words) else ""


class Driver:
    """The people of one release at their browsers, and what was wrong in the cells they tried."""

    def __init__(self, release: Release, cast: Cast) -> None:
        self.release, self.cast = release, cast
        self.clients: dict[int, Client] = {}
        self.wrong: list[str] = []

    def client(self, person: User) -> Client:
        """Signed in, and with the page of the release before them: what looking writes, it writes before."""
        if person.pk not in self.clients:
            self.clients[person.pk] = client_of(person)
            self.clients[person.pk].get(self.release.get_absolute_url())
        return self.clients[person.pk]

    def tries(self, verb: str, person: User, carried_out: bool) -> None:
        """Drive one cell and undo what it did."""
        client = self.client(person)
        cache.clear()
        try:
            with transaction.atomic():
                prepare(verb, self.release)
                drive(verb, client, Release.objects.get(pk=self.release.pk), self.cast, carried_out)
                raise Undo
        except Undo:
            return
        except AssertionError as failure:
            expected = "x" if carried_out else "."
            self.wrong.append(f"{verb} by {person.name}, expected {expected}: {str(failure)[:200]}")


def drive(verb: str, client: Client, release: Release, cast: Cast, carried_out: bool) -> None:
    before = snapshot()
    answer = ACTS[verb](client, release, cast)
    differs = changed(before, snapshot())
    if carried_out and verb == "view":
        assert answer.status_code == 200
    elif carried_out:
        assert differs, f"{answer.status_code}: {answer.content.decode()[-900:]}"
        assert "releases_event" in differs
    else:
        assert differs == []
        assert answer.status_code in (302, 303, 403, 404, 409, 422)
        assert refused_with_a_sentence(answer, client), f"{answer.status_code} without a sentence"


class Undo(Exception):
    """Takes back what a cell did, so that the next one finds the release as it was."""


@pytest.mark.parametrize("status", list(Status))
def test_state_by_verb(status: Status) -> None:
    cast = Cast()
    release = bring_to(ReleaseFactory(key="PAY-4.2"), status)
    cells = [(verb, done) for verb, column, done in read(STATE_BY_VERB) if column == status]
    assert len(cells) > 25
    driver = Driver(release, cast)
    for verb, done in cells:
        driver.tries(verb, getattr(cast, ACTOR.get(verb, "ada")), done)
    assert "\n".join(driver.wrong) == ""


@pytest.mark.parametrize("status", sorted({*STATES_FOR.values(), Status.PREPARING}))
def test_role_by_verb(status: Status) -> None:
    cast, deputy = Cast(), UserFactory(name="Max Deputy")
    release = bring_to(ReleaseFactory(key="PAY-4.2"), status)
    today = timezone.localdate(timezone=release.zone)
    people.delegate(cast.ada, deputy, today, today, by=cast.ada)
    cells = [cell for cell in read(ROLE_BY_VERB) if STATES_FOR.get(cell[0], Status.PREPARING) == status]
    driver = Driver(release, cast)
    for verb, who, done in cells:
        driver.tries(verb, deputy if who == "max" else getattr(cast, who), done)
    assert "\n".join(driver.wrong) == ""


def test_every_verb_of_the_tables_is_driven() -> None:
    named = {verb for verb, _, _ in read(STATE_BY_VERB) + read(ROLE_BY_VERB)}
    assert named == set(ACTS)
