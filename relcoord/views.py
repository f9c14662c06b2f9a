"""Pages of the ground floor: the mail that was kept instead of sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.utils import getaddresses

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.views import defaults
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from relcoord.lib import outbox
from relcoord.lib.verbs import needs

# What the HTML of a mail may do in its frame: be styled by itself, and open its links beside.
HTML_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
BESIDE = format_html('<base target="{}">', "_blank")


@needs("view")
@require_safe
def outbox_list(request: HttpRequest) -> HttpResponse:
    """The mail kept on this machine, newest first. Only where mail is kept instead of sent."""
    _only_where_kept()
    kept = [mail for mail in outbox.messages() if may_read(request, mail)]
    return render(request, "outbox/list.html", {"messages_kept": kept})


@needs("view")
@require_safe
def outbox_message(request: HttpRequest, name: str) -> HttpResponse:
    """One mail: its headers, its text, and its HTML in a frame of its own."""
    return render(request, "outbox/message.html", {"mail": _read(request, name)})


@needs("view")
@require_safe
@xframe_options_sameorigin
def outbox_html(request: HttpRequest, name: str) -> HttpResponse:
    """The HTML part alone, for the frame: styles of its own, no script; its links open beside."""
    answer = HttpResponse(_read(request, name).html.replace("<head>", f"<head>{BESIDE}", 1))
    answer["Content-Security-Policy"] = HTML_POLICY
    return answer


def may_read(request: HttpRequest, mail: outbox.Mail) -> bool:
    """Staff read all, everybody their own and what is told of releases that are open to all.

    An invitation or a new password lets its reader in as somebody else, so those are for nobody besides.
    """
    user, headers = request.user, dict(mail.headers)
    if not user.is_authenticated:
        return False
    own = user.email.lower() in {address.lower() for _, address in getaddresses(mail.recipients)}
    return user.is_staff or own or ("List-Id" in headers and "Sensitivity" not in headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, or 413 with the limit for what is too large to be read at all."""
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent):
        limit = filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return render(request, "400.html", {"too_large": True, "limit": limit}, status=413)
    return render(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 when it is the database that is away or too busy, which passes by itself. Needs no database."""
    if any(isinstance(fault, OperationalError | InterfaceError) for fault in _chain(sys.exc_info()[1])):
        page = loader.get_template("503.html").render()
        return HttpResponse(page, status=503, headers={"Retry-After": "5", "Cache-Control": "no-store"})
    return defaults.server_error(request)


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """A fault, and what it came from."""
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


def _only_where_kept() -> None:
    if not settings.OUTBOX_ENABLED:
        raise Http404("Mail is sent here, not kept")


def _read(request: HttpRequest, name: str) -> outbox.Mail:
    _only_where_kept()
    try:
        mail = outbox.read(name)
    except FileNotFoundError:
        raise Http404("There is no such mail") from None
    if not may_read(request, mail):
        raise Http404("There is no such mail")
    return mail
