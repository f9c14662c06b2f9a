"""The rollback: one quiet form to start it, then one big current step, strictly in order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone

from checklists.blueprints import Stage
from checklists.models import TemplateItem
from relcoord.lib.htmx import HtmxRequest, say
from relcoord.templatetags.ui import zone_name
from releases import clearance, permissions, rollback, story, ticking
from releases.errors import DomainError
from releases.forms.rollback import PROMISES, AssessForm, FinishForm, LogForm, PromiseForm, StepForm, TriggerForm
from releases.models import Event, Part, Path, Release, Rollback, RollbackStep, Severity
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame

PARTS = ("step", "steps", "status", "log")


# The page


def running_of(release: Release) -> Rollback | None:
    rows = release.rollbacks.filter(ended_at=None).select_related("in_charge", "triggered_by")
    return rows.prefetch_related("steps__state_by", "steps__role").first()


def context(request: HtmxRequest, release: Release, **given: Any) -> dict[str, Any]:
    """What the page shows: the running rollback or the form to start one, and the earlier ones."""
    me, whole = who(request), frame(request, release, "rollback")
    row = running_of(release)
    earlier = release.rollbacks.exclude(ended_at=None).select_related("in_charge", "review_owner", "triggered_by")
    own: dict[str, Any] = {
        "row": row,
        "earlier": list(earlier.prefetch_related("steps__state_by").order_by("-number")),
        "people": sorted({person.name: person for person in clearance.everyone(release)}.items()),
        "told": len(clearance.everyone(release)),
        "may_write": permissions.may(me, "note", release),
    }
    if row is not None:
        row.release = release
        own |= _running(release, row, me_may=permissions.may(me, "run_rollback", release), now=whole["now"])
    else:
        own |= _quiet(release, permissions.may(me, "trigger_rollback", release))
        own["who_may"] = permissions.who_may("trigger_rollback", release)
    return whole | own | given


def _running(release: Release, row: Rollback, *, me_may: bool, now: datetime) -> dict[str, Any]:
    step = row.current_step
    steps = list(row.steps.all())
    return {
        "step": step,
        "steps": steps,
        "settled_steps": sum(one.settled for one in steps),
        "may_run": me_may,
        "form": form_for(step, release),
        "log": log_of(row),
        "log_form": LogForm(),
        "message": status_message(row, now),
        "promises": PROMISES,
    }


def _quiet(release: Release, may: bool) -> dict[str, Any]:
    version = release.template_version_id
    steps = TemplateItem.objects.filter(phase__version=version, phase__stage=Stage.CONTINGENCY)
    return {
        "possible": release.status in rollback.FROM,
        "may_start": may and release.status in rollback.FROM,
        "trigger": TriggerForm(release=release),
        "procedure": steps.select_related("role").order_by("phase__position", "position"),
    }


def form_for(step: RollbackStep | None, release: Release) -> forms.Form:
    """The form of the current step: what it asks follows from its part."""
    if step is None or step.part == Part.REVIEW:
        return FinishForm(release=release)
    return AssessForm() if step.part == Part.ASSESS else StepForm()


def log_of(row: Rollback) -> list[story.Told]:
    """What happened in this rollback, the newest first: its events and the lines people wrote."""
    steps = [str(step.pk) for step in row.steps.all()]
    mine = Q(object_type="rollback", object_id=str(row.pk)) | Q(object_type="rollbackstep", object_id__in=steps)
    events = Event.objects.filter(mine, release=row.release).order_by("-sequence")
    return [story.tell(event, row.release.zone) for event in events]


def status_message(row: Rollback, now: datetime) -> str:
    """The status as a text to paste: where we are, what was seen, when the next word comes."""
    zone, step = row.release.zone, row.current_step
    here = now.astimezone(zone)
    doing = {Path.ROLLBACK.value: "we are rolling back", Path.HOTFIX.value: "we are fixing it forward"}
    words = doing.get(row.path, "we are deciding between rollback and hotfix")
    if row.restored_at:
        words = f"verified as stable since {row.restored_at.astimezone(zone):%H:%M}"
    parts = [f"{here:%H:%M} {zone_name(here)}, {row.release.title}: {words}. Seen: {row.seen.rstrip('.')}."]
    if step is not None:
        parts.append(f"Now: {step.title}.")
    if row.next_update_at and row.next_update_at > now:
        parts.append(f"Next update {row.next_update_at.astimezone(zone):%H:%M}.")
    return " ".join(parts)


def page(request: HtmxRequest, release: Release, status: int = 200, **given: Any) -> HttpResponse:
    return render(request, "releases/rollback.html", context(request, release, **given), status=status)


def url(release: Release) -> str:
    return reverse("releases:rollback", args=[release.key])


@shows("view")
def rollback_page(request: HtmxRequest, release: Release) -> HttpResponse:
    return page(request, release)


@shows("view")
def rollback_part(request: HtmxRequest, release: Release, name: str) -> HttpResponse:
    """One live region of the page."""
    if name not in PARTS:
        raise Http404
    return render(request, f"releases/rollback.html#{name}", context(request, release))


# Acts


@acts("trigger_rollback")
def rollback_trigger(request: HtmxRequest, release: Release) -> HttpResponse:
    permissions.require(who(request), "trigger_rollback", release)
    form = TriggerForm(request.POST, release=release)
    if form.is_valid():
        data = form.cleaned_data
        try:
            row = rollback.trigger(release, data["seen"], by=who(request), noticed_at=data["noticed"])
        except DomainError as refusal:
            if release.status not in rollback.FROM:
                raise  # its page has no form now that could say so
            form.add_error("noticed" if data["noticed"] else None, str(refusal))
        else:
            say(request, f"Rollback {row.number} has started. On-call and Project Manager are told")
            return to(request, url(release))
    return page(request, release, 422, trigger=form)


def _row(release: Release, number: int) -> Rollback:
    row = get_object_or_404(Rollback, release=release, number=number)
    row.release = release
    return row


@acts("run_rollback")
def rollback_assess(request: HtmxRequest, release: Release, number: int) -> HttpResponse:
    permissions.require(who(request), "run_rollback", release)
    form = AssessForm(request.POST)
    if not form.is_valid():
        return page(request, release, 422, form=form)
    data, row = form.cleaned_data, _row(release, number)
    path, step = Path(data["path"]), row.current_step
    if step is not None and step.part != Part.ASSESS:
        return _meanwhile(request, release, "The severity was recorded", data["note"])
    rollback.record_severity(row, Severity(data["severity"]), path, by=who(request), note=data["note"])
    say(request, f"Recorded: {path.label.lower()}")
    return to(request, url(release))


@acts("run_rollback")
def rollback_step(request: HtmxRequest, release: Release, number: int, pk: int) -> HttpResponse:
    """Complete the current step. One that somebody else completed meanwhile is said, with what was typed kept."""
    permissions.require(who(request), "run_rollback", release)
    row = _row(release, number)
    step = get_object_or_404(RollbackStep.objects.select_related("rollback__release", "state_by"), pk=pk, rollback=row)
    form = StepForm(request.POST)
    if step != row.current_step:
        by = f" by {step.state_by.name}" if step.settled and step.state_by else ""
        words = f"“{step.title}” was completed{by}" if step.settled else f"“{step.title}” is not the current step"
        return _meanwhile(request, release, words, str(form["note"].value() or ""))
    if form.is_valid():
        failed = "failed" in request.POST
        try:
            done = rollback.complete_step(step, by=who(request), note=form.cleaned_data["note"], failed=failed)
        except DomainError as refusal:
            form.add_error("note", str(refusal))
        else:
            say(request, f"“{done.title}” is open again" if failed else f"“{done.title}” is done")
            return to(request, url(release))
    return page(request, release, 422, form=form)


def _meanwhile(request: HtmxRequest, release: Release, words: str, note: str) -> HttpResponse:
    """409: somebody was quicker. What was typed waits in the log's field."""
    kept = " What you wrote is in the log’s field." if note else ""
    return page(request, release, 409, said=f"{words} meanwhile.{kept}", log_form=LogForm(initial={"text": note}))


