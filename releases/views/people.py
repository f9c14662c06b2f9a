"""The people of a release: who holds what, handing over, taking over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Model
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from checklists.models import Role
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.models import User
from releases import birth, people, permissions, readiness
from releases.errors import DomainError, Refused
from releases.forms.people import AssignForm, PasteForm, TakeOverForm, TransferForm
from releases.models import COORDINATOR, Delegation, Release, seats_of
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame


@dataclass(frozen=True)
class Held:
    """One role as its row shows it."""

    role: Role
    responsibility: str
    required: bool
    people: list[tuple[User, Delegation | None]]  # each with the absence of the day, if any
    seat: bool  # has a place in the poll


def page(request: HtmxRequest, release: Release, status: int = 200, **forms_given: forms.Form) -> HttpResponse:
    """The people page, with the form that was refused in its place."""
    readiness.load(release)
    me = who(request)
    wanted = {"role": request.GET.get("role", "")} if request.method != "POST" else {}
    context = frame(request, release, "people") | {
        "roles": _held(release),
        "coordinator_slug": COORDINATOR,
        "unassigned": birth.unassigned(release),
        "viewers": release.viewers.order_by("name") if release.restricted else [],
        "may_assign": permissions.may(me, "assign", release) and not release.is_final,
        "may_transfer": permissions.may(me, "transfer", release) and not release.is_final,
        "may_take_over": _may_take_over(me, release),
        "who_may_assign": permissions.who_may("assign", release),
        "assign_form": AssignForm(release=release, initial=wanted),
        "paste_form": PasteForm(release=release, prefix="paste", initial=wanted),
        "transfer_form": TransferForm(prefix="transfer"),
        "take_over_form": TakeOverForm(prefix="take"),
    }
    return render(request, "releases/people.html", context | forms_given, status=status)


def _may_take_over(me: User, release: Release) -> bool:
    return me.pk != release.coordinator_id and not release.is_final and permissions.may(me, "take_over", release)


def _held(release: Release) -> list[Held]:
    """The roles of the checklist in its order, then those only this release has."""
    away = {absence.user_id: absence for absence in permissions.absences(release)}
    people: dict[int, list[tuple[User, Delegation | None]]] = {}
    others: dict[int, Role] = {}
    for row in release.assignments.all():
        people.setdefault(row.role_id, []).append((row.user, away.get(row.user_id)))
        others[row.role_id] = row.role
    seats = {seat.role_id for seat in seats_of(release)}
    found = []
    for plan in release.template_version.roles.select_related("role"):
        others.pop(plan.role_id, None)
        held = people.get(plan.role_id, [])
        found.append(Held(plan.role, plan.responsibility, plan.required, held, plan.role_id in seats))
    more = [Held(role, role.responsibility, False, people[pk], pk in seats) for pk, role in others.items()]
    return found + more


@shows("view")
def release_people(request: HtmxRequest, release: Release) -> HttpResponse:
    return page(request, release)


def _url(release: Release) -> str:
    return reverse("releases:release_people", args=[release.key])


Act = Callable[[dict[str, Any]], str]


def _take(
    request: HtmxRequest, release: Release, verb: str, name: str, form: forms.Form, act: Act, beside: str | None = None
) -> HttpResponse:
    """Check the form called `name`, carry it out and say the sentence `act` returns. What the rules refuse comes
    back with the form, at the field `beside` or above all."""
    permissions.require(who(request), verb, release)
    if form.is_valid():
        try:
            say(request, act(form.cleaned_data))
        except Refused:
            raise
        except DomainError as refusal:
            if release.is_final:
                raise  # its page has no form now that could say so
            form.add_error(beside, str(refusal))
        else:
            seen = Release.objects.visible_to(who(request)).filter(pk=release.pk).exists()
            return to(request, _url(release) if seen else reverse("releases:dashboard"))
    return page(request, release, 422, **{name: form})


@acts("assign")
def assign(request: HtmxRequest, release: Release) -> HttpResponse:
    def act(said: dict[str, Any]) -> str:
        people.assign(release, said["role"], said["user"], by=who(request))
        return f"{said['user']} is {said['role']} now"

    return _take(request, release, "assign", "assign_form", AssignForm(request.POST, release=release), act)


@acts("assign")
def unassign(request: HtmxRequest, release: Release) -> HttpResponse:
    role, user = _row(Role, request.POST.get("role", "")), _row(User, request.POST.get("user", ""))
    people.unassign(release, role, user, by=who(request))
    undo = reverse("releases:assign", args=[release.key])
    say(request, f"{user} is no longer {role}", undo=undo, role=role.pk, user=user.pk)
    return to(request, _url(release))


def _row(model: type[Model], pk: str) -> Any:
    return get_object_or_404(model, pk=int(pk) if pk.isdecimal() and len(pk) < 19 else 0)


@acts("assign")
def paste(request: HtmxRequest, release: Release) -> HttpResponse:
    """Several people at once, as `Name <mail>`; those unknown are invited."""

    def act(said: dict[str, Any]) -> str:
        rows = people.assign_pasted(release, said["role"], said["text"], by=who(request))
        return f"{', '.join(row.user.name for row in rows)}: {said['role']} now"

    form = PasteForm(request.POST, release=release, prefix="paste")
    return _take(request, release, "assign", "paste_form", form, act, beside="text")


@acts("transfer")
def transfer(request: HtmxRequest, release: Release) -> HttpResponse:
    def act(said: dict[str, Any]) -> str:
        people.transfer(release, said["to"], by=who(request), reason=said["reason"])
        return f"{said['to']} coordinates {release.key} now"

    return _take(request, release, "transfer", "transfer_form", TransferForm(request.POST, prefix="transfer"), act)


@acts("take_over")
def take_over(request: HtmxRequest, release: Release) -> HttpResponse:
    former = release.coordinator

    def act(said: dict[str, Any]) -> str:
        people.take_over(release, said["reason"], by=who(request))
        return f"You coordinate {release.key} now; {former} is told"

    return _take(request, release, "take_over", "take_over_form", TakeOverForm(request.POST, prefix="take"), act)
