"""The project manager's page: what needs you, the next fourteen days, every release."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Window
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
from releases.models.release import ReleaseQuerySet
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
    """The visible releases in flight: the soonest of them, and in the same query what is counted over all."""

    def __init__(self, visible: ReleaseQuerySet) -> None:
        self.all = visible.in_flight().order_by("t_zero", "key")
        counted = {f"n_{status}": Window(Count("pk", filter=Q(status=status))) for status in STANDS}
        rows = list(
            self.all.annotate(**counted, changes=Window(Sum("event_sequence"))).values("pk", *counted, "changes")[:ROWS]
        )
        self.ids: list[int] = [row["pk"] for row in rows]
        first = rows[0] if rows else {}
        self.counts: dict[str, int] = {status: first.get(f"n_{status}", 0) for status in STANDS}
        self.changes: int = first.get("changes", 0)

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def summary(self) -> str:
        """How many stand where: "1 rolling back, 2 preparing"."""
        return ", ".join(f"{self.counts[status]} {word}" for status, word in STANDS.items() if self.counts[status])

    def token(self, now: datetime) -> str:
        return token(self.changes, self.count, now)


class Coming(Paginator[int]):
    """The ids of all in flight, page by page: how many there are is known, and so is the first page."""

    def __init__(self, flying: Flying) -> None:
        super().__init__(flying.all.values_list("pk", flat=True), ROWS)
        self._flying = flying

    @cached_property
    def count(self) -> int:
        return self._flying.count

    def page(self, number: int | str) -> Page[int]:
        found = super().page(number)
        if found.number == 1:
            found.object_list = self._flying.ids
        return found


def token(changes: int, count: int, now: datetime) -> str:
    """Changes when any release in flight does, and each minute, because clocks and lateness move."""
    return f"{changes}-{count}-{int(now.timestamp() // 60)}"


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
    looked_at = [] if part == "board" else flying.ids
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
    number = request.GET.get("page")
    if wanted == Filter():
        return Coming(flying).get_page(number)
    ids = list(wanted.of_these(visible, who(request).pk).values_list("pk", flat=True))
    return Paginator(ids, ROWS).get_page(number)


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
    all_of_them = Release.objects.visible_to(who(request)).in_flight().order_by()
    found = all_of_them.aggregate(changes=Sum("event_sequence", default=0), count=Count("pk"))
    current = token(found["changes"], found["count"], now)
    if request.GET.get("token") == current:
        return answered(HttpResponse(status=204), request, None, now)
    return answered(JsonResponse({"token": current, "changed": ["above", "board"]}), request, None, now)
