"""The admin shows operators everything of a release and lets them change nothing a verb guards."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from relcoord.models import User
from releases.models import Product, Release, Status, Submission
from tests.factories import Cast, ReleaseFactory, bring_to
from tests.snapshot import changed, snapshot
from tests.web import signed_in

DOMAIN = [model for model in apps.get_app_config("releases").get_models() if model not in (Product, Submission)]
CHANGES = {"add", "change", "delete"}


@pytest.fixture
def operator(cast: Cast) -> Client:
    root = User.objects.create_superuser("root@example.org", "x", name="Root")
    return signed_in(root)


def url(model: type[Model], what: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


@pytest.mark.parametrize("model", DOMAIN, ids=lambda model: model.__name__)
def test_every_kind_of_row_of_a_release_can_be_looked_at(model: type[Model]) -> None:
    assert admin.site.is_registered(model)


def test_the_rows_of_a_release_open_and_none_of_them_changes(operator: Client) -> None:
    bring_to(ReleaseFactory(), Status.ROLLED_BACK)
    before = snapshot()
    for model in DOMAIN:
        assert operator.get(url(model, "changelist")).status_code == 200, model
        assert operator.get(url(model, "add")).status_code == 403, model
        assert operator.post(url(model, "add"), {}).status_code == 403, model
        row = model._default_manager.first()
        if row is None:
            continue
        assert operator.get(url(model, "change", row.pk)).status_code == 200, model
        assert operator.post(url(model, "change", row.pk), {"status": "closed"}).status_code == 403, model
        assert operator.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        operator.post(url(model, "changelist"), chosen)
    assert changed(before, snapshot()) == []


def test_searching_and_filtering_work(operator: Client) -> None:
    ReleaseFactory(key="PAY-4.2")
    answer = operator.get(url(Release, "changelist"), {"q": "PAY", "status__exact": "preparing"})
    assert b"PAY-4.2" in answer.content


def test_accounts_are_looked_at_here_and_administered_on_the_sites_own_pages(operator: Client, cast: Cast) -> None:
    assert operator.get(url(User, "changelist")).status_code == 200
    assert operator.get(url(User, "add")).status_code == 403
    assert operator.post(url(User, "delete", cast.ben.pk), {"post": "yes"}).status_code == 403


def test_an_operator_puts_people_into_groups(operator: Client, cast: Cast) -> None:
    editors, _ = Group.objects.get_or_create(name="Checklist editors")
    page = operator.get(url(User, "change", cast.ben.pk))
    assert b"Ben Osei" in page.content
    operator.post(url(User, "change", cast.ben.pk), {"groups": [editors.pk]})
    assert list(cast.ben.groups.all()) == [editors]
    cast.ben.refresh_from_db()
    assert (cast.ben.name, cast.ben.is_active, cast.ben.is_staff) == ("Ben Osei", True, False)


def test_whoever_is_not_staff_is_sent_to_the_log_in(cast: Cast) -> None:
    for path in ("/admin/", url(Release, "changelist")):
        assert signed_in(cast.ada).get(path).status_code == 302


def test_staff_without_the_operators_right_see_no_rows(cast: Cast) -> None:
    assert signed_in(cast.sam).get(url(Release, "changelist")).status_code == 403
