"""What open pages of a release ask: has anything changed, and how does one part of the page look now."""

from __future__ import annotations

from datetime import datetime

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from relcoord.lib.htmx import HtmxRequest
from relcoord.lib.verbs import needs
from releases import live, permissions
from releases.models import Release
from releases.views.answers import REGIONS
from releases.views.base import shows, who
from releases.views.page import page_context
from releases.views.wire import answered, unchanged


@needs("view")
@require_safe
def live_news(request: HtmxRequest, key: str) -> HttpResponse:
    """204 while nothing has changed since `token`, else the names of the parts that did and the next token.

    Every open page asks, and nearly always the answer is 204: the release is read only when there is more to say.
    """
    now, since = timezone.now(), live.Token.read(request.GET.get("token", ""))
    if permissions.open_to_all("view"):
        revision = Release.objects.revision(key, who(request))
        if revision is None:
            raise Http404(key)
        if quiet := live.quiet(revision, since, now):
            return unchanged(request, revision, quiet.until, now)
    return _news(request, key=key, since=since, now=now)


@shows("view")
def _news(request: HtmxRequest, release: Release, since: live.Token | None, now: datetime) -> HttpResponse:
    names = live.changed(release, since, now)
    if not names:
        return answered(HttpResponse(status=204), request, release, now)
    news = {"token": str(live.token(release, now)), "changed": names, "as_of": now.isoformat()}
    return answered(JsonResponse(news), request, release, now)


@shows("view")
def part(request: HtmxRequest, release: Release, name: str) -> HttpResponse:
    """One region of the page as it is now, named as in `releases.live`."""
    context = page_context(request, release, request.GET.get("tab", ""))
    if name == "head":
        return render(request, "releases/_release.html#head", context)
    if name in REGIONS or name == "list":
        return render(request, f"releases/release.html#{name}", context)
    section = next((s for s in context["page"].sheet.sections if s.anchor == name), None)
    if section is None:
        raise Http404(name)
    return render(request, "releases/release.html#count", context | {"section": section})
