"""Editing as text: the import of a checklist, and a template's Markdown. Looked at first, then saved."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from checklists import markdown
from checklists.editing import EditError, save_template
from checklists.forms.source import MarkdownForm, Preview, SourceError, SourceForm, mark_of
from checklists.permissions import needs
from checklists.views.base import find, to, who
from checklists.views.drafts import tell
from relcoord.lib.htmx import is_partial

CHANGED = "The text changed since you looked. Here is what it would be now; save when it is right."


@needs("import")
@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, "checklists/import.html", {"form": SourceForm()})
    form = SourceForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, "checklists/import.html", {"form": form}, status=422)
    text, name = str(form.cleaned_data["text"]), str(form.cleaned_data["name"])
    shown = SourceForm(initial={"text": text, "name": name})  # an uploaded text moves into the page
    try:
        preview = Preview(text, name=name)
    except SourceError as failure:
        form.add_error("text", str(failure))
        return _page(request, "checklists/import.html", {"form": form}, status=422)
    return _look_or_save(request, "checklists/import.html", {"form": shown}, preview)


@needs("edit")
@require_http_methods(["GET", "HEAD", "POST"])
def edit_markdown(request: HttpRequest, slug: str) -> HttpResponse:
    template = find(slug)
    page = "checklists/markdown.html"
    context: dict[str, Any] = {"template": template}
    if request.method != "POST":
        current = template.current
        form = MarkdownForm(initial={"text": markdown.dump(current.blueprint())})
        return _page(request, page, context | {"form": form, "seen": current.number})
    form = MarkdownForm(request.POST)
    context |= {"form": form, "seen": request.POST.get("seen", "")}
    try:
        preview = Preview(form.cleaned_data["text"], template=template) if form.is_valid() else None
    except SourceError as failure:
        form.add_error("text", str(failure))
        preview = None
    if preview is None:
        return _page(request, page, context, status=422)
    return _look_or_save(request, page, context, preview)


def _look_or_save(request: HttpRequest, page: str, context: dict[str, Any], preview: Preview) -> HttpResponse:
    """Save what was looked at; show a preview of anything else."""
    looked_at = request.POST.get("looked_at", "") == _mark(preview)
    context |= {"preview": preview, "looked_at": _mark(preview)}
    if request.POST.get("do") != "save":
        return _page(request, page, context)
    if not looked_at:
        return _page(request, page, context | {"refusal": CHANGED}, status=409)
    return _save(request, page, context, preview)


def _mark(preview: Preview) -> str:
    return mark_of(f"{preview.plan.name}\n{preview.text}")


def _save(request: HttpRequest, page: str, context: dict[str, Any], preview: Preview) -> HttpResponse:
    posted, before = request.POST.get("seen", ""), preview.seen
    note = request.POST.get("change_note", "").strip()
    seen = int(posted) if posted.isdecimal() and len(posted) < 9 else before
    try:
        version = save_template(
            preview.plan, by=who(request), template=preview.template, change_note=note, seen_number=seen
        )
    except EditError as refusal:
        return _page(request, page, context | {"refusal": str(refusal), "seen": before}, status=409)
    tell(request, version, before)
    return to(request, version.template.get_absolute_url())


def _page(request: HttpRequest, page: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    name = f"{page}#preview" if is_partial(request) else page
    return render(request, name, context, status=status)
