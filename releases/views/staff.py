"""What staff administer: people, roles, products."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Max, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from checklists.models import Role
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import people, staffing
from releases.errors import DomainError, Refused
from releases.forms.people import InviteForm, ProductForm, RoleForm
from releases.models import FINAL, Product
from releases.views.base import refused, to, who


def staff(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Only staff may administer; others hear so. A `DomainError` becomes a message on the page."""

    @needs("administer")
    @wraps(view)
    def page(request: HtmxRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not who(request).is_staff:
            return refused(request, Refused("Only staff may administer people, roles and products."))
        try:
            return view(request, *args, **kwargs)
        except DomainError as refusal:
            messages.error(request, str(refusal))
            return to(request, reverse("releases:people"))

    return page


def _page(request: HtmxRequest, status: int = 200, **given: forms.BaseForm | int) -> HttpResponse:
    """The page, with the form that was refused in its place (`role_pk`, `product_pk`: of which row)."""
    running = ~Q(assignments__release__status__in=FINAL)
    persons = User.objects.annotate(
        release_count=Count("assignments__release", filter=running, distinct=True),
        invited_until=Max("invitations__expires_at", filter=Q(invitations__used_at=None)),
    )
    context: dict[str, Any] = {
        "now": timezone.now(),
        "people": persons.order_by("-is_active", "name", "email"),
        "roles": Role.objects.order_by("name"),
        "products": Product.objects.annotate(release_count=Count("releases")),
        "invite_form": InviteForm(prefix="invite"),
        "role_form": RoleForm(prefix="role"),
        "product_form": ProductForm(prefix="product"),
    }
    return render(request, "releases/staff.html", context | given, status=status)


@staff
@require_safe
def staff_people(request: HtmxRequest) -> HttpResponse:
    return _page(request)


def _done(request: HtmxRequest, sentence: str) -> HttpResponse:
    say(request, sentence)
    return to(request, reverse("releases:people"))


@staff
@require_POST
def invite(request: HtmxRequest) -> HttpResponse:
    form = InviteForm(request.POST, prefix="invite")
    if form.is_valid():
        try:
            people.invite(form.cleaned_data["email"], form.cleaned_data["name"], by=who(request))
            return _done(request, f"{form.cleaned_data['name']} is sent a link to come in")
        except DomainError as refusal:
            form.add_error("email", str(refusal))
    return _page(request, 422, invite_form=form)


@staff
@require_POST
def invite_again(request: HtmxRequest, pk: int) -> HttpResponse:
    """A new link; the earlier ones no longer work."""
    user = get_object_or_404(User, pk=pk, is_active=True)
    people.owe_invitation(user, by=who(request))
    return _done(request, f"{user} is sent a new link")


@staff
@require_POST
def set_active(request: HtmxRequest, pk: int) -> HttpResponse:
    """Close or open an account."""
    user = get_object_or_404(User, pk=pk)
    if request.POST.get("to") == "active":
        staffing.open_account(user, by=who(request))
        return _done(request, f"{user} may sign in again")
    left = staffing.close_account(user, by=who(request))
    if left:
        keys = ", ".join(release.key for release in left)
        messages.warning(request, f"{user} still holds roles in {keys}; give them to somebody who can sign in.")
    return _done(request, f"{user} can no longer sign in")


@staff
@require_POST
def set_staff(request: HtmxRequest, pk: int) -> HttpResponse:
    """Give or take the right to administer."""
    user, wanted = get_object_or_404(User, pk=pk), request.POST.get("to") == "staff"
    staffing.set_staff(user, wanted, by=who(request))
    return _done(request, f"{user} {'may' if wanted else 'may no longer'} administer people, roles and products")


@staff
@require_POST
def role_save(request: HtmxRequest) -> HttpResponse:
    """A new role, or new words for the one named by `pk`."""
    known = _named(Role, request)
    form = RoleForm(request.POST, prefix=f"role-{known.pk}" if known else "role")
    if form.is_valid():
        try:
            role = staffing.save_role(**form.cleaned_data, by=who(request), role=known)
            return _done(request, f"Role {role} is saved")
        except DomainError as refusal:
            form.add_error("name", str(refusal))
    return _page(request, 422, **({"role_edit": form, "role_pk": known.pk} if known else {"role_form": form}))


@staff
@require_POST
def product_save(request: HtmxRequest) -> HttpResponse:
    """A new product, or a new name for the one named by `pk`."""
    known = _named(Product, request)
    form = ProductForm(request.POST, prefix=f"product-{known.pk}" if known else "product")
    if form.is_valid():
        try:
            product = staffing.save_product(**form.cleaned_data, by=who(request), product=known)
            return _done(request, f"Product {product} is saved")
        except DomainError as refusal:
            form.add_error("name", str(refusal))
    return _page(request, 422, **({"product_edit": form, "product_pk": known.pk} if known else {"product_form": form}))


def _named(model: type[Any], request: HtmxRequest) -> Any:
    """The row the form is about; None for a new one, 404 for one that is not there."""
    pk = request.POST.get("pk", "")
    return get_object_or_404(model, pk=int(pk) if pk.isdigit() else 0) if pk else None
