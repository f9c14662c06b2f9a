"""The coordinator changes the list of a running release: add, edit, move, set a due moment, give items to a role."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from relcoord.lib.htmx import HtmxRequest, is_partial, say
from releases import amending
from releases.errors import Conflict, DomainError, ReasonNeeded, Refused
from releases.forms.items import AddForm, DueForm, GiveForm, ItemForm, MoveForm, WordsForm
from releases.models import Item, Phase, Release
from releases.views.answers import changed
from releases.views.base import acts, shows, who
from releases.views.frame import frame
from releases.views.items import find_item
from releases.views.pair import either


def _page(request: HtmxRequest, release: Release, template: str, status: int = 200, **more: Any) -> HttpResponse:
    release.forget()
    return render(request, f"releases/{template}.html", frame(request, release, "checklist") | more, status=status)


def _refuse(form: forms.Form, refusal: DomainError) -> str:
    """Put a refusal where it belongs in `form`; returns the consequence to name, if the act has one."""
    if isinstance(refusal, Refused):
        raise refusal
    if isinstance(refusal, ReasonNeeded) and isinstance(form, ItemForm):
        form.ask_to_revoke()
        form.add_error("revoke", str(refusal))
        return refusal.consequence
    form.add_error(None, str(refusal))
    return ""


# Add


@shows("edit_items")
def _add_form(request: HtmxRequest, release: Release) -> HttpResponse:
    phase = request.GET.get("phase", "")
    initial = {"phase": int(phase)} if phase.isdecimal() else {}
    return _page(request, release, "item_add", form=AddForm(release=release, initial=initial))


@acts("edit_items")
def _add(request: HtmxRequest, release: Release) -> HttpResponse:
    form, consequence = AddForm(request.POST, release=release), ""
    if form.is_valid():
        words, said = form.words, form.cleaned_data
        try:
            item = amending.add_item(said["phase"], words.pop("title"), by=who(request), revoke=said["revoke"], **words)
        except DomainError as refusal:
            consequence = _refuse(form, refusal)
        else:
            say(request, f"{item.title} is added to {item.phase}")
            return HttpResponseRedirect(item.get_absolute_url(), status=303)
    return _page(request, release, "item_add", 422, form=form, consequence=consequence)


item_add = either(_add_form, _add)


# Edit, move, due


def _edit_page(
    request: HtmxRequest, release: Release, pk: int, status: int = 200, *, consequence: str = "", **given: forms.Form
) -> HttpResponse:
    """The coordinator's page of one item: its words, its place, its due moment."""
    item = find_item(release, pk)
    due = next(moments.due_of(item) for moments in release.plan if moments.phase.pk == item.phase_id)
    own = due.astimezone(release.zone).strftime("%Y-%m-%dT%H:%M") if item.due and due else ""
    shown = {
        "words_form": WordsForm(release=release, initial=WordsForm.of(item)),
        "move_form": MoveForm(release=release, initial={"phase": item.phase_id, "v": item.version}),
        "due_form": DueForm(release=release, initial={"due": own, "v": item.version}),
    }
    return _page(request, release, "item_edit", status, item=item, due=due, consequence=consequence, **(shown | given))


@shows("edit_items")
def _edit_form(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    return _edit_page(request, release, pk)


@acts("edit_items")
def _edit(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """Change words and duties, and the role with them."""
    item, form, status, consequence = find_item(release, pk), WordsForm(request.POST, release=release), 422, ""
    if form.is_valid():
        said = form.cleaned_data
        try:
            amending.edit_item(item, by=who(request), version=said["v"], revoke=said["revoke"], **form.words)
            amending.give_items([item], said["role"], by=who(request))
        except DomainError as refusal:
            consequence = _refuse(form, refusal)
            status = 409 if isinstance(refusal, Conflict) else 422
        else:
            say(request, f"{said['title']} is changed")
            return HttpResponseRedirect(item.get_absolute_url(), status=303)
    return _edit_page(request, release, pk, status, words_form=form, consequence=consequence)


item_edit = either(_edit_form, _edit)


@acts("edit_items")
def item_move(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """One place up or down in its phase, or to the end of another one."""
    item, form, consequence = find_item(release, pk), MoveForm(request.POST, release=release), ""
    if form.is_valid():
        phase, place = _place(item, form.cleaned_data)
        try:
            item = amending.move_item(item, phase, place, by=who(request), revoke=form.cleaned_data["revoke"])
        except DomainError as refusal:
            consequence = _refuse(form, refusal)
        else:
            say(request, f"{item.title} is moved")
            if is_partial(request):
                return changed(request, release, item.release, pk)
            return HttpResponseRedirect(item.get_absolute_url(), status=303)
    return _edit_page(request, release, pk, 422, move_form=form, consequence=consequence)


def _place(item: Item, said: dict[str, Any]) -> tuple[Phase, int]:
    """The phase and the position, from 1, that a move asks for."""
    if said["to"] == "phase" and said["phase"]:
        phase: Phase = said["phase"]
        return phase, phase.items.count() + 1
    before = item.phase.items.filter(position__lt=item.position).count()
    return item.phase, before if said["to"] == "up" else before + 2


@acts("edit_items")
def item_due(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    item, form, status = find_item(release, pk), DueForm(request.POST, release=release), 422
    if form.is_valid():
        try:
            amending.set_due(item, form.cleaned_data["due"], by=who(request), version=form.cleaned_data["v"])
        except DomainError as refusal:
            _refuse(form, refusal)
            status = 409 if isinstance(refusal, Conflict) else 422
        else:
            say(request, f"{item.title} is due {'then' if form.cleaned_data['due'] else 'with its phase'}")
            return HttpResponseRedirect(item.get_absolute_url(), status=303)
    return _edit_page(request, release, pk, status, due_form=form)


# Give


def _give_page(request: HtmxRequest, release: Release, form: GiveForm, status: int = 200) -> HttpResponse:
    chosen = {str(pk) for pk in form["items"].value() or []}
    return _page(request, release, "items_give", status, form=form, chosen=chosen)


@shows("edit_items")
def _give_form(request: HtmxRequest, release: Release) -> HttpResponse:
    without = Item.objects.of(release).filter(role=None).values_list("pk", flat=True)
    initial = {"items": list(without)} if "unassigned" in request.GET else {}
    return _give_page(request, release, GiveForm(release=release, initial=initial))


@acts("edit_items")
def _give(request: HtmxRequest, release: Release) -> HttpResponse:
    form = GiveForm(request.POST, release=release)
    if form.is_valid():
        role = form.cleaned_data["role"]
        try:
            count = amending.give_items(form.cleaned_data["items"], role, by=who(request))
        except DomainError as refusal:
            _refuse(form, refusal)
        else:
            say(request, f"{count} item{'' if count == 1 else 's'} given to {role or 'the coordinator'}")
            return HttpResponseRedirect(release.get_absolute_url(), status=303)
    return _give_page(request, release, form, 422)


items_give = either(_give_form, _give)
