"""Addresses for machines: is this process alive, is the whole of it at work, how much of what is there.

`relcoord.middleware.ProbeMiddleware` calls these before host names, sessions and log-ins are looked at: a probe comes
from inside, by address and without TLS. They tell strangers no more than that something is late.
"""

from __future__ import annotations

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from relcoord.lib.verbs import needs
from releases import health, metrics
from releases.health import Level

PLAIN = "text/plain; charset=utf-8"


@needs("public")
@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """This process answers. Asks nothing else: a database that is away is no reason to restart it."""
    return HttpResponse("ok\n", content_type=PLAIN)


@needs("public")
@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Is everything at work that has to be? 503 when something is not, with what."""
    found = health.findings()
    ready = all(finding.level != Level.FAIL for finding in found)
    checks = {finding.name: {"state": finding.level.lower(), "says": finding.words} for finding in found}
    answer = {"ready": ready, "checks": checks}
    return JsonResponse(answer, status=200 if ready else 503, json_dumps_params={"indent": 1})


@needs("public")
@require_safe
@never_cache
def figures(request: HttpRequest) -> HttpResponse:
    """For Prometheus, with METRICS_TOKEN; without that setting there is no such page."""
    if not settings.METRICS_TOKEN:
        return HttpResponse("There is no such page\n", status=404, content_type=PLAIN)
    given = request.headers.get("Authorization", "")
    if not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        refused = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return HttpResponse(
            "Say the token: Authorization: Bearer ...\n", status=401, content_type=PLAIN, headers=refused
        )
    try:
        return HttpResponse(metrics.text(), content_type=metrics.CONTENT_TYPE)
    except Error:
        return HttpResponse("The database does not answer\n", status=503, content_type=PLAIN)
