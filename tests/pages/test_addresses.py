"""Every address of the site: whose right it needs, that looking changes nothing, that strangers learn nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import pytest
from django.core import signing
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

import checklists.permissions
import releases.permissions
from checklists.models import Template
from relcoord.models import User
from releases import feed, gonogo, health, people, reminders
from releases.models import ActionItem, Call, Invitation, Item, Release, Reminder, RollbackStep, Seat, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, vote_go
from tests.remembered import remembered
from tests.snapshot import changed, snapshot

OTHERS = ("admin/", "accounts/", "static/")  # not ours: Django's admin, allauth, files
LOOKS = {"view", "export"}  # the verbs of pages that only show

# Addresses that show a form to GET and take it by POST; by hand, so that a new one is thought about.
FORMS = {
    *("releases:create", "releases:edit", "settings", "invitation", "unsubscribe"),
    *("releases:item_add", "releases:items_give", "releases:item_edit"),
    *("releases:hold", "releases:resume", "releases:cancel", "releases:start", "releases:finish", "releases:close"),
    *("releases:go_withdraw", "checklists:import", "checklists:new", "checklists:edit", "checklists:edit_markdown"),
}
# Pages whose verb is of those that may change something, but which only show.
SHOWS_TOO = {"releases:people", "calendar_feed", "livez", "readyz", "metrics"}


@dataclass(frozen=True)
class Address:
    name: str
    pattern: URLPattern

    @property
    def verb(self) -> str | None:
        return getattr(self.pattern.callback, "verb", None)

    @property
    def shows(self) -> bool:
        return self.verb in LOOKS or self.name in SHOWS_TOO

    @property
    def acts(self) -> bool:
        """Is it only there to change something?"""
        return not self.shows and self.name not in FORMS


def walk(patterns: list[Any], route: str = "", space: str = "") -> Iterator[Address]:
    for entry in patterns:
        here = route + str(entry.pattern)
        if here.startswith(OTHERS):
            continue
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, here, space + (f"{entry.namespace}:" if entry.namespace else ""))
        else:
            yield Address(f"{space}{entry.name}", entry)


ADDRESSES = list(walk(get_resolver().url_patterns))


class World:
    """Two releases with a row for every address: one polled, one rolled back, and what stands around them."""

    def __init__(self) -> None:
        self.cast = Cast()
        self.polled = ReleaseFactory(key="PAY-4.2", title="Payments 4.2")
        bring_to(self.polled, Status.NO_GO)
        action = {"title": "Fix the query", "owner": self.cast.gus, "due_at": timezone.now() + timedelta(days=1)}
        ActionItem.objects.create(
            release=self.polled, source="no_go", blocks="poll", **action, decision=self.polled.decisions.get()
        )
        self.failing = bring_to(ReleaseFactory(key="ID-2.8", title="Identity 2.8"), Status.ROLLING_BACK)
        self.hidden = ReleaseFactory(key="SEC-1", title="Secret 1", restricted=True)
        self.guest = people.invite("new@example.org", "Nia New", by=self.cast.sam)
        self.calendar = feed.reset(self.cast.cy)
        reminders.beat(timezone.now())
        health.note_worker(timezone.now())
        self.away = people.delegate(
            self.cast.ben, self.cast.gus, timezone.localdate(), timezone.localdate(), by=self.cast.ben
        )

    @cached_property
    def template(self) -> Template:
        return Template.objects.in_use()[0]

    def args(self, address: Address, release: Release) -> dict[str, Any]:
        """A value for each part of the address, of a row that is there."""
        wanted = address.pattern.pattern.converters
        known = {
            "key": release.key,
            "slug": self.template.slug,
            "token": signing.dumps({"invitation": Invitation.objects.latest("pk").pk}, salt="invitation"),
            "number": 1,
            "name": {"releases:part": "head", "releases:decision_part": "poll", "releases:rollback_part": "step"}.get(
                address.name, "nothing"
            ),
        }
        if address.name == "unsubscribe":
            known["token"] = signing.dumps({"person": self.cast.gus.pk, "kind": "closed"}, salt="unsubscribe")
        if address.name == "calendar_feed":
            known["token"] = self.calendar
        if "pk" in wanted:
            known["pk"] = self.pk(address.name, release)
        return {name: known[name] for name in wanted}

    def pk(self, name: str, release: Release) -> int:
        rows = {
            "releases:action_settle": ActionItem.objects.filter(release=release),
            "releases:ballot": Seat.objects.filter(release=release),
            "releases:rollback_step": RollbackStep.objects.filter(rollback__release=release),
            "releases:send_now": Reminder.objects.filter(release=release),
        }
        if name.startswith("releases:item"):
            return Item.objects.of(release)[0].pk
        if name in rows:
            return rows[name].values_list("pk", flat=True).first() or 0
        return self.away.pk if name == "absence_end" else self.guest.pk

    def url(self, address: Address, release: Release) -> str:
        return reverse(address.name, kwargs=self.args(address, release))


@pytest.fixture
def world(db: None) -> World:
    return made()


@remembered
def made() -> World:
    return World()


def signed_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def ask(client: Client, method: str, url: str) -> HttpResponse:
    return getattr(client, method)(url)


def test_every_address_has_a_name_of_its_own() -> None:
    names = [address.name for address in ADDRESSES]
    assert sorted(name for name in names if names.count(name) > 1 or name.endswith("None")) == []


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.name)
def test_every_address_says_which_verb_it_carries_out(address: Address) -> None:
    table = checklists.permissions.TABLE if address.name.startswith("checklists:") else releases.permissions.TABLE
    assert address.verb in {*table, "public"}


def test_only_probes_and_the_links_that_carry_their_own_right_in_are_public() -> None:
    public = {address.name for address in ADDRESSES if address.verb == "public"}
    assert public == {"calendar_feed", "invitation", "unsubscribe", "livez", "readyz", "metrics"}


def test_forms_and_pages_named_here_exist() -> None:
    assert (FORMS | SHOWS_TOO) - {address.name for address in ADDRESSES} == set()


@pytest.mark.parametrize(
    ("who", "which"),
    [("ada", "polled"), ("ben", "failing"), ("cy", "polled"), ("sam", "failing"), ("gus", "hidden"), ("cy", "hidden")],
)
def test_opening_every_address_changes_not_one_row(world: World, who: str, which: str) -> None:
    client, release = signed_in(getattr(world.cast, who)), getattr(world, which)
    before = snapshot()
    answers = {}
    for address in ADDRESSES:
        url = world.url(address, release)
        methods = ("get", "head") if who == "sam" else ("get",)
        answers[address.name] = [ask(client, method, url).status_code for method in methods]
        if who == "ada" and not address.acts:
            answers[address.name].append(client.get(url, headers={"HX-Request": "true"}).status_code)
    assert changed(before, snapshot()) == []
    fine = {200, 204, 302, 403, 404, 405, 410}
    assert {name: found for name, found in answers.items() if not set(found) <= fine} == {}
    said_no = {name for name, found in answers.items() if set(found) == {405}}
    acting = {address.name for address in ADDRESSES if address.acts}
    behind = {name for name, found in answers.items() if set(found) <= {403, 404}}  # not even that is said
    assert acting - behind == said_no


@pytest.mark.parametrize("method", ["get", "head"])
def test_an_address_that_acts_answers_405_to_looking(world: World, method: str) -> None:
    client = signed_in(world.cast.sam)
    for address in ADDRESSES:
        if address.acts:
            answer = ask(client, method, world.url(address, world.polled))
            assert (answer.status_code, answer.get("Allow")) == (405, "POST"), address.name


def test_a_page_that_shows_takes_no_post(world: World) -> None:
    client = signed_in(world.cast.sam)
    before = snapshot()
    for address in ADDRESSES:
        if address.shows:
            assert client.post(world.url(address, world.polled)).status_code in {404, 405}, address.name
    assert changed(before, snapshot()) == []


def test_whoever_is_not_signed_in_sees_the_log_in_page_and_nothing_else(world: World) -> None:
    before = snapshot()
    for address in ADDRESSES:
        if address.verb == "public":
            continue
        url = world.url(address, world.polled)
        for method in ("get", "head", "post"):
            answer = ask(Client(), method, url)
            assert answer.status_code == 302, f"{method} {url}"
            assert answer["Location"].startswith(reverse("account_login")), f"{method} {url}"
    assert changed(before, snapshot()) == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_to_a_restricted_release_learns_nothing_of_it(world: World, method: str) -> None:
    client = signed_in(world.cast.cy)
    before = snapshot()
    for address in ADDRESSES:
        if "key" not in address.pattern.pattern.converters:
            continue
        answer = ask(client, method, world.url(address, world.hidden))
        wrong_method = (method == "get" and address.acts) or (method == "post" and address.shows)
        assert answer.status_code == (405 if wrong_method else 404), address.name
        assert "Secret" not in answer.content.decode(errors="replace")
    assert changed(before, snapshot()) == []


def test_the_pages_across_releases_leave_a_restricted_one_out_for_strangers(world: World) -> None:
    client = signed_in(world.cast.cy)
    for address in ADDRESSES:
        if address.shows and "key" not in address.pattern.pattern.converters:
            answer = client.get(world.url(address, world.hidden), {"which": "all", "q": "SEC"})
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            assert b"Secret 1" not in body, address.name


def test_a_post_of_nothing_is_answered_with_what_is_missing(world: World) -> None:
    vote_go(bring_to(world.hidden, Status.POLLING))
    gonogo.decide(fresh(world.hidden), Call.GO, by=world.cast.ada, rationale="all green")
    for who, which in (("ada", ("polled", "failing", "hidden")), ("sam", ("failing",))):
        client = signed_in(getattr(world.cast, who))
        client.raise_request_exception = False
        for release in (getattr(world, name) for name in which):
            for address in ADDRESSES:
                if not address.shows and address.name not in {"releases:cancel", "invitation"}:
                    answer = client.post(world.url(address, release))
                    assert answer.status_code < 500, address.name
