"""Editing by forms: every button posts the whole draft, and only `save` writes anything."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from checklists.blueprints import Blueprint
from checklists.diffing import diff
from checklists.editing import EditConflict, EditError, save_template
from checklists.forms.desk import Desk
from checklists.forms.draft import DraftError
from checklists.models import Template, TemplateVersion
from checklists.permissions import needs
from checklists.views.base import find, to, who
from relcoord.lib.htmx import is_partial


@needs("edit")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    return _edit(request, find(slug))


@needs("edit")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    return _edit(request, None)


def _edit(request: HttpRequest, template: Template | None) -> HttpResponse:
    if request.method != "POST":
        current = template.current if template else None
        desk = Desk.of(current.blueprint(), current.number) if current else Desk.of(Blueprint(name=""))
        return _page(request, desk, template)
    try:
        desk = Desk.posted(request.POST)
    except DraftError as failure:
        messages.error(request, str(failure))
        return to(request, request.path)
    button = request.POST.get("do", "check")
    if button == "save":
        return _save(request, desk, template)
    desk.act(button)
    return _page(request, desk, template)


def _save(request: HttpRequest, desk: Desk, template: Template | None) -> HttpResponse:
    desk.checked = True
    if desk.faults:
        return _page(request, desk, template, status=422)
    note = desk.change_note
    try:
        version = save_template(desk.plan, by=who(request), template=template, change_note=note, seen_number=desk.seen)
    except EditConflict as conflict:
        context = {"refusal": str(conflict), "diff": template and diff(template.current.blueprint(), desk.plan)}
        desk.seen = conflict.number
        return _page(request, desk, template, status=409, **context)
    except EditError as refusal:
        return _page(request, desk, template, status=422, refusal=str(refusal))
    tell(request, version, desk.seen)
    return to(request, version.template.get_absolute_url())


def tell(request: HttpRequest, version: TemplateVersion, seen: int | None) -> None:
    """Say what was saved, or that there was nothing to save."""
    if version.number == seen:
        messages.info(request, f"Nothing differs from version {seen}, so there is no new version.")
    elif version.number == 1:
        messages.success(request, f"Saved “{version.template.name}”.")
    else:
        messages.success(request, f"Saved version {version.number}. Running releases keep theirs.")


def _page(request: HttpRequest, desk: Desk, template: Template | None, status: int = 200, **more: Any) -> HttpResponse:
    page = "checklists/edit.html#draft" if is_partial(request) else "checklists/edit.html"
    context = {"desk": desk, "template": template, "next_number": (desk.seen or 0) + 1, "status": status}
    context["changed"] = request.method == "POST"
    return render(request, page, context | more, status=status)
