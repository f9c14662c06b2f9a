"""The decision of a go/no-go, taking it back, and the action items that follow."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from relcoord.lib.htmx import HtmxRequest, say
from releases import clearance, gonogo, permissions, readiness
from releases.errors import DomainError, NotReady, Refused
from releases.forms.followups import FollowUpForm, focus_first_error, without_errors
from releases.forms.gonogo import DecideForm, SettleForm, WithdrawForm
from releases.models import ActionItem, Call, Release, Status
from releases.readiness import Readiness
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame
from releases.views.gonogo import key_of, page, polling, url
from releases.views.pair import either


@acts("decide")
def decide(request: HtmxRequest, release: Release) -> HttpResponse:
    """Record the call. Without the button's own `record` the form comes back, with one more row if that was asked."""
    me, release = who(request), Release.objects.lock(release)
    permissions.require(me, "decide", release)
    polling(release)
    form = DecideForm(request.POST, release=release)
    if "record" in request.POST and form.is_valid() and not _unseen(form, release):
        try:
            made = gonogo.decide(release, by=me, **form.arguments())
        except NotReady as refusal:
            form.call.add_error("override", str(refusal))
        except DomainError as refusal:
            form.call.add_error(None, str(refusal))
        else:
            say(request, f"{made.get_call_display()} is recorded. Everyone on the release is told")
            return to(request, url(release))
    _came_back(request, form.call, form.forms)
    return page(request, release, 422, part="decide-form", decide=form)


def _came_back(request: HtmxRequest, head: forms.Form, every: list[forms.BaseForm]) -> None:
    """Say why a form was not recorded: what is wrong, or that no button was pressed. One more row is no fault."""
    if "record" in request.POST:
        focus_first_error(*every)
    elif "more" in request.POST:
        without_errors(*every)
    else:
        head.full_clean()
        head.add_error(None, "Nothing is recorded yet: press the button at the end to record it")


def _unseen(form: DecideForm, release: Release) -> bool:
    """Would the override name something its page did not show? Then it is asked again, with that said."""
    data = form.call.cleaned_data
    if data["call"] == Call.NO_GO or not data["override"]:
        return False
    gate: Readiness = readiness.go(release)
    shown = set(data["against"].split())
    new = [hindrance.words for hindrance in gate.hindrances if key_of(hindrance) not in shown]
    if new:
        words = f"New since you opened this page: {'; '.join(new)}. The override would name it too"
        form.call.add_error("override", words)
    return bool(new)


@shows("withdraw")
def _withdraw_form(request: HtmxRequest, release: Release) -> HttpResponse:
    return _withdraw_page(request, release, WithdrawForm(release=release))


@acts("withdraw")
def _withdraw(request: HtmxRequest, release: Release) -> HttpResponse:
    me = who(request)
    permissions.require(me, "withdraw", release)
    form = WithdrawForm(request.POST, release=release)
    if "record" in request.POST and form.is_valid():
        try:
            gonogo.withdraw_go(
                release,
                form.reason.cleaned_data["reason"],
                by=me,
                action_items=form.no_go.rows.follow_ups(),
                then=form.no_go.next,
            )
        except DomainError as refusal:
            if release.status != Status.CLEARED:
                raise  # its page has no form now that could say so
            form.reason.add_error(None, str(refusal))
        else:
            say(request, "The GO is withdrawn. Everyone on the release is told")
            return to(request, url(release))
    _came_back(request, form.reason, [form.reason, *form.no_go.forms])
    return _withdraw_page(request, release, form, 422)


def _withdraw_page(request: HtmxRequest, release: Release, form: WithdrawForm, status: int = 200) -> HttpResponse:
    whole = frame(request, release, "decision")
    everyone = clearance.everyone(release)
    people = sorted({person.name: person for person in everyone}.items())
    own = {"form": form, "no_go": form.no_go, "people": people, "told": len(everyone)}
    return render(request, "releases/withdraw.html", whole | own, status=status)


go_withdraw = either(_withdraw_form, _withdraw)


# Action items


@acts("decide")
def action_add(request: HtmxRequest, release: Release) -> HttpResponse:
    permissions.require(who(request), "decide", release)
    form = FollowUpForm(request.POST, prefix="add", release=release)
    if not form.is_valid():
        return page(request, release, 422, add=form)
    row = gonogo.add_action(release, form.follow_up(ActionItem.Blocks.POLL), by=who(request))
    say(request, f"“{row.title}” is {row.owner.name}’s")
    return to(request, url(release) + "#actions")


@acts("settle_action")
def action_settle(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    row = get_object_or_404(ActionItem.objects.select_related("release", "owner"), pk=pk, release=release)
    form = SettleForm(request.POST)
    if not form.is_valid():
        raise DomainError("An action item is done, waived or open")
    state = ActionItem.State(form.cleaned_data["state"])
    try:
        row = gonogo.settle_action(row, state, by=who(request), reason=form.cleaned_data["reason"])
    except Refused:
        raise
    except DomainError as refusal:
        form.add_error("reason", str(refusal))
        return page(request, release, 422, part="actions", settle={pk: form})
    words = f"“{row.title}” is {row.get_state_display()}"
    if state == ActionItem.State.OPEN:
        say(request, words)
    else:
        undo = reverse("releases:action_settle", args=[release.key, pk])
        say(request, words, undo=undo, target="#actions", state="open")
    release.forget()
    return page(request, release, part="after-action") if request.htmx else to(request, url(release) + "#actions")
