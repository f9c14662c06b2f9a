"""The few things a view asks about htmx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, QueryDict

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request that went through django-htmx's middleware: annotate views with it."""

    htmx: HtmxDetails


def is_partial(request: HttpRequest) -> bool:
    """True when htmx asks for a fragment, false for a whole page (also when htmx restores its history)."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return bool(htmx) and htmx is not None and not htmx.history_restore_request


def say(request: HttpRequest, text: str, *, undo: str = "", target: str = "", **fields: object) -> None:
    """Tell the reader what happened, with an Undo button when `undo` is the address to post `fields` to.

    Shown by `partials/_messages.html`: a toast after an htmx request, a notice on the page after a redirect.
    `target` is the htmx target the undo's answer goes into (`#item-17`).
    """
    tags = ""
    if undo:
        packed = QueryDict(mutable=True)
        packed.update({"_undo": undo, "_target": target} | {name: str(value) for name, value in fields.items()})
        tags = packed.urlencode()
    messages.success(request, text, extra_tags=tags)
