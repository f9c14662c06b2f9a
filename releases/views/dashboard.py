"""The project manager's page: what needs you, the next fourteen days, every release."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Page, Paginator
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from relcoord.lib.htmx import HtmxRequest, is_partial
from relcoord.lib.verbs import needs
from releases import board, timeline
from releases.models import FINAL, Assignment, Decision, Product, Release, Status
from releases.views.base import who

ROWS = 50  # of one page of the table
DOTS = 12  # of the history


@dataclass(frozen=True)
class Filter:
    """What the reader asked to see."""

    which: str = "coming"  # coming, mine, ended, all
    product: str = ""
    words: str = ""

    @classmethod
    def of(cls, request: HtmxRequest) -> Filter:
        which = request.GET.get("which", "coming")
        known = which if which in ("coming", "mine", "ended", "all") else "coming"
        return cls(known, request.GET.get("product", "")[:80], request.GET.get("q", "").strip()[:80])

    def __call__(self, releases: QuerySet[Release], user_id: int) -> QuerySet[Release]:
        if self.which in ("coming", "mine"):
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


@needs("view")
@require_safe
def home(request: HtmxRequest) -> HttpResponse:
    """The front door."""
    return HttpResponseRedirect(reverse("releases:dashboard"))


@needs("view")
@require_safe
def dashboard(request: HtmxRequest) -> HttpResponse:
    now, wanted, me = timezone.now(), Filter.of(request), who(request)
    visible = Release.objects.visible_to(me)
    page = Paginator(wanted(visible, me.pk), ROWS).get_page(request.GET.get("page"))
    entries = _entries(page, now)
    coming = _coming(visible, page, entries, now)
    context = {
        "now": now,
        "filter": wanted,
        "page": page,
        "entries": entries,
        "asks": board.asks(coming, me),
        "conflicts": board.conflicts([row.release for row in coming]),
        "timeline": timeline.timeline(
            [row.release for row in coming], now, ZoneInfo(timezone.get_current_timezone_name())
        ),
        "summary": _summary(visible),
        "products": Product.objects.all(),
        "next": next((row for row in coming if row.next_phase), None),
        "history": _history(visible),
        "live_url": reverse("releases:dashboard_live") + f"?token={_token(visible, now)}",
    }
    part = "#board" if is_partial(request) and request.htmx.target == "board" else ""
    return render(request, f"releases/dashboard.html{part}", context)


def _entries(page: Page[Release], now: datetime) -> list[board.Entry]:
    """The rows of this page, in its order."""
    keys = [release.pk for release in page.object_list]
    rows = {row.pk: row for row in board.loaded(Release.objects.filter(pk__in=keys))}
    return [board.entry(rows[pk], now) for pk in keys]


def _coming(
    visible: QuerySet[Release], page: Page[Release], entries: list[board.Entry], now: datetime
) -> list[board.Entry]:
    """The soonest releases in flight, for the parts above the table; loaded once where the table shows the same."""
    soonest = list(visible.in_flight().order_by("t_zero", "key").values_list("pk", flat=True)[:ROWS])  # type: ignore[attr-defined]
    known = {row.release.pk: row for row in entries}
    missing = [pk for pk in soonest if pk not in known]
    if missing:
        known |= {r.pk: board.entry(r, now) for r in board.loaded(Release.objects.filter(pk__in=missing))}
    return [known[pk] for pk in soonest]


def _summary(visible: QuerySet[Release]) -> str:
    """How many stand where: "1 rolling back, 2 preparing"."""
    counts: Counter[str] = Counter(visible.in_flight().order_by().values_list("status", flat=True))  # type: ignore[attr-defined]
    order = [Status.ROLLING_BACK, Status.DEPLOYING, Status.CLEARED, Status.POLLING, Status.NO_GO, Status.DEPLOYED]
    words = [f"{counts[status]} {status.label}" for status in [*order, Status.PREPARING] if counts[status]]
    return ", ".join(words)


@dataclass(frozen=True)
class Dot:
    key: str
    url: str
    state: str
    words: str


def _history(visible: QuerySet[Release]) -> dict[str, Any] | None:
    """The last releases that ended, the oldest first, with how they went."""
    rounds = Decision.objects.filter(release=OuterRef("pk"), poll__round=1, call__in=["go", "conditional_go"])
    ended = visible.filter(status__in=[Status.CLOSED, Status.ROLLED_BACK]).annotate(
        first_go=Exists(rounds), overridden=Exists(Release.objects.filter(pk=OuterRef("pk"), overrides__isnull=False))
    )
    rows = list(ended.order_by(F("ended_at").desc(nulls_last=True), "-pk")[:DOTS])[::-1]
    if not rows:
        return None
    leads = sorted((row.ended_at - row.created_at).total_seconds() for row in rows if row.ended_at)
    return {
        "dots": [_dot(row) for row in rows],
        "first_go": sum(row.first_go for row in rows),
        "rolled_back": sum(row.status == Status.ROLLED_BACK for row in rows),
        "moved": sum(row.schedule_version > 1 for row in rows),
        "lead": leads[len(leads) // 2] if leads else None,
        "total": len(rows),
    }


def _dot(row: Release) -> Dot:
    if row.status == Status.ROLLED_BACK:
        state, words = "rollback", "rolled back"
    elif row.overridden:  # type: ignore[attr-defined]
        state, words = "override", "closed, with an override"
    else:
        state, words = "closed", "closed"
    return Dot(row.key, reverse("releases:record", args=[row.key]), state, f"{row.title}: {words}")


def _token(visible: QuerySet[Release], now: datetime) -> str:
    """Changes when any visible release in flight does, and each minute, because clocks and lateness move."""
    rows = visible.in_flight().order_by("pk").values_list("pk", "event_sequence")  # type: ignore[attr-defined]
    return f"{sum(sequence for _, sequence in rows)}-{len(rows)}-{int(now.timestamp() // 60)}"


@needs("view")
@require_safe
def dashboard_live(request: HtmxRequest) -> HttpResponse:
    """204 while nothing the board shows has changed; else the new token and the regions to fetch again."""
    from django.http import JsonResponse

    token = _token(Release.objects.visible_to(who(request)), timezone.now())
    if request.GET.get("token") == token:
        return HttpResponse(status=204)
    return JsonResponse({"token": token, "changed": ["board", "needs"]})
