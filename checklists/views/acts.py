"""One press each: retire, restore, copy."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from checklists import editing
from checklists.forms.source import CopyForm
from checklists.permissions import needs
from checklists.views.base import find, to, who
from relcoord.lib.htmx import say


@needs("retire")
@require_POST
def retire(request: HttpRequest, slug: str) -> HttpResponse:
    template = find(slug)
    editing.retire_template(template, by=who(request))
    undo = reverse("checklists:restore", args=[slug])
    say(request, f"“{template.name}” is retired. Running releases keep it; new ones cannot choose it.", undo=undo)
    return to(request, template.get_absolute_url())


@needs("restore")
@require_POST
def restore(request: HttpRequest, slug: str) -> HttpResponse:
    template = find(slug)
    editing.restore_template(template, by=who(request))
    undo = reverse("checklists:retire", args=[slug])
    say(request, f"“{template.name}” is offered for new releases again.", undo=undo)
    return to(request, template.get_absolute_url())


@needs("copy")
@require_POST
def copy(request: HttpRequest, slug: str) -> HttpResponse:
    template = find(slug)
    form = CopyForm(request.POST)
    if not form.is_valid():
        messages.error(request, "A copy needs a name of its own.")
        return to(request, template.get_absolute_url())
    try:
        version = editing.copy_template(template, by=who(request), name=form.cleaned_data["name"])
    except editing.EditError as refusal:
        messages.error(request, str(refusal))
        return to(request, template.get_absolute_url())
    messages.success(request, f"Copied to “{version.template.name}”. Change what differs.")
    return to(request, reverse("checklists:edit", args=[version.template.slug]))
