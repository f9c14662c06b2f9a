"""Four addresses, and the views behind them."""

from django.db import transaction
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from tests.benchmarks.floor.models import History, Item, Release


@require_POST
def tick(request: HttpRequest, key: str, pk: int) -> HttpResponse:
    """One update and one history row; the answer is the row."""
    state, now = request.POST["to"], timezone.now()
    with transaction.atomic():
        Item.objects.filter(pk=pk).update(state=state, state_by=request.user, state_at=now, version=F("version") + 1)
        History.objects.create(
            release_id=request.POST["release"], item_id=pk, at=now, actor=request.user, action=state, data={"to": state}
        )
    return render(request, "floor/ticked.html", {"pk": pk, "key": key, "state": state, "now": now})


@require_safe
def page(request: HttpRequest, key: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("coordinator"), key=key)
    items = release.items.select_related("state_by")
    history = release.history.select_related("actor", "item").order_by("-pk")[:8]
    return render(request, "floor/page.html", {"release": release, "items": items, "history": history})


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The 50 soonest, with their progress."""
    rows = Release.objects.filter(pk__in=Release.objects.order_by("t_zero").values("pk")[:50]).order_by("t_zero")
    rows = rows.select_related("coordinator").annotate(
        total=Count("items"), settled=Count("items", filter=Q(items__state="done"))
    )
    return render(request, "floor/dashboard.html", {"releases": rows, "count": Release.objects.count()})


@require_safe
def poll(request: HttpRequest, key: str) -> HttpResponse:
    """204 while the revision is the one that was seen."""
    revision = get_object_or_404(Release.objects.values_list("revision", flat=True), key=key)
    return HttpResponse(status=204 if request.GET.get("seen") == str(revision) else 200)


urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("r/<str:key>/", page, name="page"),
    path("r/<str:key>/poll/", poll, name="poll"),
    path("r/<str:key>/items/<int:pk>/done/", tick, name="tick"),
    path("r/<str:key>/items/<int:pk>/block/", tick, name="block"),
]
