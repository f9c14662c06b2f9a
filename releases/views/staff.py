"""What staff administer: people, roles, products."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Count, Max
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from checklists.blueprints import slug
from checklists.models import Role
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import people
from releases.errors import DomainError, Refused
from releases.forms.people import InviteForm, ProductForm, RoleForm
from releases.models import Product, Release
from releases.views.base import refused, who


def staff(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Only staff may administer; others hear so."""

    @needs("administer")
    @wraps(view)
    def page(request: HtmxRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not who(request).is_staff:
            return refused(request, Refused("Only staff may administer people, roles and products."))
        return view(request, *args, **kwargs)

    return page


def _page(request: HtmxRequest, status: int = 200, **given: forms.BaseForm) -> HttpResponse:
    active = User.objects.annotate(release_count=Count("assignments__release", distinct=True))
    context: dict[str, Any] = {
        "people": active.annotate(invited_until=Max("invitations__expires_at")).order_by("-is_active", "name"),
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
    return HttpResponseRedirect(reverse("releases:people"), status=303)


@staff
@require_POST
def invite(request: HtmxRequest) -> HttpResponse:
    form = InviteForm(request.POST, prefix="invite")
    if form.is_valid():
        try:
            people.invite(form.cleaned_data["email"], form.cleaned_data["name"], by=who(request))
            return _done(request, f"{form.cleaned_data['name']} is sent a link to come in")
        except DomainError as refusal:
            form.add_error(None, str(refusal))
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
    """Close or open an account. What the person did stays in every record."""
    user = get_object_or_404(User, pk=pk)
    active = request.POST.get("to") == "active"
    if not active and user.pk == who(request).pk:
        return _say_no(request, "You cannot close your own account; another of the staff can.")
    running = Release.objects.in_flight().filter(coordinator=user).values_list("key", flat=True)
    if not active and running:
        return _say_no(request, f"{user} coordinates {', '.join(running)}; hand that over first.")
    user.is_active = active
    user.save(update_fields=["is_active"])
    return _done(request, f"{user} {'may sign in again' if active else 'can no longer sign in'}")


def _say_no(request: HtmxRequest, sentence: str) -> HttpResponse:
    from django.contrib import messages

    messages.error(request, sentence)
    return HttpResponseRedirect(reverse("releases:people"), status=303)


@staff
@require_POST
def role_save(request: HtmxRequest) -> HttpResponse:
    """A new role, or new words for one; its identity, the slug, stays."""
    pk = request.POST.get("pk", "")
    known = Role.objects.filter(pk=pk).first() if pk.isdigit() else None
    form = RoleForm(request.POST, prefix="role", instance=known)
    if form.is_valid():
        wanted = slug(form.cleaned_data["name"])
        if known is None and (not wanted or Role.objects.filter(slug=wanted).exists()):
            form.add_error("name", "There is a role of that name already." if wanted else "Give it a name in letters.")
        else:
            role = form.save(commit=False)
            role.slug = role.slug or wanted
            role.save()
            return _done(request, f"Role {role} is saved")
    return _page(request, 422, role_form=form)


@staff
@require_POST
@transaction.atomic
def product_save(request: HtmxRequest) -> HttpResponse:
    """A new product."""
    form = ProductForm(request.POST, prefix="product")
    if form.is_valid():
        wanted = slug(form.cleaned_data["name"])[:80]
        if not wanted or Product.objects.filter(slug=wanted).exists():
            form.add_error(
                "name", "There is a product of that name already." if wanted else "Give it a name in letters."
            )
        else:
            Product.objects.create(slug=wanted, name=form.cleaned_data["name"])
            return _done(request, f"Product {form.cleaned_data['name']} is added")
    return _page(request, 422, product_form=form)
