"""One's own settings and absences, and the door for those invited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from relcoord.lib.htmx import HtmxRequest, say
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import feed, optout, people
from releases.errors import DomainError
from releases.forms.people import AbsenceForm, MailsForm, SettingsForm, WelcomeForm
from releases.forms.window import suggested_zones
from releases.models import Delegation, Invitation
from releases.views.base import to, who

SALT = "invitation"  # what the links in mails are signed with
BACKEND = "django.contrib.auth.backends.ModelBackend"


def own_settings(request: HtmxRequest, status: int = 200, **given: object) -> HttpResponse:
    """The page of one's own settings; `given` stands for what it has else: a form that was refused, a new token."""
    me, today = who(request), timezone.localdate()
    recent = today - timedelta(days=30)
    context = {
        "form": SettingsForm(instance=me),
        "mails_form": MailsForm(initial={"wanted": optout.wanted(me)}),
        "absence_form": AbsenceForm(),
        "absences": Delegation.objects.filter(user=me.pk, ends_on__gte=recent).select_related("deputy"),
        "deputizes": Delegation.objects.filter(deputy=me.pk, ends_on__gte=today).select_related("user"),
        "feed_made_at": feed.made_at(me),
        "token": "",
        "site": settings.SITE_URL,
        "today": today,
        "zones": suggested_zones(me.time_zone, timezone.get_current_timezone_name()),
    }
    return render(request, "account/settings.html", context | given, status=status)


@needs("own_account")
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HtmxRequest) -> HttpResponse:
    """Name, zone, theme, density, shortcuts."""
    if request.method != "POST":
        return own_settings(request)
    form = SettingsForm(request.POST, instance=User.objects.get(pk=who(request).pk))  # the shell shows who one is still
    if not form.is_valid():
        return own_settings(request, 422, form=form)
    form.save()
    say(request, "Saved")
    return to(request, reverse("settings"))


@needs("own_account")
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
        return own_settings(request, 422, absence_form=form)
    say(request, f"{form.cleaned_data['deputy']} stands in for you on those days")
    return to(request, reverse("settings"))


def _absence(form: AbsenceForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in ("deputy", "starts_on", "ends_on", "reason")}


@needs("own_account")
@require_POST
def absence_end(request: HtmxRequest, pk: int) -> HttpResponse:
    """Take an absence back."""
    row = get_object_or_404(Delegation, pk=pk, user=who(request))
    people.end_delegation(row, by=who(request))
    say(request, "The absence is taken back")
    return to(request, reverse("settings"))


@needs("own_account")
@require_POST
def mails_choose(request: HtmxRequest) -> HttpResponse:
    """Which mails I want, of those one may do without."""
    form = MailsForm(request.POST)
    if not form.is_valid():
        return own_settings(request, 422, mails_form=form)
    optout.choose(who(request), form.cleaned_data["wanted"])
    say(request, "Saved")
    return to(request, reverse("settings"))


@csrf_exempt  # a mail program posts without a cookie; the signed token is the right, and ends one kind of mail at most
@login_not_required
@needs("public")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The link of RFC 8058: GET shows a form and changes nothing; its post, a mail program's too, ends the mails."""
    found = optout.read(token)
    if found is None:
        raise Http404
    person, kind = found
    if request.method == "POST":
        optout.opt_out(person, kind)
    context = {"person": person, "words": optout.WORDS[kind], "out": kind not in optout.wanted(person)}
    return render(request, "account/unsubscribe.html", context)


@login_not_required
@needs("public")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """The invitation link: GET shows a form and changes nothing; its post sets a password and signs in, once."""
    invitation = _invitation(token)
    if invitation is None:
        return render(request, "account/welcome_over.html", status=410)
    posted = request.POST if request.method == "POST" else None
    form = WelcomeForm(posted, user=invitation.user, initial={"name": invitation.user.name})
    if not form.is_valid():
        context, status = {"form": form, "invitation": invitation}, 422 if form.errors else 200
        return render(request, "account/welcome.html", context, status=status)
    if not people.come_in(invitation, form.cleaned_data["name"], form.cleaned_data["password"]):
        return render(request, "account/welcome_over.html", status=410)
    login(request, invitation.user, backend=BACKEND)
    return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL, status=303)


def _invitation(token: str) -> Invitation | None:
    """The open invitation behind a signed token; None for what was used, has expired or was never one."""
    try:
        pk = signing.loads(token, salt=SALT)["invitation"]
    except (signing.BadSignature, KeyError, TypeError):
        raise Http404 from None
    row = Invitation.objects.select_related("user", "by").filter(pk=pk, user__is_active=True).first()
    return row if row and row.is_open(timezone.now()) else None
