"""The project manager's page: what needs you, the next fourteen days, every release."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Page, Paginator
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from relcoord.lib.htmx import HtmxRequest, is_partial
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import board
from releases.asks import asks
from releases.conflicts import conflicts
from releases.history import history
from releases.models import FINAL, Assignment, Product, Release, Status
from releases.timeline import timeline
from releases.views import lines
from releases.views.base import who
from releases.views.wire import answered, wired

ROWS = 50  # of one page of the table, and of what is looked at above it
WHICH = {"coming": "Coming", "mine": "I am on", "ended": "Ended", "all": "All"}
STANDS = {
    Status.ROLLING_BACK: "rolling back",
    Status.DEPLOYING: "deploying",
    Status.CLEARED: "cleared",
    Status.POLLING: "deciding",
    Status.NO_GO: "NO-GO",
    Status.DEPLOYED: "deployed",
    Status.PREPARING: "preparing",
}


@dataclass(frozen=True)
class Filter:
    """What the reader asked to see in the table."""

    which: str = "coming"
    product: str = ""
    words: str = ""

    @classmethod
    def of(cls, request: HtmxRequest) -> Filter:
        which = request.GET.get("which", "coming")
        known = which if which in WHICH else "coming"
        return cls(known, request.GET.get("product", "")[:80], request.GET.get("q", "").strip()[:80])

    @property
    def narrows(self) -> bool:
        return bool(self.product or self.words)

    @property
    def ahead(self) -> bool:
        """Are the rows in the order they will happen?"""
        return self.which in ("coming", "mine")

    def of_these(self, releases: QuerySet[Release], user_id: int) -> QuerySet[Release]:
        if self.ahead:
            releases = releases.exclude(status__in=FINAL).order_by("t_zero", "key")
        elif self.which == "ended":
            releases = releases.filter(status__in=FINAL).order_by(F("ended_at").desc(nulls_last=True), "-pk")
        else:
            releases = releases.order_by("-t_zero", "key")
        if self.which == "mine":
            releases = releases.filter(Exists(Assignment.objects.filter(release=OuterRef("pk"), user=user_id)))
        if self.product:
            releases = releases.filter(product__slug=self.product)
        if self.words:
            releases = releases.filter(Q(key__icontains=self.words) | Q(title__icontains=self.words))
        return releases


class Flying:
    """The visible releases in flight, the soonest first, in one query: for what is counted and what is looked at."""

    def __init__(self, visible: QuerySet[Release]) -> None:
        rows = visible.in_flight().order_by("t_zero", "key")  # type: ignore[attr-defined]
        self.rows = list(rows.values_list("pk", "status", "event_sequence"))

    @property
    def ids(self) -> list[int]:
        return [pk for pk, _, _ in self.rows]

    @property
    def summary(self) -> str:
        """How many stand where: "1 rolling back, 2 preparing"."""
        counts = Counter(status for _, status, _ in self.rows)
        return ", ".join(f"{counts[status]} {word}" for status, word in STANDS.items() if counts[status])

    def token(self, now: datetime) -> str:
        """Changes when any release in flight does, and each minute, because clocks and lateness move."""
        changes = sum(sequence for _, _, sequence in self.rows)
        return f"{changes}-{len(self.rows)}-{int(now.timestamp() // 60)}"


@needs("view")
@require_safe
def home(request: HtmxRequest) -> HttpResponse:
    """The front door."""
    return HttpResponseRedirect(reverse("releases:dashboard"))


@needs("view")
@require_safe
def dashboard(request: HtmxRequest) -> HttpResponse:
    """The whole page; for htmx the region it asked for, `above` or `board`, and only what that needs."""
    now, wanted, me = timezone.now(), Filter.of(request), who(request)
    visible = Release.objects.visible_to(me)
    flying = Flying(visible)
    part = request.htmx.target if is_partial(request) and request.htmx.target in ("above", "board") else ""
    page = None if part == "above" else _page(request, visible, flying, wanted)
    looked_at = [] if part == "board" else flying.ids[:ROWS]
    rows = _rows([*looked_at, *(page or [])], now)
    context: dict[str, Any] = {"now": now, "filter": wanted, "summary": flying.summary}
    if part != "board":
        context |= _above([rows[pk] for pk in looked_at if pk in rows], me, now)
    if page is not None:
        context |= {"page": page, "entries": [lines.row(rows[pk], me) for pk in page if pk in rows]}
    if not part:
        context |= {"products": Product.objects.all(), "which": WHICH, "history": history(visible)}
        context["live_url"] = f"{reverse('releases:dashboard_live')}?token={flying.token(now)}"
        context |= wired(request, None, now)
    return render(request, f"releases/dashboard.html{'#' + part if part else ''}", context)


def _page(request: HtmxRequest, visible: QuerySet[Release], flying: Flying, wanted: Filter) -> Page[int]:
    """The ids of the releases on the wanted page of the table."""
    if wanted == Filter():
        ids = flying.ids
    else:
        ids = list(wanted.of_these(visible, who(request).pk).values_list("pk", flat=True))
    return Paginator(ids, ROWS).get_page(request.GET.get("page"))


def _rows(ids: list[int], now: datetime) -> dict[int, board.Entry]:
    loaded = board.loaded(Release.objects.filter(pk__in=set(ids)))
    return {row.release.pk: row for row in board.entries(loaded, now)}


def _above(rows: list[board.Entry], me: User, now: datetime) -> dict[str, Any]:
    """What stands above the table."""
    releases = [row.release for row in rows]
    clashes = conflicts(releases)
    clashing = {release.pk for clash in clashes for release in (clash.first, clash.second)}
    zone = ZoneInfo(timezone.get_current_timezone_name())
    picture = timeline(releases, now, zone, clashing)
    found: dict[str, Any] = {
        "asks": [lines.ask(ask, now) for ask in asks(rows, me)],
        "clashes": [lines.clash(clash) for clash in clashes],
        "timeline": picture,
        "next": board.next_to_open(rows),
    }
    if picture:
        found |= {"timeline_names": lines.names(picture.lanes), "timeline_drawn": lines.drawn(picture)}
    return found


@needs("view")
@require_safe
def dashboard_live(request: HtmxRequest) -> HttpResponse:
    """204 while nothing the page shows has changed; else the new token and the regions to fetch again."""
    now = timezone.now()
    token = Flying(Release.objects.visible_to(who(request))).token(now)
    if request.GET.get("token") == token:
        return answered(HttpResponse(status=204), request, None, now)
    return answered(JsonResponse({"token": token, "changed": ["above", "board"]}), request, None, now)
