"""What the pages of checklists share: who asks, which template, where to go next."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404

from checklists import permissions
from checklists.models import Template, TemplateVersion
from relcoord.models import User


def who(request: HttpRequest) -> User:
    """The person signed in. `LoginRequiredMiddleware` has turned everybody else away."""
    return cast(User, request.user)


def find(slug: str) -> Template:
    return get_object_or_404(Template, slug=slug)


def find_version(template: Template, number: int) -> TemplateVersion:
    return get_object_or_404(template.versions.select_related("created_by", "template"), number=number)


def rights(request: HttpRequest) -> dict[str, Any]:
    """What the reader may do, for a page to show only buttons that work, and the sentence that says who may."""
    return {"may_edit": permissions.may(request.user, "edit"), "who_may": permissions.sentence("edit")}


def to(request: HttpRequest, url: str) -> HttpResponse:
    """Post, redirect, get: 303 for a form; htmx is told to go there itself."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, status=303)
