"""Planning a release: one page, nothing saved until everything fits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from checklists.blueprints import Blueprint, Stage
from checklists.models import Template, TemplateVersion
from checklists.tminus import Anchor, due_at
from relcoord.lib.htmx import HtmxRequest, is_partial, say
from relcoord.lib.verbs import needs
from releases import birth
from releases.errors import DomainError
from releases.forms.plan import PlanForm, RolesForm
from releases.forms.window import WindowForm
from releases.models import Product, Release, Submission
from releases.views.base import once_key, to, who
from releases.workflow import Window

AFTER = {Stage.PRODUCTION: "T-0", Stage.POST_DEPLOYMENT: "after the deployment"}
PARTS = ("who", "preview")  # htmx targets that are answered alone


@needs("create_release")
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HtmxRequest) -> HttpResponse:
    """GET shows the form. POST with `do=plan` makes the release; anything else shows the form again as it was typed:
    `do=people` with the people of the product's last release, `do=more-…` with one more place in a role."""
    if not Template.objects.in_use().exists():
        return render(request, "releases/create.html", {"no_template": True})
    if request.method != "POST":
        return _show(request, _fresh(request))
    if request.POST.get("do", "plan") == "plan":
        return _plan(request)
    return _show(request, _typed(request))


@dataclass
class Forms:
    """What the page is made of."""

    version: TemplateVersion
    plan: PlanForm
    window: WindowForm
    roles: RolesForm
    looked_at: WindowForm  # bound, for the preview
    note: str = ""  # what taking over the people came to


def _show(request: HtmxRequest, forms: Forms, status: int = 200) -> HttpResponse:
    part = request.htmx.target if is_partial(request) and request.htmx.target in PARTS else ""
    context = {
        "plan": forms.plan,
        "window": forms.window,
        "roles": forms.roles,
        "note": forms.note,
        "products": Product.objects.all(),
        "once": once_key(request) or uuid4().hex,
        "preview": _preview(forms),
    }
    return render(request, f"releases/create.html{'#' + part if part else ''}", context, status=status)


def _fresh(request: HtmxRequest) -> Forms:
    """An empty form, the reader as coordinator, a window next week; `?checklist=` chooses the checklist."""
    version, me = _version(request.GET.get("checklist", "")), who(request)
    zone = me.time_zone or timezone.get_current_timezone_name()
    plan = PlanForm(initial={"coordinator": me.pk, "template": version.template.slug})
    said = WindowForm.default(zone, timezone.now())
    window = WindowForm(prefix="window", initial=said)
    looked_at = WindowForm({f"window-{name}": str(value) for name, value in said.items()}, prefix="window")
    return Forms(version, plan, window, RolesForm(version=version), looked_at)


def _version(slug: str) -> TemplateVersion:
    """The newest version of the named checklist, else of the first one in use."""
    slug = slug.replace("\x00", "")
    in_use = Template.objects.in_use()
    chosen = in_use.filter(slug=slug).first() or in_use.first()
    if chosen is None:
        raise Http404("There is no checklist a release can be made of")
    return chosen.current


def _typed(request: HtmxRequest) -> Forms:
    """The form as it was typed, without looking for errors."""
    data, do = request.POST, request.POST.get("do", "")
    version = _version(data.get("template", ""))
    plan = PlanForm(initial={name: data.get(name, "") for name in PlanForm.base_fields})
    names = [name.removeprefix("window-") for name in data if name.startswith("window-")]
    window = WindowForm(prefix="window", initial={name: data[f"window-{name}"] for name in names})
    roles = RolesForm(version=version, more=do.removeprefix("more-") if do.startswith("more-") else "")
    roles.keep(data)
    note = _take_people(roles, data) if do == "people" else ""
    return Forms(version, plan, window, roles, WindowForm(data, prefix="window"), note)


def _take_people(roles: RolesForm, data: QueryDict) -> str:
    """Fill in the holders of the product's last release; returns what came of it."""
    named = data.get("product", "").replace("\x00", "").strip()
    product = Product.objects.filter(name__iexact=named).first()
    found = birth.people_of_last(product) if product else {}
    if not found:
        return f"There is no earlier release of {named}." if named else "Say the product first, above."
    roles.take(found)
    return f"These are the people of the last release of {product}. Change what is different."


