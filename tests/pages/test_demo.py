"""`manage.py demo`: what it makes, that its history holds, and that every page of it opens."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checklists.models import Template
from relcoord.models import User
from releases.models import Event, Item, Release, Status
from tests.factories import STANDARD, Cast, ReleaseFactory, standard
from tests.web import signed_in, text


@pytest.fixture(scope="module")
def told(kept: None) -> str:
    """What the command printed. It takes long, so all tests begin with what it made."""
    standard()
    out = io.StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


def test_it_needs_a_checklist_and_says_which_command_brings_one(db: None) -> None:
    with pytest.raises(CommandError, match="import_checklist checklists/standard.md"):
        call_command("demo")
    assert not User.objects.exists()
    assert STANDARD.exists()


def test_it_leaves_a_site_with_releases_alone(cast: Cast) -> None:
    ReleaseFactory()
    with pytest.raises(CommandError, match="demo data is for an empty site"):
        call_command("demo")


def test_it_prints_log_ins_that_work(told: str) -> None:
    password = re.search(r"password is (\S+)", told)
    assert password is not None
    people = re.findall(r"^  (\S+@\S+)", told, flags=re.MULTILINE)
    assert len(people) == User.objects.count() == 8
    client = Client()
    assert client.login(email=people[0], password=password[1])
    assert client.get("/releases/").status_code == 200


def test_it_shows_four_faces_of_a_release(told: str) -> None:
    states = dict(Release.objects.values_list("key", "status"))
    assert states == {
        "PAY-4.2": Status.PREPARING,
        "SRCH-9.1": Status.POLLING,
        "ID-2.8": Status.ROLLING_BACK,
        "WEB-5.7": Status.CLOSED,
    }
    assert all(Release.objects.values_list("demo", flat=True))


def test_its_history_is_as_old_as_it_looks_and_nothing_lies_ahead_of_now(told: str) -> None:
    now = timezone.now()
    for release in Release.objects.all():
        moments = list(Event.objects.filter(release=release).order_by("sequence").values_list("at", flat=True))
        assert moments == sorted(moments)
        assert (now - moments[0]).days >= 4
        assert moments[-1] <= now
    assert not Item.objects.filter(state_at__gt=now).exists()
    web, identity = Release.objects.get(key="WEB-5.7"), Release.objects.get(key="ID-2.8")
    assert web.ended_at is not None
    assert web.t_zero < web.ended_at < now
    assert not web.overrides.exists()
    assert identity.t_zero < now < identity.window_end


def test_every_chain_of_it_holds_and_the_clock_is_the_real_one_again(told: str) -> None:
    assert abs((timezone.now() - datetime.now(UTC)).total_seconds()) < 1
    out = io.StringIO()
    call_command("verify_audit", stdout=out)
    assert "Every chain holds" in out.getvalue()


PAGES = ("release", "decision", "schedule", "rollback", "release_people", "reminders", "record", "events")


def test_every_page_of_it_opens_for_everybody(told: str) -> None:
    urls = ["/releases/", "/releases/?which=all", "/me/", "/settings/", "/checklists/", "/releases/new/"]
    urls += [template.get_absolute_url() for template in Template.objects.all()]
    for release in Release.objects.all():
        urls += [reverse(f"releases:{name}", args=[release.key]) for name in PAGES]
    for who in ("ana", "sam"):
        client = signed_in(User.objects.get(email=f"{who}@demo.example"))
        for url in urls:
            assert client.get(url).status_code == 200, f"{url} for {who}"


def test_its_pages_say_that_it_is_a_demo_and_what_waits(told: str) -> None:
    said = text(signed_in(User.objects.get(email="dana@demo.example")).get("/releases/"))
    for words in (
        "Demo data: the people and releases here are made up",
        "Identity 2.8 is rolling back",
        "Search 9.1 waits for Chloe Martin (QA Lead)",
        "Payments 4.2: 1 item blocked",
        "Identity 2.8 and Search 9.1: Eli Tanaka is on call for both",
    ):
        assert words in said
