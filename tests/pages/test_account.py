"""One's own settings and absences, and the door for those invited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases import people, permissions
from releases.models import Delegation, Invitation, Release
from tests.factories import Cast, fresh, role
from tests.snapshot import changed, snapshot
from tests.web import markup, signed_in, text

SETTINGS = "/settings/"


def settings_of(**other: str) -> dict[str, str]:
    said = {"name": "Ada Lovelace", "time_zone": "", "theme": "auto", "density": "comfortable", "single_keys": "on"}
    return said | other


@pytest.fixture
def ada(cast: Cast) -> Client:
    return signed_in(cast.ada)


def test_settings_are_saved_and_the_next_page_follows_them(ada: Client, cast: Cast) -> None:
    data = settings_of(name="  Ada   King ", time_zone="tokyo", theme="dark", density="compact")
    del data["single_keys"]
    answer = ada.post(SETTINGS, data, follow=True)
    cast.ada.refresh_from_db()
    assert (cast.ada.name, cast.ada.time_zone, cast.ada.single_keys) == ("Ada King", "Asia/Tokyo", False)
    assert 'data-theme="dark" data-density="compact" data-keys="off"' in markup(answer)
    assert "Saved" in text(answer)
    assert "Times in Asia/Tokyo" in text(answer)


def test_the_moment_a_page_is_of_is_told_in_the_readers_zone(ada: Client, cast: Cast) -> None:
    User.objects.filter(pk=cast.ada.pk).update(time_zone="Asia/Kathmandu")
    assert 'id="as-of" data-zone="Asia/Kathmandu"' in ada.get("/releases/").content.decode()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"name": " "}, "This field is required"),
        ({"time_zone": "Europe/Berln"}, "Did you mean Europe/Berlin"),
        ({"theme": "pink"}, "Select a valid choice"),
    ],
)
def test_settings_that_cannot_be_are_kept_with_their_sentence(
    ada: Client, cast: Cast, other: dict[str, str], sentence: str
) -> None:
    before = snapshot()
    answer = ada.post(SETTINGS, settings_of(**other))
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert "Account of Ada Lovelace" in text(answer)
    assert changed(before, snapshot()) == []


# Absences


def away(cast: Cast, starts: int = 1, ends: int = 3, **other: Any) -> dict[str, Any]:
    today = timezone.localdate()
    days = {"starts_on": str(today + timedelta(days=starts)), "ends_on": str(today + timedelta(days=ends))}
    return {"deputy": str(cast.gus.pk), "reason": "Holiday"} | days | other


def test_a_deputy_stands_in_on_the_days_and_not_before_or_after(release: Release, cast: Cast) -> None:
    ben = signed_in(cast.ben)
    answer = ben.post(reverse("absence_add"), away(cast), follow=True)
    assert "Gus Rao stands in for you on those days" in text(answer)
    assert "Gus Rao stands in: Holiday" in text(answer)
    assert "You stand in for Ben Osei" in text(signed_in(cast.gus).get(SETTINGS))
    qa = role("QA Lead").slug
    for day, stands_in in ((0, False), (1, True), (3, True), (4, False)):
        with time_machine.travel(timezone.now() + timedelta(days=day), tick=False):
            assert (qa in permissions.roles_held(cast.gus, fresh(release))) is stands_in, day


def test_an_absence_is_recorded_once_however_often_the_form_is_sent(release: Release, cast: Cast) -> None:
    ben = signed_in(cast.ben)
    for _ in range(2):
        assert ben.post(reverse("absence_add"), away(cast)).status_code == 303
    assert Delegation.objects.count() == 1
    assert fresh(release).events.filter(action="absence.named").count() == 1


WRONG = {
    "backwards": (lambda cast: away(cast, 3, 1), "The last day comes before the first."),
    "myself": (lambda cast: away(cast, deputy=str(cast.ben.pk)), "Choose somebody else as deputy"),
    "over": (lambda cast: away(cast, -9, -8), "That absence is over already"),
    "nobody": (lambda cast: away(cast, deputy=""), "This field is required"),
    "no day": (lambda cast: away(cast, starts_on="soon"), "Enter a valid date"),
}


@pytest.mark.parametrize(("data", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_an_absence_that_cannot_be_is_kept_with_its_sentence(cast: Cast, data: Any, sentence: str) -> None:
    ben = signed_in(cast.ben)
    before = snapshot()
    answer = ben.post(reverse("absence_add"), data(cast))
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert 'value="Holiday"' in markup(answer)
    assert changed(before, snapshot()) == []


def test_only_ones_own_absence_is_taken_back(cast: Cast) -> None:
    today = timezone.localdate()
    row = people.delegate(cast.ben, cast.gus, today, today, by=cast.ben)
    url = reverse("absence_end", args=[row.pk])
    assert signed_in(cast.gus).post(url).status_code == 404
    assert Delegation.objects.count() == 1
    answer = signed_in(cast.ben).post(url, follow=True)
    assert "The absence is taken back" in text(answer)
    assert Delegation.objects.count() == 0


# The door


@pytest.fixture
def nia(cast: Cast) -> User:
    return people.invite("nia@example.org", "Nia New", by=cast.sam)


def link(invitation: Invitation | None = None) -> str:
    row = invitation or Invitation.objects.latest("pk")
    return reverse("invitation", args=[signing.dumps({"invitation": row.pk}, salt="invitation")])


GOOD = {"name": "Nia New", "password": "correct horse battery", "again": "correct horse battery"}


def test_looking_at_the_link_changes_nothing_however_often(nia: User) -> None:
    before = snapshot()
    for method in ("get", "head", "get"):
        answer = getattr(Client(), method)(link())
        assert answer.status_code == 200
    assert "Sam Staff invited you as nia@example.org" in text(Client().get(link()))
    assert "no-store" in answer["Cache-Control"]
    assert changed(before, snapshot()) == []


def test_the_link_lets_in_once(nia: User) -> None:
    client = Client()
    answer = client.post(link(), GOOD | {"name": "Nia  Newman"})
    assert (answer.status_code, answer["Location"]) == (303, "/")
    assert client.get("/releases/").status_code == 200
    nia.refresh_from_db()
    assert nia.name == "Nia Newman"
    assert nia.check_password("correct horse battery")
    for other in (Client(), client):
        for method in ("get", "post"):
            again = getattr(other, method)(link(), GOOD | {"password": "another one 123", "again": "another one 123"})
            assert again.status_code == 410
            assert "This link no longer works" in text(again)
    nia.refresh_from_db()
    assert nia.check_password("correct horse battery")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"again": "another"}, "The two passwords differ."),
        ({"password": "short", "again": "short"}, "This password is too short"),
        ({"password": "password123", "again": "password123"}, "This password is too common"),
        ({"password": "nia@example.org", "again": "nia@example.org"}, "too similar"),
        ({"password": ""}, "This field is required"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_a_password_that_cannot_be_uses_nothing_up(nia: User, other: dict[str, str], sentence: str) -> None:
    before = snapshot()
    answer = Client().post(link(), GOOD | other)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert "correct horse" not in markup(answer)
    assert changed(before, snapshot()) == []


def test_a_link_is_over_after_seven_days_and_when_a_newer_one_was_sent(nia: User, cast: Cast) -> None:
    first = link()
    with time_machine.travel(timezone.now() + people.INVITATION_LASTS + timedelta(seconds=1), tick=False):
        assert Client().get(first).status_code == 410
        assert Client().post(first, GOOD).status_code == 410
    people.owe_invitation(nia, by=cast.sam)
    assert Client().get(first).status_code == 410
    assert Client().get(link()).status_code == 200


def test_a_link_of_a_closed_account_is_over(nia: User) -> None:
    User.objects.filter(pk=nia.pk).update(is_active=False)
    assert Client().post(link(), GOOD).status_code == 410


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a:b:c",
        signing.dumps({"invitation": 1}, salt="another"),
        signing.dumps(["invitation"], salt="invitation"),
        signing.dumps({"other": 1}, salt="invitation"),
    ],
    ids=["a letter", "three parts", "for another use", "no mapping", "no invitation"],
)
def test_a_token_that_never_was_one_is_404(nia: User, token: str) -> None:
    for method in ("get", "post"):
        assert getattr(Client(), method)(f"/welcome/{token}/").status_code == 404


def test_an_invitation_nobody_knows_is_over_rather_than_wrong(db: None) -> None:
    token = signing.dumps({"invitation": 999_999}, salt="invitation")
    assert Client().get(reverse("invitation", args=[token])).status_code == 410


def test_whoever_is_signed_in_as_another_comes_in_as_themselves(nia: User, ada: Client) -> None:
    ada.post(link(), GOOD)
    assert "Account of Nia New" in text(ada.get("/releases/"))
