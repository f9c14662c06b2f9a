"""The team's page of a release."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from relcoord.lib.htmx import HtmxRequest
from releases.models import Release
from releases.views.base import shows
from releases.views.frame import frame


@shows("view")
def release_page(request: HtmxRequest, release: Release) -> HttpResponse:
    return render(request, "releases/release.html", frame(request, release, "checklist"))
