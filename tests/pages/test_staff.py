"""What staff administer over HTTP: people, roles, products."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from checklists.models import Role
from relcoord.models import User
from releases import people, staffing
from releases.errors import DomainError, Refused
from releases.models import Invitation, Product, Release, Reminder, Status
from tests.factories import Cast, ReleaseFactory, bring_to, role
from tests.snapshot import changed, snapshot
from tests.web import markup, signed_in, text

PEOPLE = "/people/"


@pytest.fixture
def sam(cast: Cast) -> Client:
    return signed_in(cast.sam)


ACTS = ("invite/", "{pk}/invite/", "{pk}/active/", "{pk}/staff/", "roles/", "products/")


@pytest.mark.parametrize("act", ACTS)
def test_only_staff_administer_and_others_hear_so(release: Release, cast: Cast, act: str) -> None:
    client = signed_in(cast.ada)
    data = {"invite-name": "Nia", "invite-email": "n@example.org", "to": "staff", "role-name": "X", "product-name": "X"}
    before = snapshot()
    answer = client.post(PEOPLE + act.format(pk=cast.ben.pk), data)
    assert answer.status_code == 403
    assert "Only staff may administer people, roles and products." in text(answer)
    assert changed(before, snapshot()) == []


def test_the_page_is_for_staff_alone(cast: Cast) -> None:
    assert signed_in(cast.ada).get(PEOPLE).status_code == 403
    assert "People" not in text(signed_in(cast.ada).get("/releases/")).split("Checklists")[1][:20]


def test_verbs_of_staff_refuse_others_whoever_calls_them(cast: Cast) -> None:
    for verb in (
        lambda: staffing.close_account(cast.ben, by=cast.ada),
        lambda: staffing.open_account(cast.ben, by=cast.ada),
        lambda: staffing.set_staff(cast.ada, True, by=cast.ada),
        lambda: staffing.save_role("X", "", by=cast.ada),
        lambda: staffing.save_product("X", by=cast.ada),
    ):
        with pytest.raises(Refused):
            verb()


def test_everybody_is_listed_with_what_they_are_on(release: Release, cast: Cast, sam: Client) -> None:
    bring_to(ReleaseFactory(), Status.CLOSED)
    page = sam.get(PEOPLE)
    assert "Ben Osei ben@example.org in flight: 1 never" in text(page)
    assert "Sam Staff you staff" in text(page)


# People


def test_an_invited_person_gets_an_account_and_a_mail_is_owed(sam: Client, cast: Cast) -> None:
    answer = sam.post(PEOPLE + "invite/", {"invite-name": "Nia New", "invite-email": "NIA@example.org"}, follow=True)
    assert "Nia New is sent a link to come in" in text(answer)
    nia = User.objects.get(email="nia@example.org")
    assert not nia.has_usable_password()
    assert Reminder.objects.get(recipient=nia).kind == Reminder.Kind.INVITATION
    assert "Nia New nia@example.org in flight: 0 invited until" in text(answer)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"invite-name": "Nia", "invite-email": "no mail"}, "valid email address"),
        ({"invite-name": "", "invite-email": "n@example.org"}, "This field is required"),
        ({"invite-name": "Ben", "invite-email": "BEN@example.org"}, "ben@example.org has an account already"),
    ],
)
def test_an_invitation_that_cannot_be_is_kept_with_its_sentence(
    sam: Client, cast: Cast, data: dict[str, str], sentence: str
) -> None:
    before = snapshot()
    answer = sam.post(PEOPLE + "invite/", data)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert f'value="{data["invite-email"]}"' in markup(answer)
    assert changed(before, snapshot()) == []


def test_a_new_link_ends_the_earlier_one(sam: Client, cast: Cast) -> None:
    nia = people.invite("nia@example.org", "Nia New", by=cast.sam)
    first = Invitation.objects.get()
    sam.post(f"{PEOPLE}{nia.pk}/invite/")
    first.refresh_from_db()
    assert not first.is_open(timezone.now())
    assert Invitation.objects.latest("pk").is_open(timezone.now())


def test_a_link_that_ran_out_is_said_to_have(sam: Client, cast: Cast) -> None:
    people.invite("nia@example.org", "Nia New", by=cast.sam)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert "link ran out" in text(sam.get(PEOPLE))


def test_a_closed_account_cannot_sign_in_and_may_be_opened_again(sam: Client, cast: Cast) -> None:
    ben = signed_in(cast.ben)
    answer = sam.post(f"{PEOPLE}{cast.ben.pk}/active/", {"to": "closed"}, follow=True)
    assert "Ben Osei can no longer sign in" in text(answer)
    assert "account closed" in text(answer)
    assert ben.get("/releases/").status_code == 302  # also where they were signed in already
    sam.post(f"{PEOPLE}{cast.ben.pk}/active/", {"to": "active"})
    assert User.objects.get(pk=cast.ben.pk).is_active
    notes = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(notes) == ["account closed", "account opened"]


def test_closing_an_account_says_which_roles_are_left_empty_handed(sam: Client, cast: Cast, release: Release) -> None:
    answer = sam.post(f"{PEOPLE}{cast.ben.pk}/active/", {"to": "closed"}, follow=True)
    assert "Ben Osei still holds roles in PAY-4.2; give them to somebody who can sign in." in text(answer)


def test_a_coordinator_hands_over_before_their_account_is_closed(sam: Client, cast: Cast, release: Release) -> None:
    answer = sam.post(f"{PEOPLE}{cast.ada.pk}/active/", {"to": "closed"}, follow=True)
    assert "Ada Lovelace coordinates PAY-4.2; hand that over first." in text(answer)
    assert User.objects.get(pk=cast.ada.pk).is_active


def test_nobody_locks_themselves_out(sam: Client, cast: Cast) -> None:
    for act, words in (("active", "close your own account"), ("staff", "from yourself")):
        answer = sam.post(f"{PEOPLE}{cast.sam.pk}/{act}/", {"to": "closed"}, follow=True)
        assert words in text(answer)
    assert User.objects.get(pk=cast.sam.pk).is_active
    assert User.objects.get(pk=cast.sam.pk).is_staff


def test_the_right_to_administer_is_given_and_taken(sam: Client, cast: Cast) -> None:
    answer = sam.post(f"{PEOPLE}{cast.ada.pk}/staff/", {"to": "staff"}, follow=True)
    assert "Ada Lovelace may administer people, roles and products" in text(answer)
    assert signed_in(cast.ada).get(PEOPLE).status_code == 200
    sam.post(f"{PEOPLE}{cast.ada.pk}/staff/", {"to": "none"})
    assert signed_in(cast.ada).get(PEOPLE).status_code == 403


def test_a_closed_account_is_not_made_staff(cast: Cast) -> None:
    staffing.close_account(cast.ben, by=cast.sam)
    with pytest.raises(DomainError, match="open the account first"):
        staffing.set_staff(cast.ben, True, by=cast.sam)


@pytest.mark.parametrize("act", ["invite", "active", "staff"])
def test_an_account_that_is_not_there_is_404(sam: Client, act: str) -> None:
    assert sam.post(f"{PEOPLE}999999/{act}/").status_code == 404


# Roles and products


def test_a_role_is_added_and_its_words_are_changed_while_its_slug_stays(sam: Client) -> None:
    sam.post(PEOPLE + "roles/", {"role-name": "Data  Steward", "role-responsibility": "Owns migrations"})
    row = Role.objects.get(slug="data-steward")
    assert row.name == "Data Steward"
    data = {"pk": row.pk, f"role-{row.pk}-name": "Data Owner", f"role-{row.pk}-responsibility": "Owns data"}
    answer = sam.post(PEOPLE + "roles/", data, follow=True)
    assert "Role Data Owner is saved" in text(answer)
    row.refresh_from_db()
    assert (row.slug, row.name, row.responsibility) == ("data-steward", "Data Owner", "Owns data")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("qa  LEAD", "There is a role called qa LEAD already."), ("!!", "Give the role a name in letters."), ("", "")],
)
def test_a_role_that_cannot_be_is_kept_with_its_sentence(sam: Client, name: str, sentence: str) -> None:
    role("QA Lead")
    other = role("Developers")
    for data in ({"role-name": name}, {"pk": other.pk, f"role-{other.pk}-name": name}):
        before = snapshot()
        answer = sam.post(PEOPLE + "roles/", data)
        assert answer.status_code == 422
        assert sentence in text(answer)
        assert changed(before, snapshot()) == []
    assert f'id="edit-role-{other.pk}" open' in markup(answer)


def test_a_product_is_added_and_renamed_and_its_releases_stay(sam: Client, release: Release) -> None:
    sam.post(PEOPLE + "products/", {"product-name": "Search"})
    assert Product.objects.get(slug="search")
    pay = release.product
    answer = sam.post(PEOPLE + "products/", {"pk": pay.pk, f"product-{pay.pk}-name": "Pay & more"}, follow=True)
    assert "Pay & more 1 release" in text(answer)
    assert Release.objects.get().product.name == "Pay & more"


def test_two_products_do_not_share_a_name(sam: Client, release: Release) -> None:
    search = Product.objects.create(slug="search", name="Search")
    answer = sam.post(PEOPLE + "products/", {"pk": search.pk, f"product-{search.pk}-name": "PAYMENTS"})
    assert answer.status_code == 422
    assert "There is a product called PAYMENTS already." in text(answer)


@pytest.mark.parametrize("pk", ["999999", "x", "-1"])
def test_a_row_that_is_not_there_is_404(sam: Client, pk: str) -> None:
    assert sam.post(PEOPLE + "roles/", {"pk": pk, f"role-{pk}-name": "X"}).status_code == 404
    assert sam.post(PEOPLE + "products/", {"pk": pk}).status_code == 404


def test_the_page_asks_as_much_for_few_people_as_for_many(sam: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        User.objects.create_user(f"p{number}@example.org", "x", name=f"Person {number}")
        role(f"Role {number}")
        Product.objects.create(slug=f"p{number}", name=f"Product {number}")
    sam.get(PEOPLE)
    cache.set(f"mine:{User.objects.get(name='Sam Staff').pk}", 0)
    with django_assert_max_num_queries(6):
        sam.get(PEOPLE)
