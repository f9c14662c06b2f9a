"""Acting on one item: tick, block, not applicable, waive, reopen, evidence, note, the end of a watch.

Every act has a form. A plain post is answered with a redirect to the row, an htmx post with the row and the parts of
the page that changed. What cannot be taken comes back as the row with its form open (422), as the fresh row when
somebody else was quicker (409), or with the sentence that names who may (403).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from checklists.blueprints import Kind
from relcoord.lib import markup
from relcoord.lib.htmx import HtmxRequest, is_partial
from releases import items, ticking
from releases.models import Item, Phase, Release, State, Verdict
from releases.views import answers
from releases.views.answers import ACTS, Act, accepted, asked, attempt, show
from releases.views.base import acts, shows, to, who

Said = dict[str, Any]


def find_item(release: Release, pk: int) -> Item:
    """The item of this release, with the release behind it; 404 for any other."""
    item = get_object_or_404(Item.objects.of(release), pk=pk)
    item.phase.release = release
    return item


def unread(release: Release, pk: int) -> Item:
    """Enough of the item for a verb that reads all of it under its lock."""
    return Item(pk=pk, phase=Phase(release=release))


def url_of(name: str, item: Item) -> str:
    return reverse(f"releases:{name}", args=[item.release.key, item.pk])


@shows("view")
def item_show(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """The item by itself: its words, its history, every form.

    For htmx its row; `?form=block` opens that form in it, `?guide` is its guidance alone.
    """
    item, act = find_item(release, pk), ACTS.get(request.GET.get("form", ""))
    if "guide" in request.GET and is_partial(request):
        return HttpResponse(f'<div class="md sm">{markup.render(item.guidance)}</div>')
    return show(request, release, pk, opened=asked(release, item, act) if act else None)


def _take(
    request: HtmxRequest, release: Release, item: Item, act: Act, do: Callable[[Item, Said], HttpResponse]
) -> HttpResponse:
    """Check the posted form of `act`, carry it out, and answer."""
    form = act.form_class(request.POST)
    if not form.is_valid():
        item = find_item(release, item.pk)
        return show(request, release, item.pk, opened=asked(release, item, act, form), status=422)
    try:
        return attempt(request, release, item, act, form, lambda: do(item, form.cleaned_data))
    except Item.DoesNotExist as missing:
        raise Http404(item.pk) from missing


def _settled(request: HtmxRequest, release: Release, item: Item) -> HttpResponse:
    """Answer with the state an item has now, and the way back from it."""
    words = "is open again" if item.state == State.OPEN else f"is {item.get_state_display()}"
    return accepted(request, release, item, f"{item.title} {words}", undo=url_of("item_reopen", item))


@acts("tick", alone=True)
def item_done(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """The row's own button. What it means by the item's kind is in `releases.items`."""
    wanted = request.POST.get("to") != "open"  # anything else has to be "done": the form looks

    def do(item: Item, said: Said) -> HttpResponse:
        proof = ticking.Proof(**said["given"]) if "given" in said else None
        by, version = who(request), said["v"]
        done = items.act(
            item, wanted, by=by, version=version, on_behalf=said["reason"], revoke=said["revoke"], proof=proof
        )
        if done.kind == Kind.WATCH and wanted:
            return accepted(request, release, done, f"The watch of {done.title} has begun")
        if wanted:
            return _settled(request, release, done)
        back = url_of("item_done", done)
        return accepted(request, release, done, f"{done.title} is open again", undo=back, to="done")

    if not wanted:
        return _take(request, release, unread(release, pk), answers.REOPEN, do)
    return _take(request, release, unread(release, pk), answers.PROOF if "proof" in request.POST else answers.DONE, do)


@acts("block", alone=True)
def item_block(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    def do(item: Item, said: Said) -> HttpResponse:
        item = ticking.block(item, said["reason"], by=who(request), version=said["v"], revoke=said["revoke"])
        return _settled(request, release, item)

    return _take(request, release, unread(release, pk), answers.BLOCK, do)


@acts("not_applicable", alone=True)
def item_not_applicable(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    def do(item: Item, said: Said) -> HttpResponse:
        item = ticking.mark_not_applicable(item, said["reason"], by=who(request), version=said["v"])
        return _settled(request, release, item)

    return _take(request, release, unread(release, pk), answers.NOT_APPLICABLE, do)


@acts("waive", alone=True)
def item_waive(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    def do(item: Item, said: Said) -> HttpResponse:
        return _settled(request, release, ticking.waive(item, said["reason"], by=who(request), version=said["v"]))

    return _take(request, release, unread(release, pk), answers.WAIVE, do)


@acts("reopen", alone=True)
def item_reopen(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """Undo whatever state the item is in; after a GO this asks for the reason to take the GO back."""

    def do(item: Item, said: Said) -> HttpResponse:
        before = find_item(release, pk).state
        item = ticking.reopen(item, by=who(request), version=said["v"], reason=said["reason"], revoke=said["revoke"])
        again = url_of("item_done", item) if before == State.DONE else ""
        return accepted(request, release, item, f"{item.title} is open again", undo=again, to="done")

    return _take(request, release, unread(release, pk), answers.REOPEN, do)


@acts("add_evidence")
def item_evidence(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    def do(item: Item, said: Said) -> HttpResponse:
        item = ticking.add_evidence(item, ticking.Proof(**said["given"]), by=who(request)).item
        return accepted(request, release, item, f"Evidence added to {item.title}")

    return _take(request, release, find_item(release, pk), answers.EVIDENCE, do)


@acts("note")
def item_note(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    def do(item: Item, said: Said) -> HttpResponse:
        item.phase.release = ticking.write_note(release, said["text"], by=who(request), item=item).release
        return accepted(request, release, item, f"Note written on {item.title}")

    return _take(request, release, find_item(release, pk), answers.NOTE, do)


@acts("tick")
def item_watch_end(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """End the running watch with its verdict; a rollback leads to the rollback's page."""

    def do(item: Item, said: Said) -> HttpResponse:
        verdict = Verdict(said["verdict"])
        item = items.end_watch(item, verdict, by=who(request), note=said["note"])
        if verdict == Verdict.ROLLBACK:
            return to(request, f"{release.get_absolute_url()}rollback/")
        words = "is over: healthy" if verdict == Verdict.HEALTHY else "starts again, after the hotfix"
        return accepted(request, release, item, f"The watch of {item.title} {words}")

    return _take(request, release, find_item(release, pk), answers.WATCH, do)