@acts("note")
def rollback_log(request: HtmxRequest, release: Release, number: int) -> HttpResponse:
    permissions.require(who(request), "note", release)
    form = LogForm(request.POST)
    if not form.is_valid():
        return page(request, release, 422, log_form=form)
    ticking.write_note(release, form.cleaned_data["text"], by=who(request), rollback=_row(release, number))
    if request.htmx:
        return render(request, "releases/rollback.html#log-written", context(request, release))
    return to(request, url(release) + "#log")


@acts("run_rollback")
def rollback_promise(request: HtmxRequest, release: Release, number: int) -> HttpResponse:
    form = PromiseForm(request.POST)
    if not form.is_valid():
        raise DomainError("Say in how many minutes the next update comes, from 1 to 1440")
    at = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=form.cleaned_data["minutes"])
    rollback.promise_update(_row(release, number), at, by=who(request))
    say(request, f"Next update promised for {at.astimezone(release.zone):%H:%M}")
    return to(request, url(release) + "#status")


@acts("run_rollback")
def rollback_charge(request: HtmxRequest, release: Release, number: int) -> HttpResponse:
    rollback.take_charge(_row(release, number), by=who(request))
    say(request, "You are in charge of the rollback")
    return to(request, url(release))


@acts("run_rollback")
def rollback_finish(request: HtmxRequest, release: Release, number: int) -> HttpResponse:
    permissions.require(who(request), "run_rollback", release)
    step = _row(release, number).current_step
    if step is not None and step.part != Part.REVIEW:
        raise DomainError(f"The steps come first; now it is “{step}”")
    form = FinishForm(request.POST, release=release)
    if form.is_valid():
        data = form.cleaned_data
        try:
            rollback.finish(
                _row(release, number), by=who(request), review_on=data["review_on"], review_owner=data["owner"]
            )
        except DomainError as refusal:
            form.add_error("review_on", str(refusal))
        else:
            say(request, f"The rollback has ended; the review is {data['owner'].name}’s. Everyone is told")
            return to(request, url(release))
    return page(request, release, 422, form=form)
