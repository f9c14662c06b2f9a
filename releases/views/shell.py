"""What the shell shows on every page: how much is mine, when reminders were last looked at, whether this is a demo.

Each value is read only when a whole page is drawn, and kept for a short while: a badge that is a minute old
is fine, thirteen statements on every page are not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from releases.models import Heartbeat, Release
from releases.views.base import who
from releases.views.mywork import badge, badge_key

KEPT = 60  # seconds the ribbon's words are kept
AGE = 10  # seconds the age of the last tick is kept


class Shell:
    """What `relcoord.context` reads of `request.shell`; nothing is read before a template asks."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def mine(self) -> int:
        return badge(who(self.request))

    @property
    def scheduler_age(self) -> int | None:
        return scheduler_age()

    @property
    def ribbon(self) -> str:
        return ribbon()


class ShellMiddleware:
    """Puts `request.shell` where `relcoord.context` looks for it; what somebody does drops their badge."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        request.shell = Shell(request)  # type: ignore[attr-defined]
        response = self.get_response(request)
        if request.method == "POST" and request.user.is_authenticated:
            cache.delete(badge_key(who(request)))
        return response


def scheduler_age() -> int | None:
    """Seconds since a driver last ticked; None before the first tick."""
    at: datetime | None = cache.get("heartbeat")
    if at is None:
        at = Heartbeat.objects.filter(name="reminders").values_list("at", flat=True).first()
        cache.set("heartbeat", at, AGE)
    return int((timezone.now() - at).total_seconds()) if at else None


def ribbon() -> str:
    """Words over every page while demo data is there."""
    words: str | None = cache.get("ribbon")
    if words is None:
        demo = Release.objects.filter(demo=True).exists()
        words = "Demo data: the people and releases here are made up" if demo else ""
        cache.set("ribbon", words, KEPT)
    return words
