"""The schedule: move T-0 after a look at what that does, hold the clock, let it run again, cancel."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from relcoord.lib.htmx import HtmxRequest, say
from releases import clearance, permissions, readiness, workflow
from releases.errors import DomainError
from releases.forms.followups import ReasonForm
from releases.forms.schedule import RescheduleForm, ResumeForm, hidden
from releases.forms.window import WindowForm
from releases.models import BEFORE_START, HOLDABLE, Event, Release
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame
from releases.views.pair import either
from releases.workflow import Preview, Window


def page(request: HtmxRequest, release: Release, status: int = 200, **given: Any) -> HttpResponse:
    """The schedule, with the form that was refused or the preview that was asked for."""
    me = who(request)
    may_move = release.status in BEFORE_START and permissions.may(me, "reschedule", release)
    context = frame(request, release, "schedule") | {
        "plan": release.plan,
        "moved": list(Event.objects.filter(release=release, action="release.rescheduled").order_by("-sequence")),
        "may_move": may_move,
        "may_hold": permissions.may(me, "hold", release) and release.status in HOLDABLE and not release.open_hold,
        "may_resume": permissions.may(me, "resume", release) and release.open_hold is not None,
        "may_cancel": permissions.may(me, "cancel", release) and release.status in BEFORE_START,
    }
    if may_move:
        context["form"] = RescheduleForm(initial=WindowForm.said_of(release))
    return render(request, "releases/schedule.html", context | given, status=status)


def url(release: Release) -> str:
    return reverse("releases:schedule", args=[release.key])


@shows("view")
def schedule(request: HtmxRequest, release: Release) -> HttpResponse:
    return page(request, release)


# Moving


def stand(release: Release, window: Window, preview: Preview) -> str:
    """A name for what a preview said, so that only what was read is done."""
    reopens = ",".join(str(item.pk) for item in preview.reopens)
    said = f"{window.t_zero} {window.ends} {window.zone} {release.schedule_version} {release.status} {reopens}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def look(release: Release, form: RescheduleForm) -> dict[str, Any] | None:
    """What the new window would do, for the page in between; None when just that has been read already."""
    window = form.window
    if window is None:  # only a valid form is looked at
        raise DomainError("Say the new window first")
    readiness.load(release)
    preview = workflow.preview_reschedule(release, window)
    seen = stand(release, window, preview)
    if form.cleaned_data["seen"] == seen:
        return None
    return {
        "preview": preview,
        "window": window,
        "seen": seen,
        "carried": hidden(form, without=("seen",)),
        "again": bool(form.cleaned_data["seen"]),
    }


@acts("reschedule")
def reschedule(request: HtmxRequest, release: Release) -> HttpResponse:
    """First what would move, then, by the form on that page, the move."""
    me, release = who(request), Release.objects.lock(release)
    permissions.require(me, "reschedule", release)
    if release.status not in BEFORE_START:
        raise DomainError(f"{release.key} is {release.state.label.lower()}; only a release before its start can move")
    form = RescheduleForm(request.POST, initial=WindowForm.said_of(release))
    if not form.is_valid() or form.window is None:
        return page(request, release, 422, form=form)
    if preview := look(release, form):
        return page(request, release, 409 if preview["again"] else 200, form=form, **preview)
    try:
        moved = workflow.reschedule(release, form.window, by=me, reason=form.cleaned_data["reason"])
    except DomainError as refusal:
        form.add_error(None, str(refusal))
        return page(request, release, 422, form=form)
    same = moved.schedule_version == release.schedule_version
    told = f"{moved.key} is rescheduled; everyone is told"
    say(request, "Nothing changes: that is its T-0 already" if same else told)
    return to(request, moved.get_absolute_url())


# Hold and resume


def reason_page(
    request: HtmxRequest, release: Release, template: str, form: forms.Form, status: int = 200, **more: Any
) -> HttpResponse:
    told = len(clearance.everyone(release))
    context = frame(request, release, "schedule") | {"form": form, "told": told} | more
    return render(request, f"releases/{template}.html", context, status=status)


@shows("hold")
def _hold_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return reason_page(request, release, "hold", ReasonForm(label="Why the clock stops"))


@acts("hold")
def _hold(request: HtmxRequest, release: Release) -> HttpResponse:
    permissions.require(who(request), "hold", release)
    form = ReasonForm(request.POST, label="Why the clock stops")
    if not form.is_valid():
        return reason_page(request, release, "hold", form, 422)
    workflow.hold(release, form.cleaned_data["reason"], by=who(request))
    say(request, f"The clock of {release.key} is on hold; everyone is told")
    return to(request, release.get_absolute_url())


@shows("resume")
def _resume_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return _resume_page(request, release, ResumeForm(release=release))


@acts("resume")
def _resume(request: HtmxRequest, release: Release) -> HttpResponse:
    me, release = who(request), Release.objects.lock(release)
    permissions.require(me, "resume", release)
    form = ResumeForm(request.POST, release=release)
    if not form.is_valid():
        return _resume_page(request, release, form, 422)
    if form.moves and (preview := look(release, form.window)):
        return _resume_page(request, release, form, 409 if preview["again"] else 200, **preview)
    new = form.window.window if form.moves else None
    reason = form.window.cleaned_data["reason"] if form.moves else ""
    workflow.resume(release, by=me, window=new, reason=reason)
    say(request, f"The clock of {release.key} runs again; everyone is told")
    return to(request, release.get_absolute_url())


def _resume_page(
    request: HtmxRequest, release: Release, form: ResumeForm, status: int = 200, **more: Any
) -> HttpResponse:
    context = frame(request, release, "schedule") | {"resume": form, "form": form.window} | more
    return render(request, "releases/resume.html", context, status=status)


# Cancel


@shows("cancel")
def _cancel_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return reason_page(request, release, "cancel", ReasonForm(label="Why it is cancelled"))


@acts("cancel")
def _cancel(request: HtmxRequest, release: Release) -> HttpResponse:
    permissions.require(who(request), "cancel", release)
    form = ReasonForm(request.POST, label="Why it is cancelled")
    if not form.is_valid():
        return reason_page(request, release, "cancel", form, 422)
    workflow.cancel(release, form.cleaned_data["reason"], by=who(request))
    say(request, f"{release.key} is cancelled; everyone is told to stop")
    return to(request, release.get_absolute_url())


hold = either(_hold_form, _hold)
resume = either(_resume_form, _resume)
cancel = either(_cancel_form, _cancel)
