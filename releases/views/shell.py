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
from django.utils.functional import cached_property

from releases import health
from releases.models import Release
from releases.views.base import who
from releases.views.mywork import badge, badge_key

KEPT = 60  # seconds the ribbon's words are kept
AGE = 10  # seconds the heartbeats are kept


class Shell:
    """What `relcoord.context` reads of `request.shell`; nothing is read before a template asks."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def mine(self) -> int:
        return badge(who(self.request))

    @cached_property
    def beats(self) -> dict[str, datetime]:
        return heartbeats()

    @property
    def scheduler_age(self) -> int | None:
        return age(self.beats.get("reminders"))

    def worker_age(self) -> int | None:
        return age(self.beats.get(health.CANARY))

    def silent_since(self) -> datetime | None:
        """For staff, who can do something about it, on every page; coordinators read it with their reminders."""
        return health.silent_since(self.beats, timezone.now()) if who(self.request).is_staff else None

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


def heartbeats() -> dict[str, datetime]:
    """When a driver last looked at the ledger ("reminders"), and when a worker last answered ("worker")."""
    known: dict[str, datetime] | None = cache.get("heartbeat")
    if known is None:
        known = {name: row.at for name, row in health.heartbeats().items()}
        cache.set("heartbeat", known, AGE)
    return known


def age(at: datetime | None) -> int | None:
    """Whole seconds since `at`; None when there never was one."""
    return int((timezone.now() - at).total_seconds()) if at else None


def ribbon() -> str:
    """Words over every page while demo data is there."""
    words: str | None = cache.get("ribbon")
    if words is None:
        demo = Release.objects.filter(demo=True).exists()
        words = "Demo data: the people and releases here are made up" if demo else ""
        cache.set("ribbon", words, KEPT)
    return words
