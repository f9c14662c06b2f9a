"""What the shell shows on every page: how much is mine, when reminders were last looked at, whether this is a demo.

Each value is read only when a whole page is drawn, and kept for a short while: a badge that is a minute old
is fine, thirteen statements on every page are not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from releases.models import Heartbeat, Release
from releases.views.base import who
from releases.views.mywork import work_of

BADGE = 60  # seconds a badge is kept
AGE = 10  # seconds the age of the last tick is kept


class ShellMiddleware:
    """Puts `request.shell` where `relcoord.context` looks for it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            request.shell = {  # type: ignore[attr-defined]
                "mine": lambda: mine(request),
                "scheduler_age": scheduler_age(),
                "ribbon": ribbon(),
            }
        return self.get_response(request)


def mine(request: HttpRequest) -> int:
    """How many things are asked of the reader or open for them now."""
    key = f"mine:{who(request).pk}"
    known: int | None = cache.get(key)
    if known is None:
        known = work_of(who(request), timezone.now()).count
        cache.set(key, known, BADGE)
    return known


def scheduler_age() -> int | None:
    """Seconds since a driver last ticked; None before the first tick."""
    at: datetime | None = cache.get("heartbeat")
    if at is None:
        at = Heartbeat.objects.filter(name="reminders").values_list("at", flat=True).first()
        cache.set("heartbeat", at, AGE)
    return int((timezone.now() - at).total_seconds()) if at else None


def ribbon() -> str:
    """Words over every page while demo data is there."""

    def look() -> str:
        return (
            "Demo data: the people and releases here are made up" if Release.objects.filter(demo=True).exists() else ""
        )

    words: Any = cache.get_or_set("ribbon", look, BADGE)
    return str(words)
