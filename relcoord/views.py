"""Pages of the ground floor: the mail that was kept instead of sent, and help."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from relcoord.lib import outbox
from relcoord.lib.verbs import needs

HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"


@needs("view")
@require_safe
def outbox_list(request: HttpRequest) -> HttpResponse:
    """The mail kept on this machine, newest first. Only on the embedded default."""
    _only_embedded()
    return render(request, "outbox/list.html", {"messages_kept": outbox.messages()})


@needs("view")
@require_safe
def outbox_message(request: HttpRequest, name: str) -> HttpResponse:
    """One mail: its headers, its text, and its HTML in a frame of its own."""
    _only_embedded()
    return render(request, "outbox/message.html", {"mail": _read(name)})


@needs("view")
@require_safe
@xframe_options_sameorigin
def outbox_html(request: HttpRequest, name: str) -> HttpResponse:
    """The HTML part alone, for the frame: styles of its own, no script, no link back into the page."""
    _only_embedded()
    answer = HttpResponse(_read(name).html)
    answer["Content-Security-Policy"] = HTML_POLICY
    return answer


def _only_embedded() -> None:
    if not settings.OUTBOX_ENABLED:
        raise Http404("Mail is sent here, not kept")


def _read(name: str) -> outbox.Mail:
    try:
        return outbox.read(name)
    except FileNotFoundError:
        raise Http404("There is no such mail") from None
