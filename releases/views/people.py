"""The people of a release: who holds what, handing over, taking over."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from checklists.models import Role
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.models import User
from releases import birth, people, permissions, readiness
from releases.errors import DomainError, Refused
from releases.forms.people import AssignForm, PasteForm, TakeOverForm, TransferForm
from releases.models import COORDINATOR, Release
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame


def page(request: HtmxRequest, release: Release, status: int = 200, **forms_given: forms.Form) -> HttpResponse:
    """The people page, with the form that was refused in its place."""
    readiness.load(release)
    held: dict[int, list[User]] = {}
    for row in release.assignments.all():
        held.setdefault(row.role_id, []).append(row.user)
    plans = list(release.template_version.roles.select_related("role"))
    others = Role.objects.filter(pk__in=set(held) - {plan.role_id for plan in plans})
    described = [(plan.role, plan.responsibility, plan.required, held.get(plan.role_id, [])) for plan in plans]
    described += [(role, role.responsibility, False, held[role.pk]) for role in others]
    me = who(request)
    context = frame(request, release, "people") | {
        "roles": described,
        "coordinator_slug": COORDINATOR,
        "absences": permissions.absences(release),
        "unassigned": birth.unassigned(release),
        "may_assign": permissions.may(me, "assign", release),
        "may_transfer": permissions.may(me, "transfer", release),
        "may_take_over": permissions.may(me, "take_over", release) and me.pk != release.coordinator_id,
        "assign_form": AssignForm(release=release),
        "paste_form": PasteForm(release=release, prefix="paste"),
        "transfer_form": TransferForm(prefix="transfer"),
        "take_over_form": TakeOverForm(prefix="take"),
    }
    return render(request, "releases/people.html", context | forms_given, status=status)


@shows("view")
def release_people(request: HtmxRequest, release: Release) -> HttpResponse:
    return page(request, release)


def _url(release: Release) -> str:
    return reverse("releases:release_people", args=[release.key])


@acts("assign")
def assign(request: HtmxRequest, release: Release) -> HttpResponse:
    form = AssignForm(request.POST, release=release)
    if not form.is_valid():
        return page(request, release, 422, assign_form=form)
    try:
        people.assign(release, form.cleaned_data["role"], form.cleaned_data["user"], by=who(request))
    except Refused:
        raise
    except DomainError as refusal:
        form.add_error(None, str(refusal))
        return page(request, release, 422, assign_form=form)
    say(request, f"{form.cleaned_data['user']} is {form.cleaned_data['role']} now")
    return to(request, _url(release))


@acts("assign")
def unassign(request: HtmxRequest, release: Release) -> HttpResponse:
    role = get_object_or_404(Role, pk=request.POST.get("role") or 0)
    user = get_object_or_404(User, pk=request.POST.get("user") or 0)
    people.unassign(release, role, user, by=who(request))
    undo = reverse("releases:assign", args=[release.key])
    say(request, f"{user} is no longer {role}", undo=undo, role=role.pk, user=user.pk)
    return to(request, _url(release))


@acts("assign")
def paste(request: HtmxRequest, release: Release) -> HttpResponse:
    form = PasteForm(request.POST, release=release, prefix="paste")
    if not form.is_valid():
        return page(request, release, 422, paste_form=form)
    try:
        rows = people.assign_pasted(release, form.cleaned_data["role"], form.cleaned_data["text"], by=who(request))
    except Refused:
        raise
    except DomainError as refusal:
        form.add_error("text", str(refusal))
        return page(request, release, 422, paste_form=form)
    say(request, f"{', '.join(row.user.name for row in rows)}: {form.cleaned_data['role']} now")
    return to(request, _url(release))


@acts("transfer")
def transfer(request: HtmxRequest, release: Release) -> HttpResponse:
    form = TransferForm(request.POST, prefix="transfer")
    if not form.is_valid():
        return page(request, release, 422, transfer_form=form)
    new = form.cleaned_data["to"]
    people.transfer(release, new, by=who(request), reason=form.cleaned_data["reason"])
    say(request, f"{new} coordinates {release.key} now")
    return to(request, _url(release))


@acts("take_over")
def take_over(request: HtmxRequest, release: Release) -> HttpResponse:
    form = TakeOverForm(request.POST, prefix="take")
    if not form.is_valid():
        return page(request, release, 422, take_over_form=form)
    people.take_over(release, form.cleaned_data["reason"], by=who(request))
    say(request, f"You coordinate {release.key} now; {release.coordinator} is told")
    return to(request, _url(release))
