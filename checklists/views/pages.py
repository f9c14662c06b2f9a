"""Pages that only show."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from checklists import markdown
from checklists.diffing import diff as differences
from checklists.forms.source import CopyForm
from checklists.models import Template, TemplateItem, TemplateVersion
from checklists.permissions import needs
from checklists.usable import lacks
from checklists.views.base import find, find_version, rights, who
from relcoord.models import User


def _releases() -> Any:
    """The manager of what is made of versions. This app does not know the other; the relation does."""
    made: type[Model] = TemplateVersion._meta.get_field("releases").related_model
    return made._default_manager


def _used_by(template: Template, user: User) -> QuerySet[Any]:
    """The releases made of `template` that `user` may see, newest first."""
    visible = _releases().all().visible_to(user).filter(template_version__template=template)
    return visible.select_related("template_version").order_by("-t_zero")


def _shelf() -> QuerySet[Template]:
    """All templates with their newest version's number, date, author and item count, in one query."""
    newest = TemplateVersion.objects.filter(template=OuterRef("pk")).order_by("-number")
    last = TemplateVersion.objects.filter(template=OuterRef("phase__version__template")).order_by("-number")
    items = TemplateItem.objects.filter(
        phase__version__template=OuterRef("pk"), phase__version=Subquery(last.values("pk")[:1])
    )
    running = _releases().in_flight().filter(template_version__template=OuterRef("pk"))
    return Template.objects.annotate(
        number=Subquery(newest.values("number")[:1]),
        saved_at=Subquery(newest.values("created_at")[:1]),
        saved_by=Subquery(newest.values("created_by__name")[:1]),
        item_count=_count(items, "phase__version__template"),
        running_count=_count(running, "template_version__template"),
    )


def _count(rows: QuerySet[Any], by: str) -> Coalesce:
    """How many rows, as a subquery: a join would count each once per row of the other."""
    return Coalesce(Subquery(rows.order_by().values(by).annotate(n=Count("pk")).values("n")), 0)


@needs("view")
@require_safe
def template_list(request: HttpRequest) -> HttpResponse:
    shelf = list(_shelf())
    context = {
        "in_use": [template for template in shelf if not template.retired_at],
        "retired": [template for template in shelf if template.retired_at],
    }
    return render(request, "checklists/list.html", context | rights(request))


@needs("view")
@require_safe
def template(request: HttpRequest, slug: str) -> HttpResponse:
    found = find(slug)
    return _show(request, found, find_version(found, found.current.number))


@needs("view")
@require_safe
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = find(slug)
    return _show(request, found, find_version(found, number))


def _show(request: HttpRequest, template: Template, shown: TemplateVersion) -> HttpResponse:
    versions = list(template.versions.select_related("created_by"))
    plan = shown.blueprint()
    problems = lacks(plan)
    context = {
        "template": template,
        "version": shown,
        "versions": versions,
        "newest": versions[0],
        "plan": plan,
        "blocking": [problem for problem in problems if problem.blocking],
        "notes": [problem for problem in problems if not problem.blocking],
        "used_by": list(_used_by(template, who(request))[:50]),
        "copy_form": CopyForm(initial={"name": f"{template.name[:190]}, copy"}),
    }
    return render(request, "checklists/template.html", context | rights(request))


@needs("view")
@require_safe
def diff(request: HttpRequest, slug: str) -> HttpResponse:
    """Compare two versions; without a choice the newest with the one before."""
    template = find(slug)
    numbers = list(template.versions.values_list("number", flat=True))
    new = _chosen(request.GET.get("to"), numbers, numbers[0])
    old = _chosen(request.GET.get("from"), numbers, max((n for n in numbers if n < new), default=new))
    before, after = find_version(template, old), find_version(template, new)
    context = {
        "template": template,
        "numbers": numbers,
        "old": before,
        "new": after,
        "diff": differences(before.blueprint(), after.blueprint()),
    }
    return render(request, "checklists/diff.html", context)


def _chosen(text: str | None, numbers: list[int], otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 and int(text) in numbers else otherwise


@needs("export")
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """The newest version as Markdown, or `?version=3`."""
    template = find(slug)
    numbers = list(template.versions.values_list("number", flat=True))
    shown = find_version(template, _chosen(request.GET.get("version"), numbers, numbers[0]))
    answer = HttpResponse(markdown.dump(shown.blueprint()), content_type="text/markdown; charset=utf-8")
    answer.headers["Content-Disposition"] = content_disposition_header(True, f"{template.slug}.md") or "attachment"
    return answer
