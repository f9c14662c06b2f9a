"""What a page needs to be live beside the address it polls: where its stream is, and when it should look by itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from relcoord.lib import tickets
from releases import live
from releases.models import Release, Revision
from releases.views.base import who

STREAM, NEXT = "X-Live-Stream", "X-Live-Next"


def wired(request: HttpRequest, release: Release | None, now: datetime) -> dict[str, Any]:
    """Context of a page: `live_stream`, and `live_next`, the next moment something turns, in milliseconds.

    Without a release the stream tells that anything changed anywhere, and not what.
    """
    moment = live.next_turn(release, now) if release else None
    return {"live_stream": _stream(request, release, now), "live_next": _milliseconds(moment)}


def _stream(request: HttpRequest, release: Release | Revision | None, now: datetime) -> str:
    pk, revision = (release.pk, release.event_sequence) if release else (None, 0)
    return tickets.address(who(request).pk, pk, revision, now)


def _milliseconds(moment: datetime | None) -> int | str:
    return int(moment.timestamp() * 1000) if moment else ""


def answered(answer: HttpResponse, request: HttpRequest, release: Release | None, now: datetime) -> HttpResponse:
    """The same, on the answer to a poll: a ticket is for some minutes, a page may stay open for days."""
    fresh = wired(request, release, now)
    answer[STREAM], answer[NEXT] = fresh["live_stream"], fresh["live_next"]
    return answer


def unchanged(request: HttpRequest, release: Revision, until: datetime | None, now: datetime) -> HttpResponse:
    """204: nothing has changed, nor will before `until` unless somebody acts."""
    answer = HttpResponse(status=204)
    answer[STREAM], answer[NEXT] = _stream(request, release, now), _milliseconds(until)
    return answer
