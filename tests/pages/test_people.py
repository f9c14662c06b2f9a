"""The people of a release over HTTP: who holds what, pasting, handing over, taking over."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from relcoord.models import User
from releases import people
from releases.models import Invitation, Release, Reminder, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, role
from tests.snapshot import changed, snapshot
from tests.web import markup, signed_in, text


@pytest.fixture
def ada(cast: Cast) -> Client:
    return signed_in(cast.ada)


def url(release: Release, act: str = "") -> str:
    return f"/r/{release.key}/people/{act + '/' if act else ''}"


def held(release: Release, name: str) -> list[str]:
    return [row.user.name for row in release.assignments.filter(role__name=name).select_related("user")]


def test_the_page_names_each_role_its_duty_and_its_people(release: Release, cast: Cast) -> None:
    said = text(signed_in(cast.cy).get(url(release)))
    for words in ("QA Lead votes Signs off", "Ben Osei", "Risk Champion votes optional", "Answers at night"):
        assert words in said
    assert "Give a role" not in said
    assert "Staff or Ada Lovelace (Release Coordinator) may give people roles here." in said


def test_a_required_role_without_a_holder_is_said_with_a_way_to_name_somebody(ada: Client, cast: Cast) -> None:
    bare = ReleaseFactory(holders={})
    page = ada.get(url(bare))
    assert "Nobody is Project Manager, QA Lead, On-call Engineer yet." in text(page)
    pk = role("QA Lead").pk
    assert f'href="?role={pk}#assign"' in markup(page)
    assert f'<option value="{pk}" selected>' in markup(ada.get(url(bare), {"role": str(pk)}))
    assert ada.get(url(bare), {"role": "nonsense"}).status_code == 200


def test_an_absence_of_the_day_is_said_with_who_stands_in(release: Release, cast: Cast, ada: Client) -> None:
    people.delegate(cast.ben, cast.gus, timezone.localdate(), timezone.localdate(), by=cast.ben)
    assert "Gus Rao stands in" in text(ada.get(url(release)))


def test_the_coordinator_gives_and_takes_a_role_and_may_undo(release: Release, cast: Cast, ada: Client) -> None:
    qa = role("QA Lead")
    given = ada.post(url(release, "assign"), {"role": qa.pk, "user": cast.cy.pk}, follow=True)
    assert "Cy Young is QA Lead now" in text(given)
    assert held(release, "QA Lead") == ["Ben Osei", "Cy Young"]
    taken = ada.post(url(release, "unassign"), {"role": qa.pk, "user": cast.cy.pk}, follow=True)
    assert "Cy Young is no longer QA Lead" in text(taken)
    assert "Undo" in text(taken)
    assert held(release, "QA Lead") == ["Ben Osei"]


@pytest.mark.parametrize("who", ["cy", "ben", "dana"])
@pytest.mark.parametrize("act", ["assign", "unassign", "paste", "transfer"])
def test_others_hear_who_may(release: Release, cast: Cast, who: str, act: str) -> None:
    client = signed_in(getattr(cast, who))
    data = {"role": role("QA Lead").pk, "user": cast.ben.pk, "paste-role": role("QA Lead").pk, "paste-text": "x@y.org"}
    before = snapshot()
    answer = client.post(url(release, act), data | {"transfer-to": cast.ben.pk})
    assert answer.status_code == 403
    assert "Ada Lovelace (Release Coordinator) may" in text(answer)
    assert changed(before, snapshot()) == []


@pytest.mark.parametrize("data", [{}, {"role": "x", "user": "y"}, {"role": "9" * 30, "user": "\x00"}])
def test_a_role_given_to_nobody_comes_back_with_the_sentence(
    release: Release, ada: Client, data: dict[str, Any]
) -> None:
    answer = ada.post(url(release, "assign"), data)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in markup(answer)
    assert ada.post(url(release, "unassign"), data).status_code == 404


def test_pasted_people_are_given_the_role_and_those_unknown_are_invited(
    release: Release, cast: Cast, ada: Client
) -> None:
    data = {"paste-role": role("Developers").pk, "paste-text": "Cy Young <cy@example.org>\nNia New <nia@example.org>"}
    answer = ada.post(url(release, "paste"), data, follow=True)
    assert "Cy Young, Nia New: Developers now" in text(answer)
    assert Invitation.objects.get().user.email == "nia@example.org"
    assert Reminder.objects.filter(kind=Reminder.Kind.INVITATION).count() == 1


def test_a_pasted_list_with_a_bad_line_changes_nothing_and_is_kept(release: Release, ada: Client) -> None:
    before = snapshot()
    data = {"paste-role": role("Developers").pk, "paste-text": "Nia New <nia@example.org>\nthis is nobody"}
    answer = ada.post(url(release, "paste"), data)
    assert answer.status_code == 422
    assert "Line 2: “this is nobody” is not written as Name <mail>" in text(answer)
    assert "Nia New &lt;nia@example.org&gt;" in markup(answer)
    assert '<details class="panel fold-panel" id="paste" open>' in markup(answer)
    assert changed(before, snapshot()) == []


def test_the_same_form_sent_twice_acts_once(release: Release, cast: Cast, ada: Client) -> None:
    data = {"paste-role": role("Developers").pk, "paste-text": "Nia New <nia@example.org>", "once": "a-form"}
    first, second = ada.post(url(release, "paste"), data), ada.post(url(release, "paste"), data)
    assert (first.status_code, second.status_code) == (303, 303)
    assert fresh(release).events.filter(action="person.invited").count() == 1


def test_handing_over_makes_somebody_else_the_coordinator(release: Release, cast: Cast, ada: Client) -> None:
    answer = ada.post(url(release, "transfer"), {"transfer-to": cast.gus.pk, "transfer-reason": "holiday"}, follow=True)
    assert "Gus Rao coordinates PAY-4.2 now" in text(answer)
    assert fresh(release).coordinator == cast.gus
    assert ada.post(url(release, "transfer"), {"transfer-to": cast.ada.pk}).status_code == 403


def test_whoever_hands_over_a_restricted_release_is_led_to_a_page_they_may_see(cast: Cast, ada: Client) -> None:
    hidden = ReleaseFactory(key="SEC-1", restricted=True)
    answer = ada.post(url(hidden, "transfer"), {"transfer-to": cast.gus.pk})
    assert answer["Location"] == "/releases/"
    assert ada.get(url(hidden)).status_code == 404


@pytest.mark.parametrize("who", ["dana", "sam"])
def test_project_manager_and_staff_may_take_over_with_a_reason(release: Release, cast: Cast, who: str) -> None:
    person: User = getattr(cast, who)
    client = signed_in(person)
    assert "Take over from Ada Lovelace" in text(client.get(url(release)))
    missing = client.post(url(release, "take-over"), {"take-reason": " "})
    assert missing.status_code == 422
    assert '<details class="panel fold-panel" id="take" open>' in markup(missing)
    answer = client.post(url(release, "take-over"), {"take-reason": "Ada is in hospital"}, follow=True)
    assert "You coordinate PAY-4.2 now; Ada Lovelace is told" in text(answer)
    assert Reminder.objects.filter(kind=Reminder.Kind.TAKEN_OVER, recipient=cast.ada).exists()


def test_taking_over_is_offered_to_nobody_else(release: Release, cast: Cast) -> None:
    for person in (cast.ada, cast.ben, cast.cy):
        assert "Take over from" not in text(signed_in(person).get(url(release)))
    assert signed_in(cast.ben).post(url(release, "take-over"), {"take-reason": "why not"}).status_code == 403


@pytest.mark.parametrize("status", [Status.CLOSED, Status.CANCELLED])
def test_the_people_of_a_release_that_ended_are_shown_and_no_longer_changed(
    release: Release, cast: Cast, ada: Client, status: Status
) -> None:
    bring_to(release, status)
    said = text(ada.get(url(release)))
    assert "Ben Osei" in said
    assert "its people no longer change" in said
    for words in ("Give a role", "Hand PAY-4.2 over", "is no longer"):
        assert words not in said
    answer = ada.post(url(release, "assign"), {"role": role("QA Lead").pk, "user": cast.cy.pk}, follow=True)
    assert "its people no longer change" in text(answer)
    assert not release.assignments.filter(user=cast.cy).exists()


def test_the_page_asks_as_much_for_few_people_as_for_many(
    release: Release, cast: Cast, ada: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        person = User.objects.create_user(f"p{number}@example.org", "x", name=f"Person {number}")
        people.assign(release, role("Developers"), person, by=cast.ada)
    ada.get(url(release))
    with django_assert_max_num_queries(30):
        ada.get(url(release))


def test_names_are_text_and_never_markup(release: Release, cast: Cast, ada: Client) -> None:
    cast.ben.name = "<img src=x onerror=alert(1)>"
    cast.ben.save()
    assert "<img" not in markup(ada.get(url(release)))
