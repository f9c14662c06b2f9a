"""My work: everything that is mine, across releases, by time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from relcoord.lib.htmx import HtmxRequest
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import board
from releases.models import ActionItem, Assignment, Delegation, Item, PhaseMoments, Release
from releases.permissions import roles_held
from releases.views.base import who

SOON = timedelta(days=3)
MOST = 100  # releases one person is on at once


@dataclass(frozen=True)
class Task:
    """One item of mine as its row shows it."""

    release: Release
    item: Item
    moments: PhaseMoments
    due_at: datetime | None
    late: bool


@dataclass
class Work:
    asked: list[board.Ask] = field(default_factory=list)
    actions: list[ActionItem] = field(default_factory=list)
    now: list[Task] = field(default_factory=list)
    next: list[Task] = field(default_factory=list)
    later: list[Task] = field(default_factory=list)
    done: list[Item] = field(default_factory=list)

    @property
    def count(self) -> int:
        """What the badge in the navigation says."""
        return len(self.asked) + len(self.actions) + len(self.now)

    @property
    def empty(self) -> bool:
        return not (self.asked or self.actions or self.now or self.next or self.later)


def work_of(user: User, now: datetime) -> Work:
    """What `user` has to do, grouped by time; deputies see what they stand in for."""
    absent = Delegation.objects.filter(deputy=user).on(timezone.localdate()).values("user")
    held = Assignment.objects.filter(Q(user=user.pk) | Q(user__in=absent), release=OuterRef("pk"))
    mine = Release.objects.in_flight().filter(Exists(held)).order_by("t_zero", "key")[:MOST]
    entries = [board.entry(release, now) for release in board.loaded(mine)]
    work = Work(asked=[ask for ask in board.asks(entries, user) if ask.state not in ("late", "blocked")])
    for row in sorted(entries, key=lambda entry: entry.release.t_zero):
        _sort(row, user, now, work)
    actions = ActionItem.objects.filter(owner=user, state=ActionItem.State.OPEN).select_related("release")
    work.actions = list(actions.order_by("due_at"))
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    settled = Item.objects.filter(state_by=user, state_at__gte=today).exclude(state="open")
    work.done = list(settled.select_related("phase__release").order_by("-state_at")[:20])
    return work


def _sort(row: board.Entry, user: User, now: datetime, work: Work) -> None:
    roles = roles_held(user, row.release)
    leads = row.release.coordinator_id == user.pk
    for moments, item in row.open_items:
        if not (item.role.slug in roles if item.role else leads):
            continue
        task = Task(row.release, item, moments, moments.due_of(item), moments.is_late(item, now))
        if moments.has_opened(now):
            work.now.append(task)
        elif moments.opens_at and moments.opens_at <= now + SOON:
            work.next.append(task)
        else:
            work.later.append(task)


@needs("view")
@require_safe
def my_work(request: HtmxRequest) -> HttpResponse:
    now = timezone.now()
    work = work_of(who(request), now)
    context = {"work": work, "now": now, "live_url": f"{reverse('releases:my_work_live')}?token={_token(work)}"}
    return render(request, "releases/my_work.html", context)


def _token(work: Work) -> str:
    parts = [f"{task.item.pk}.{task.item.version}.{int(task.late)}" for task in work.now + work.next + work.later]
    parts += [f"{ask.state}{ask.release.pk}" for ask in work.asked] + [f"a{row.pk}" for row in work.actions]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


@needs("view")
@require_safe
def my_work_live(request: HtmxRequest) -> HttpResponse:
    """204 while nothing of mine has changed."""
    token = _token(work_of(who(request), timezone.now()))
    if request.GET.get("token") == token:
        return HttpResponse(status=204)
    return JsonResponse({"token": token, "changed": ["mine"]})
