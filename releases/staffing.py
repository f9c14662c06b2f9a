"""What staff administer: accounts, the right to administer, roles and products. Each act leaves an entry in the log
of `/admin/`, because no release's history is the place for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from checklists.blueprints import slug
from checklists.models import Role
from relcoord.models import User
from releases.errors import DomainError, Refused
from releases.models import Planning, Product, Release

if TYPE_CHECKING:
    from collections.abc import Sequence


@transaction.atomic
def close_account(user: User, *, by: User) -> Sequence[Release]:
    """Keep `user` from signing in; what they did stays in every record. Returns the releases they still have a part in.

    Refused for one's own account and for somebody who coordinates a release in flight.
    """
    user = _locked(user, by)
    if user.pk == by.pk:
        raise DomainError("You cannot close your own account; another of the staff can.")
    leads = Release.objects.in_flight().filter(coordinator=user).order_by("t_zero")
    if leads:
        raise DomainError(f"{user} coordinates {', '.join(row.key for row in leads)}; hand that over first.")
    if user.is_active:
        user.is_active = False
        user.save(update_fields=["is_active"])
        Planning.objects.forget()
        _note(user, "account closed", by)
    return list(Release.objects.in_flight().filter(assignments__user=user).distinct().order_by("t_zero"))


@transaction.atomic
def open_account(user: User, *, by: User) -> None:
    """Let `user` sign in again."""
    user = _locked(user, by)
    if not user.is_active:
        user.is_active = True
        user.save(update_fields=["is_active"])
        Planning.objects.forget()
        _note(user, "account opened", by)


@transaction.atomic
def set_staff(user: User, staff: bool, *, by: User) -> None:
    """Give or take the right to administer. One's own cannot be taken by oneself, so there is always somebody."""
    user = _locked(user, by)
    if user.pk == by.pk and not staff:
        raise DomainError("You cannot take the right to administer from yourself; another of the staff can.")
    if staff and not user.is_active:
        raise DomainError(f"{user} can no longer sign in; open the account first.")
    if user.is_staff != staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])
        _note(user, "may administer" if staff else "may no longer administer", by)


@transaction.atomic
def save_role(name: str, responsibility: str, *, by: User, role: Role | None = None) -> Role:
    """A new role, or new words for one. Its slug, by which checklists and releases know it, stays."""
    _staff(by)
    name = " ".join(name.split())
    wanted = slug(name)
    if not wanted:
        raise DomainError("Give the role a name in letters.")
    same = Role.objects.filter(models.Q(slug=wanted) | models.Q(name__iexact=name))
    if same.exclude(pk=role.pk if role else 0).exists():
        raise DomainError(f"There is a role called {name} already.")
    row, new = (role, False) if role else (Role(slug=wanted), True)
    row.name, row.responsibility = name, responsibility.strip()
    row.save()
    _note(row, "added" if new else "changed", by, ADDITION if new else CHANGE)
    return row


@transaction.atomic
def save_product(name: str, *, by: User, product: Product | None = None) -> Product:
    """A new product, or a new name for one. Its releases stay with it."""
    _staff(by)
    name = " ".join(name.split())
    wanted = slug(name)[:80]
    if not wanted:
        raise DomainError("Give the product a name in letters or digits.")
    same = Product.objects.filter(models.Q(name__iexact=name) | models.Q(slug=wanted))
    if same.exclude(pk=product.pk if product else 0).exists():
        raise DomainError(f"There is a product called {name} already.")
    row, new = (product, False) if product else (Product(slug=wanted), True)
    row.name = name
    row.save()
    _note(row, "added" if new else "renamed", by, ADDITION if new else CHANGE)
    return row


def _staff(by: User) -> None:
    if not by.is_staff:
        raise Refused("Only staff may administer people, roles and products.")


def _locked(user: User, by: User) -> User:
    _staff(by)
    return User.objects.select_for_update().get(pk=user.pk)


def _note(row: models.Model, words: str, by: User, flag: int = CHANGE) -> None:
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=flag,
        change_message=words,
    )
