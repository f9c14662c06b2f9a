"""Planning a release: one page, nothing saved until everything fits."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from checklists.models import Template, TemplateVersion
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.lib.verbs import needs
from releases import birth
from releases.errors import DomainError
from releases.forms.plan import PlanForm, RolesForm
from releases.forms.window import WindowForm
from releases.models import Product, Release, Submission
from releases.views.base import who
from releases.workflow import Window


@needs("create_release")
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HtmxRequest) -> HttpResponse:
    """GET shows the form; `do=people` takes over the people of the product's last release; `do=plan` makes it."""
    if not Template.objects.in_use().exists():
        return render(request, "releases/create.html", {"no_template": True})
    if request.method != "POST":
        return _page(request, *_fresh(request))
    wanted = request.POST.get("do", "plan")
    if wanted == "people":
        return _page(request, *_with_people(request))
    if wanted == "roles":
        return _page(request, *_unchecked(request.POST))
    return _plan(request)


Forms = tuple[PlanForm, WindowForm, RolesForm]


def _page(
    request: HtmxRequest, plan: PlanForm, window: WindowForm, roles: RolesForm, status: int = 200
) -> HttpResponse:
    context = {
        "plan": plan,
        "window": window,
        "roles": roles,
        "products": Product.objects.all(),
        "once": request.POST.get("once") or uuid4().hex,
    }
    return render(request, "releases/create.html", context, status=status)


def _fresh(request: HtmxRequest) -> Forms:
    """An empty form, the reader as coordinator, a window next week; `?checklist=` chooses the checklist."""
    version = _version(request.GET.get("checklist", ""))
    me = who(request)
    zone = me.time_zone or timezone.get_current_timezone_name()
    initial = {"coordinator": me.pk, "template": version.template.slug}
    window = WindowForm(prefix="window", initial=WindowForm.default(zone, timezone.now()))
    return PlanForm(initial=initial), window, RolesForm(version=version)


def _version(slug: str) -> TemplateVersion:
    """The newest version of the named checklist, else of the first that no release is refused for."""
    in_use = Template.objects.in_use()
    chosen = in_use.filter(slug=slug).first() or in_use.first()
    if chosen is None:
        raise Http404("There is no checklist a release can be made of")
    return chosen.current


def _unchecked(data: QueryDict) -> Forms:
    """The form as it was typed, without looking for errors: the checklist was changed, or people taken over."""
    version = _version(data.get("template", ""))
    plan = PlanForm(initial=_typed(data, PlanForm.base_fields))
    names = [name.removeprefix("window-") for name in data if name.startswith("window-")]
    window = WindowForm(prefix="window", initial={name: data[f"window-{name}"] for name in names})
    roles = RolesForm(version=version)
    roles.initial = {name: data.getlist(name) for name in roles.fields}
    return plan, window, roles


def _typed(data: QueryDict, names: Any) -> dict[str, Any]:
    return {name: data.get(name, "") for name in names}


def _with_people(request: HtmxRequest) -> Forms:
    """The form as typed, with the holders of the product's last release in its roles."""
    plan, window, roles = _unchecked(request.POST)
    product = Product.objects.filter(name__iexact=request.POST.get("product", "").strip()).first()
    found = birth.people_of_last(product) if product else {}
    if not found:
        named = request.POST.get("product", "").strip()
        say(request, f"There is no earlier release of {named}" if named else "Choose the product first")
        return plan, window, roles
    for name, role in roles.roles.items():
        roles.initial[name] = [person.pk for person in found.get(role, [])]
    say(request, f"Took over the people of the last release of {product}")
    return plan, window, roles


def _plan(request: HtmxRequest) -> HttpResponse:
    version = _version(request.POST.get("template", ""))
    plan, window = PlanForm(request.POST), WindowForm(request.POST, prefix="window")
    roles = RolesForm(request.POST, version=version)
    if not all([plan.is_valid(), window.is_valid(), roles.is_valid()]) or window.window is None:
        first = Submission.objects.filter(key=request.POST.get("once", "")[:64], user=who(request)).first()
        if first is not None:  # the key is taken because this very form was taken already
            return HttpResponseRedirect(first.answer, status=303)
        return _page(request, plan, window, roles, 422)
    try:
        release = _create(request, version, plan, window.window, roles)
    except DomainError as refusal:
        plan.add_error(None, str(refusal))
        return _page(request, plan, window, roles, 422)
    except IntegrityError:
        plan.add_error("key", "Somebody took that key a moment ago; choose another.")
        return _page(request, plan, window, roles, 422)
    say(request, f"{release.key} is planned")
    return HttpResponseRedirect(release.get_absolute_url(), status=303)


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
        notes=plan.cleaned_data["notes"],
    )
    key = request.POST.get("once", "")[:64]
    if key:
        Submission.objects.create(
            key=key,
            user=who(request),
            path=reverse("releases:create"),
            answer=release.get_absolute_url(),
            at=timezone.now(),
        )
    return release
