"""My work: everything that is mine, across releases, by time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Exists, OuterRef, Q
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from checklists.blueprints import Kind
from relcoord.lib.htmx import HtmxRequest, is_partial
from relcoord.lib.verbs import needs
from relcoord.models import User
from releases import board
from releases.asks import Ask, asks
from releases.models import ActionItem, Assignment, Delegation, Item, PhaseMoments, Release, State
from releases.permissions import acting_for, roles_held
from releases.views.base import who
from releases.views.wire import answered, wired

SOON = timedelta(days=3)
MOST = 100  # releases one person is on at once
TICKED_HERE = (Kind.CHECK, Kind.SIGN_OFF, Kind.ACKNOWLEDGE)  # other kinds have a form of their own on their page
BADGE = 60  # seconds the badge is kept; one's own acts drop it at once


@dataclass(frozen=True)
class Task:
    """One item of mine as its row shows it."""

    release: Release
    item: board.Line
    moments: PhaseMoments
    due_at: datetime | None
    late: bool
    instead_of: User | None  # the absent holder I stand in for

    @property
    def ticks_here(self) -> bool:
        return self.item.kind in TICKED_HERE


@dataclass
class Work:
    asked: list[Ask] = field(default_factory=list)
    actions: list[ActionItem] = field(default_factory=list)
    now: list[Task] = field(default_factory=list)
    next: list[Task] = field(default_factory=list)
    later: list[Task] = field(default_factory=list)
    done: list[Item] = field(default_factory=list)

    @property
    def asked_count(self) -> int:
        return len(self.asked) + len(self.actions)

    @property
    def count(self) -> int:
        """What the badge in the navigation says."""
        return self.asked_count + len(self.now)

    @property
    def coming(self) -> Task | None:
        """The first thing that will be mine, for a day with nothing to do."""
        return next((task for task in self.next + self.later if task.moments.opens_at), None)


def work_of(user: User, now: datetime) -> Work:
    """What `user` has to do, grouped by time, and what they did today; deputies see what they stand in for."""
    work = _open_work(user, now)
    for group in (work.now, work.next, work.later):
        group.sort(key=lambda task: (not task.late, task.due_at or task.release.window_end, task.release.t_zero))
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    settled = Item.objects.filter(state_by=user, state_at__gte=today).exclude(state__in=(State.OPEN, State.BLOCKED))
    work.done = list(settled.select_related("phase__release").order_by("-state_at")[:20])
    return work


def _open_work(user: User, now: datetime) -> Work:
    absent = Delegation.objects.filter(deputy=user).on(timezone.localdate()).values("user")
    held = Assignment.objects.filter(Q(user=user.pk) | Q(user__in=absent), release=OuterRef("pk"))
    mine = Release.objects.in_flight().filter(Exists(held)).order_by("t_zero", "key")[:MOST]
    rows = board.entries(board.loaded(mine), now)
    work = Work(asked=[ask for ask in asks(rows, user) if not ask.about_items])
    for row in rows:
        _sort(row, user, work)
    actions = ActionItem.objects.filter(owner=user, state=ActionItem.State.OPEN).select_related("release")
    work.actions = list(actions.order_by("due_at"))
    return work


def _sort(row: board.Entry, user: User, work: Work) -> None:
    roles = roles_held(user, row.release)
    leads = row.release.coordinator_id == user.pk
    for moments, item in row.open_items:
        if not (item.role.slug in roles if item.role else leads):
            continue
        late, absent = moments.is_late(item, row.now), acting_for(user, row.release, item.role)
        task = Task(row.release, item, moments, moments.due_of(item), late, absent)
        if row.asked_now(moments, item):
            work.now.append(task)
        elif moments.opens_at and moments.opens_at <= row.now + SOON:
            work.next.append(task)
        else:
            work.later.append(task)


@needs("view")
@require_safe
def my_work(request: HtmxRequest) -> HttpResponse:
    """The whole page; for htmx its groups."""
    now = timezone.now()
    work = work_of(who(request), now)
    cache.set(badge_key(who(request)), work.count, BADGE)
    context = {"work": work, "now": now, "live_url": f"{reverse('releases:my_work_live')}?token={_token(work)}"}
    context |= wired(request, None, now)
    return render(request, f"releases/my_work.html{'#mine' if is_partial(request) else ''}", context)


def badge(user: User) -> int:
    """How many things are asked of `user` or open for them now; a minute old at most."""
    known: int | None = cache.get(badge_key(user))
    if known is None:
        known = _open_work(user, timezone.now()).count
        cache.set(badge_key(user), known, BADGE)
    return known


def badge_key(user: User) -> str:
    return f"mine:{user.pk}"


def _token(work: Work) -> str:
    parts = [f"{task.item.pk}.{task.item.version}.{int(task.late)}" for task in work.now + work.next + work.later]
    parts += [f"{len(group)}" for group in (work.now, work.next, work.later)]
    parts += [f"{ask.title}{ask.note}" for ask in work.asked] + [f"a{row.pk}" for row in work.actions]
    parts += [f"d{item.pk}.{item.version}" for item in work.done]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


@needs("view")
@require_safe
def my_work_live(request: HtmxRequest) -> HttpResponse:
    """204 while nothing of mine has changed."""
    now = timezone.now()
    token = _token(work_of(who(request), now))
    if request.GET.get("token") == token:
        return answered(HttpResponse(status=204), request, None, now)
    return answered(JsonResponse({"token": token, "changed": ["mine"]}), request, None, now)
