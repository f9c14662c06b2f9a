"""One's own settings and absences, and the door for those invited."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from relcoord.lib.htmx import HtmxRequest, say
from relcoord.lib.verbs import needs
from releases import people
from releases.errors import DomainError
from releases.forms.people import AbsenceForm, SettingsForm, WelcomeForm
from releases.models import Delegation, Invitation
from releases.views.base import who

BACKEND = "django.contrib.auth.backends.ModelBackend"


def _settings_page(request: HtmxRequest, status: int = 200, **given: object) -> HttpResponse:
    me = who(request)
    context = {
        "form": SettingsForm(instance=me),
        "absence_form": AbsenceForm(),
        "absences": Delegation.objects.filter(user=me).select_related("deputy"),
        "deputizes": Delegation.objects.filter(deputy=me, ends_on__gte=timezone.localdate()).select_related("user"),
    }
    return render(request, "account/settings.html", context | given, status=status)


@needs("view")
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HtmxRequest) -> HttpResponse:
    """Name, zone, theme, density, shortcuts."""
    if request.method != "POST":
        return _settings_page(request)
    form = SettingsForm(request.POST, instance=who(request))
    if not form.is_valid():
        return _settings_page(request, 422, form=form)
    form.save()
    say(request, "Saved")
    return HttpResponseRedirect(request.path, status=303)


@needs("view")
@require_POST
def absence_add(request: HtmxRequest) -> HttpResponse:
    """I am away, and somebody stands in."""
    form = AbsenceForm(request.POST)
    if form.is_valid():
        try:
            people.delegate(who(request), by=who(request), **_absence(form))
        except DomainError as refusal:
            form.add_error(None, str(refusal))
    if form.errors:
        return _settings_page(request, 422, absence_form=form)
    say(request, f"{form.cleaned_data['deputy']} stands in for you on those days")
    return HttpResponseRedirect(_back(), status=303)


def _absence(form: AbsenceForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in ("deputy", "starts_on", "ends_on", "reason")}


def _back() -> str:
    from django.urls import reverse

    return reverse("settings")


@needs("view")
@require_POST
def absence_end(request: HtmxRequest, pk: int) -> HttpResponse:
    """Take an absence back."""
    row = get_object_or_404(Delegation, pk=pk, user=who(request))
    people.end_delegation(row, by=who(request))
    say(request, "The absence is taken back")
    return HttpResponseRedirect(_back(), status=303)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """The invitation link: GET shows a form and changes nothing; its post sets a password and signs in, once."""
    invitation = _invitation(token)
    if invitation is None:
        return render(request, "account/welcome_over.html", status=410)
    form = WelcomeForm(request.POST or None, user=invitation.user, initial={"name": invitation.user.name})
    if request.method != "POST" or not form.is_valid():
        status = 422 if form.errors else 200
        return render(request, "account/welcome.html", {"form": form, "invitation": invitation}, status=status)
    with transaction.atomic():
        taken = Invitation.objects.filter(pk=invitation.pk, used_at=None).update(used_at=timezone.now())
        if not taken:
            return render(request, "account/welcome_over.html", status=410)
        user = invitation.user
        user.name = form.cleaned_data["name"]
        user.set_password(form.cleaned_data["password"])
        user.save(update_fields=["name", "password"])
    login(request, user, backend=BACKEND)
    return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL, status=303)


welcome = needs("public")(welcome)


def _invitation(token: str) -> Invitation | None:
    """The open invitation behind a signed token; None for what was used, has expired or was never one."""
    try:
        pk = signing.loads(token, salt="invitation")["invitation"]
    except (signing.BadSignature, KeyError, TypeError):
        raise Http404 from None
    row = Invitation.objects.select_related("user", "by").filter(pk=pk, user__is_active=True).first()
    return row if row and row.is_open(timezone.now()) else None
