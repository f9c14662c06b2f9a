"""What every page of a release has in common: find, permit, act once, answer a refusal with its sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from relcoord.lib.htmx import HtmxRequest
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import permissions
from releases.errors import DomainError, Refused
from releases.models import Release, Submission

View = Callable[Concatenate[HtmxRequest, Release, ...], HttpResponse]


def who(request: HttpRequest) -> User:
    """The person signed in. `LoginRequiredMiddleware` has turned everybody else away."""
    return cast(User, request.user)


def find(request: HttpRequest, key: str) -> Release:
    """The release by its key, or 404 for strangers as for what does not exist."""
    found = Release.objects.shown(key, who(request))
    if found is None:
        raise Http404(key)
    return found


def shows(verb: str = "view") -> Callable[[View], Callable[..., HttpResponse]]:
    """Decorate a page that only shows: `view(request, release, ...)`, GET and HEAD, 403 without the right to `verb`."""

    def decorate(view: View) -> Callable[..., HttpResponse]:
        @needs(verb)
        @require_safe
        @wraps(view)
        def page(request: HtmxRequest, key: str, **rest: Any) -> HttpResponse:
            release = find(request, key)
            try:
                permissions.require(who(request), verb, release)
                return view(request, release, **rest)
            except Refused as refusal:
                return refused(request, refusal)

        return page

    return decorate


def acts(verb: str, *, alone: bool = False) -> Callable[[View], Callable[..., HttpResponse]]:
    """Decorate a page that changes something: POST only, once a form, all or nothing.

    The verb it calls checks the right to `verb` under the release's lock. A form that carries `once` is
    taken one time: the second post is sent where the first one was. A `DomainError` the view lets through
    becomes a message on the page it came from; a `Refused` answers 403 with its sentence. `alone` says that all the
    view changes is changed by one verb: that is a transaction by itself, so the answer is drawn after its end, without
    a savepoint and without the lock that others wait for.
    """

    def decorate(view: View) -> Callable[..., HttpResponse]:
        @needs(verb)
        @require_POST
        @wraps(view)
        def page(request: HtmxRequest, key: str, **rest: Any) -> HttpResponse:
            release = find(request, key)
            try:
                return _once(request, release, lambda: view(request, release, **rest), alone=alone)
            except Refused as refusal:
                return refused(request, refusal)
            except DomainError as refusal:
                return sorry(request, refusal, release)

        return page

    return decorate


class _Undone(Exception):
    """Carries an answer of 4xx out of the transaction that it must undo."""

    def __init__(self, answer: HttpResponse) -> None:
        self.answer = answer


def _once(
    request: HtmxRequest, release: Release, act: Callable[[], HttpResponse], *, alone: bool = False
) -> HttpResponse:
    """Run `act` in one transaction together with the note that this form was taken."""
    key = once_key(request)
    if alone and not key:
        return act()
    try:
        with transaction.atomic():
            if key:
                with transaction.atomic():
                    Submission.objects.create(key=key, user=who(request), path=request.path[:300], at=timezone.now())
            answer = act()
            if answer.status_code >= 400:
                raise _Undone(answer)
            sent_to = answer.headers.get("HX-Redirect") or answer.headers.get("Location", "")
            if key and sent_to:
                Submission.objects.filter(key=key).update(answer=sent_to[:400])
            return answer
    except _Undone as undone:
        return undone.answer
    except IntegrityError:
        first = Submission.objects.filter(key=key, user=who(request)).first() if key else None
        if first is None:
            raise
        return to(request, first.answer or release.get_absolute_url())


def once_key(request: HttpRequest) -> str:
    """The key of a form that is taken one time; "" for a form without."""
    return request.POST.get("once", "").replace("\x00", "")[:64]


def to(request: HttpRequest, url: str) -> HttpResponse:
    """Post, redirect, get: 303 for a form; htmx is told to go there itself."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, status=303)


def refused(request: HtmxRequest, refusal: Refused) -> HttpResponse:
    """403 with the sentence that names who may: a page, or a toast for htmx."""
    if request.htmx:
        return toast(request, str(refusal), status=403)
    return render(request, "403.html", {"sentence": str(refusal)}, status=403)


def sorry(request: HtmxRequest, refusal: DomainError, release: Release) -> HttpResponse:
    """The refusal as a message on the page the person came from, or a toast for htmx. For acts without a form."""
    if request.htmx:
        return toast(request, str(refusal), status=422)
    messages.error(request, str(refusal))
    back = request.POST.get("next", "")
    safe = back.startswith("/") and not back.startswith("//") and "\\" not in back
    return HttpResponseRedirect(back if safe else release.get_absolute_url(), status=303)


def toast(request: HtmxRequest, sentence: str, *, status: int) -> HttpResponse:
    """A sentence among the toasts; nothing else of the page is swapped, so nothing typed is lost."""
    messages.error(request, sentence)
    answer = render(request, "partials/_messages.html", status=status)
    answer["HX-Reswap"] = "none"
    return answer
