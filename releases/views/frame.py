"""The frame of every page of a release: countdown header, tabs, what is counted and who is waited on."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from releases import readiness
from releases.models import ON_CALL, Release


def frame(request: HttpRequest, release: Release, tab: str) -> dict[str, Any]:
    """Context that `releases/_release.html` needs; merge it into the page's own."""
    now = timezone.now()
    readiness.load(release)
    items = [item for moments in release.plan for item in moments.phase.items.all()]
    gate = readiness.next_gate(release, now)
    return {
        "release": release,
        "tab": tab,
        "now": now,
        "gate": gate,
        "settled": sum(item.settled for item in items),
        "total": len(items),
        "blocked": sum(item.state == "blocked" for item in items),
        "late": sum(m.is_late(i, now) for m in release.plan for i in m.phase.items.all()),
        "on_call": [row.user for row in release.assignments.all() if row.role.slug == ON_CALL],
    }
