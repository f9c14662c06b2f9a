"""Start, finish and close: each page says what stands before it, and takes it when nothing does."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from relcoord.lib.htmx import HtmxRequest, say
from releases import clearance, permissions, readiness, workflow
from releases.errors import NotReady
from releases.forms.schedule import StartForm
from releases.models import ActionItem, Release
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame
from releases.views.pair import either


def _page(
    request: HtmxRequest, release: Release, template: str, gate: readiness.Readiness, status: int = 200, **more: Any
) -> HttpResponse:
    context = frame(request, release, "") | {"stands_before": gate, "told": len(clearance.everyone(release))} | more
    return render(request, f"releases/{template}.html", context, status=status)


# Start


def _start_page(
    request: HtmxRequest, release: Release, form: StartForm | None = None, status: int = 200
) -> HttpResponse:
    gate = readiness.start(release, timezone.now())
    decision = clearance.standing_decision(release)
    form = form or StartForm(needed=not gate.gate_passed)
    return _page(request, release, "start", gate, status, form=form, decision=decision)


@shows("start")
def _start_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return _start_page(request, release)


@acts("start")
def _start(request: HtmxRequest, release: Release) -> HttpResponse:
    me, release = who(request), Release.objects.lock(release)
    permissions.require(me, "start", release)
    gate = readiness.start(release, timezone.now())
    form = StartForm(request.POST, needed=not gate.gate_passed and gate.overridable)
    if form.is_valid():
        try:
            workflow.start_deployment(release, by=me, override=form.cleaned_data["override"])
        except NotReady as refusal:
            form.add_error(None, str(refusal))
        else:
            say(request, f"The deployment of {release.key} has started")
            return to(request, release.get_absolute_url())
    return _start_page(request, release, form, 422)


# Finish


@shows("finish")
def _finish_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return _page(request, release, "finish", readiness.finish(release))


@acts("finish")
def _finish(request: HtmxRequest, release: Release) -> HttpResponse:
    try:
        done = workflow.finish_deployment(release, by=who(request))
    except NotReady as refusal:
        return _page(request, release, "finish", refusal.readiness, 422, refusal=refusal)
    say(request, f"{done.key} is deployed; the post-deployment phase is open")
    return to(request, done.get_absolute_url())


# Close


@shows("close")
def _close_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return _page(request, release, "close", readiness.close(release), reviews=_reviews(release))


@acts("close")
def _close(request: HtmxRequest, release: Release) -> HttpResponse:
    try:
        workflow.close(release, by=who(request))
    except NotReady as refusal:
        return _page(request, release, "close", refusal.readiness, 422, refusal=refusal, reviews=_reviews(release))
    say(request, f"{release.key} is closed; everyone is told")
    return to(request, release.get_absolute_url())


def _reviews(release: Release) -> list[ActionItem]:
    """Action items that stay open after closing: they hold nothing."""
    rows = release.action_items.all()
    return [row for row in rows if row.blocks == ActionItem.Blocks.NOTHING and row.state == ActionItem.State.OPEN]


start = either(_start_form, _start)
finish = either(_finish_form, _finish)
close = either(_close_form, _close)
