"""The team's page of a release, its notes, its details, and its status as text."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from relcoord.lib.htmx import HtmxRequest, is_partial, say
from releases import ticking, workflow
from releases.errors import DomainError
from releases.forms.items import ReleaseForm
from releases.models import Release
from releases.views.answers import came_from
from releases.views.base import acts, shows, who
from releases.views.frame import frame
from releases.views.page import page_context
from releases.views.pair import either


@shows("view")
def release_page(request: HtmxRequest, release: Release) -> HttpResponse:
    return render(request, "releases/release.html", page_context(request, release))


@acts("note")
def note(request: HtmxRequest, release: Release) -> HttpResponse:
    """A note on the release itself."""
    try:
        ticking.write_note(release, request.POST.get("text", "")[:10_000], by=who(request))
    except DomainError as refusal:
        if not is_partial(request):
            raise
        context = page_context(request, release) | {"note_error": str(refusal)}
        return render(request, "releases/release.html#notes", context, status=422)
    if is_partial(request):
        return render(request, "releases/release.html#notes", page_context(request, release))
    say(request, "The note is written")
    return HttpResponseRedirect(came_from(request, f"{release.get_absolute_url()}#notes"), status=303)


@shows("view")
def status_text(request: HtmxRequest, release: Release) -> HttpResponse:
    """Where the release stands, as text for a chat or a mail."""
    context = page_context(request, release) | {"link": request.build_absolute_uri(release.get_absolute_url())}
    return render(request, "releases/status.txt", context, content_type="text/plain; charset=utf-8")


def _edit_page(request: HtmxRequest, release: Release, form: ReleaseForm, status: int = 200) -> HttpResponse:
    context = frame(request, release, "") | {"form": form}
    return render(request, "releases/edit.html", context, status=status)


@shows("edit_release")
def _edit_form(request: HtmxRequest, release: Release) -> HttpResponse:
    initial = {"title": release.title, "notes": release.notes, "restricted": release.restricted}
    return _edit_page(request, release, ReleaseForm(initial=initial | {"viewers": release.viewers.all()}))


@acts("edit_release")
def _edit(request: HtmxRequest, release: Release) -> HttpResponse:
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        return _edit_page(request, release, form, 422)
    workflow.edit_release(release, by=who(request), **form.cleaned_data)
    say(request, f"{release.key} is changed")
    return HttpResponseRedirect(release.get_absolute_url(), status=303)


edit = either(_edit_form, _edit)