@dataclass(frozen=True)
class Opening:
    """When a phase of the checklist would open."""

    name: str
    words: str  # its offset, or what it follows
    at: datetime | None  # None while no window is said, and after T-0
    past: bool


def _preview(forms: Forms) -> dict[str, Any]:
    """What the chosen checklist and window come to."""
    blueprint = forms.version.blueprint()
    window = forms.looked_at.window if forms.looked_at.is_valid() else None
    openings = _openings(blueprint, window, timezone.now())
    return {
        "version": forms.version,
        "window": window,
        "openings": openings,
        "items": len(blueprint.items) - sum(len(p.items) for p in blueprint.phases if p.stage == Stage.CONTINGENCY),
        "seats": len(blueprint.seats),
        "past": [opening.name for opening in openings if opening.past],
    }


def _openings(blueprint: Blueprint, window: Window | None, now: datetime) -> list[Opening]:
    found = []
    for phase in blueprint.phases:
        if phase.stage == Stage.CONTINGENCY:
            continue
        before = phase.opens is not None and phase.opens.anchor is Anchor.T_ZERO
        at = due_at(phase.opens, window.t_zero, ZoneInfo(window.zone)) if window and phase.opens and before else None
        words = str(phase.opens) if before else AFTER.get(phase.stage, "from the start")
        found.append(Opening(phase.name, words, at, at is not None and at < now))
    return found


def _plan(request: HtmxRequest) -> HttpResponse:
    version = _version(request.POST.get("template", ""))
    plan, window = PlanForm(request.POST), WindowForm(request.POST, prefix="window")
    roles = RolesForm(request.POST, version=version)
    forms = Forms(version, plan, window, roles, window)
    if not all([plan.is_valid(), window.is_valid(), roles.is_valid()]) or window.window is None:
        return _taken(request) or _show(request, forms, 422)
    try:
        release = _create(request, version, plan, window.window, roles)
    except DomainError as refusal:
        plan.add_error(None, str(refusal))
        return _show(request, forms, 422)
    except IntegrityError:
        plan.add_error("key", "Somebody took that key a moment ago; choose another.")
        return _taken(request) or _show(request, forms, 422)
    say(request, _said(release))
    return to(request, release.get_absolute_url())


def _taken(request: HtmxRequest) -> HttpResponse | None:
    """Where this very form was sent to when it was taken already: its key is what now stands in its way."""
    first = Submission.objects.filter(key=once_key(request), user=who(request)).first()
    return to(request, first.answer) if first else None


def _said(release: Release) -> str:
    """What was made, and what is still nobody's."""
    missing = birth.unassigned(release)
    words = [f"{release.key} is planned."]
    if missing.items_without_role:
        count = missing.items_without_role
        are = "item has no role and is" if count == 1 else "items have no role and are"
        words.append(f"{count} {are} {release.coordinator.name}’s until given to somebody.")
    if missing.empty_required:
        words.append(f"Nobody is {', '.join(role.name for role in missing.empty_required)} yet.")
    return " ".join(words)


@transaction.atomic
def _create(
    request: HtmxRequest, version: TemplateVersion, plan: PlanForm, planned: Window, roles: RolesForm
) -> Release:
    release = birth.create_release(
        version,
        by=who(request),
        key=plan.cleaned_data["key"],
        title=plan.cleaned_data["title"],
        product=plan.product_row(),
        window=planned,
        coordinator=plan.cleaned_data["coordinator"],
        holders=roles.holders(),
        restricted=plan.cleaned_data["restricted"],
        viewers=roles.cleaned_data["viewers"],
        notes=plan.cleaned_data["notes"],
    )
    key, answer = once_key(request), release.get_absolute_url()
    if key:
        path = reverse("releases:create")
        Submission.objects.create(key=key, user=who(request), path=path, answer=answer, at=timezone.now())
    return release
