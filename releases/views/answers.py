"""How a page of items answers: the row, what changed with it, the form that is asked for, the redirect.

Plain first: every answer has a page behind it. For htmx the same markup comes as the row and, out of band, the parts
of the page that changed since the token the page had seen (`X-Live-Token`); the new token comes with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from relcoord.lib.htmx import HtmxRequest, is_partial, say
from releases import live, story
from releases.errors import Conflict, DomainError, EvidenceNeeded, ReasonNeeded, Refused
from releases.forms import items as item_forms
from releases.forms.items import ItemForm
from releases.models import Item, Release
from releases.sheet import Row
from releases.views.page import page_context, row_context

SEEN = "X-Live-Token"  # the header in which a page says what it has seen
REGIONS = ("gate", "rail", "people", "activity", "notes")  # partials of release.html, named as in `releases.live`


@dataclass(frozen=True)
class Act:
    """One thing people do to an item by a form: its address and words."""

    name: str
    url_name: str
    form_class: type[ItemForm]
    title: str
    submit: str
    lead: str = ""
    initial: tuple[tuple[str, str], ...] = ()

    @property
    def has_fields(self) -> bool:
        """Is there something to fill in, beyond pressing the button?"""
        return self.name != "done"

    def fresh(self, item: Item, **initial: Any) -> ItemForm:
        """The form as it is first shown for `item`."""
        given = {"v": item.version} | dict(self.initial) | initial
        return self.form_class(initial=given, auto_id=f"{self.name}-{item.pk}-%s")


DONE = Act("done", "item_done", item_forms.TickForm, "Mark done", "Mark done", initial=(("to", "done"),))
PROOF = Act(
    "proof", "item_done", item_forms.TickWithEvidenceForm, "Mark done with evidence", "Save and mark done",
    initial=(("to", "done"),),
)
REOPEN = Act("reopen", "item_reopen", item_forms.ReopenForm, "Open it again", "Open it again")
BLOCK = Act(
    "block", "item_block", item_forms.BlockForm, "Mark blocked", "Mark blocked", "The coordinator is told at once.",
)
NOT_APPLICABLE = Act(
    "not_applicable", "item_not_applicable", item_forms.NotApplicableForm, "Not applicable", "Mark not applicable",
    "Shown at the poll and in the record.",
)
WAIVE = Act(
    "waive", "item_waive", item_forms.WaiveForm, "Waive", "Waive it",
    "It is left out, this release only. Shown at the poll and in the record.",
)
EVIDENCE = Act("evidence", "item_evidence", item_forms.EvidenceForm, "Add evidence", "Add evidence")
NOTE = Act("note", "item_note", item_forms.NoteForm, "Write a note", "Write the note")
WATCH = Act("watch", "item_watch_end", item_forms.VerdictForm, "End the watch", "Record the verdict")

ACTS = {act.name: act for act in (DONE, PROOF, REOPEN, BLOCK, NOT_APPLICABLE, WAIVE, EVIDENCE, NOTE, WATCH)}


@dataclass(frozen=True)
class Asked:
    """A form standing open: in its row, or on the item's page."""

    act: Act
    form: ItemForm
    url: str
    consequence: str = ""


def asked(release: Release, item: Item, act: Act, form: ItemForm | None = None, consequence: str = "") -> Asked:
    """`act` on `item` with its form open, fresh unless `form` is given."""
    if form is not None:
        form.auto_id = f"{act.name}-{item.pk}-%s"
    url = reverse(f"releases:{act.url_name}", args=[release.key, item.pk])
    return Asked(act, form or act.fresh(item), url, consequence)


# Showing


def show(
    request: HtmxRequest,
    release: Release,
    pk: int,
    *,
    opened: Asked | None = None,
    notice: tuple[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The item, as its row for htmx and as its own page otherwise. `notice` is a state and its sentence."""
    release.forget()
    more = {"opened": opened, "notice": notice}
    if is_partial(request):
        return render(request, "releases/_item.html", row_context(request, release, pk) | more, status=status)
    context = page_context(request, release)
    row = context["page"].row(pk)
    more |= {"row": row, "forms": list(_forms(row, opened)), "told": _told(release, pk)}
    return render(request, "releases/item.html", context | more, status=status)


def _forms(row: Row, opened: Asked | None) -> Iterator[Asked]:
    """Every form the reader may use on this item now, that which was refused in its place."""
    names = [choice.name for choice in row.choices if choice.name in ACTS]
    if row.ticks == "done":
        names.insert(0, "proof" if row.item.evidence_wanted and not row.item.evidence.all() else "done")
    if row.watch and row.may("tick"):
        names.insert(0, "watch")
    for name in names:
        if opened is None or opened.act.name != name:
            yield asked(row.release, row.item, ACTS[name])


def _told(release: Release, pk: int) -> list[story.Told]:
    """The item's own history, the newest first."""
    events = release.events.filter(object_type="item", object_id=str(pk))  # type: ignore[attr-defined]
    return [story.tell(event, release.zone) for event in events.order_by("-sequence")[:50]]


# Acting


def attempt(
    request: HtmxRequest, release: Release, item: Item, act: Act, form: ItemForm, carry_out: Callable[[], HttpResponse]
) -> HttpResponse:
    """Carry out an act whose form is in order, and turn what the rules say against it into an answer."""
    try:
        return carry_out()
    except Conflict as conflict:
        return show(request, release, item.pk, notice=("active", f"{conflict}. You changed nothing"), status=409)
    except EvidenceNeeded as needed:
        proof = PROOF.fresh(item, to="done", v=form.cleaned_data["v"], reason=form.cleaned_data.get("reason", ""))
        opened = asked(release, item, PROOF, proof)
        return show(request, release, item.pk, opened=opened, notice=("risk", str(needed)), status=422)
    except ReasonNeeded as needed:
        return _ask_reason(request, release, item, act, form, needed)
    except Refused as refusal:
        if not is_partial(request):
            raise
        return show(request, release, item.pk, notice=("locked", str(refusal)), status=403)
    except DomainError as refusal:
        opened = asked(release, item, act, form) if act.has_fields else None
        return show(request, release, item.pk, opened=opened, notice=("stop", str(refusal)), status=422)


def _ask_reason(
    request: HtmxRequest, release: Release, item: Item, act: Act, form: ItemForm, needed: ReasonNeeded
) -> HttpResponse:
    """The form again, with the reason to be given and what the act would mean."""
    if isinstance(form, item_forms.TickForm | item_forms.TickWithEvidenceForm) and form.cleaned_data["to"] == "done":
        form.ask_for_reason()
    else:
        form.ask_to_revoke()
    opened = asked(release, item, act, form, needed.consequence)
    return show(request, release, item.pk, opened=opened, notice=("risk", str(needed)), status=422)


def accepted(request: HtmxRequest, release: Release, item: Item, words: str, **undo: Any) -> HttpResponse:
    """Done: back to the row for a form; the row and all that changed for htmx.

    `release` is as it was before the act. `undo` is the address of the way back, other keywords its fields.
    """
    say(request, words, target=f"#{item.anchor}", **{"undo": "", "v": item.version} | undo)
    if not is_partial(request):
        return HttpResponseRedirect(came_from(request, item.get_absolute_url()), status=303)
    return changed(request, release, item.pk)


def came_from(request: HtmxRequest, otherwise: str) -> str:
    """The page of this site named by the form's `next`, or `otherwise`."""
    there = request.POST.get("next", "")
    safe = there.startswith("/") and not there.startswith("//") and "\\" not in there
    return there if safe else otherwise


def changed(request: HtmxRequest, before: Release, pk: int | None = None) -> HttpResponse:
    """What of the page changed since it was drawn: the row `pk` as the main part, the rest out of band.

    A page that does not say what it has seen gets what changed since `before`.
    """
    release = Release.objects.select_related("coordinator").get(pk=before.pk)
    context = page_context(request, release)
    now, page = context["now"], context["page"]
    seen = live.Token.read(request.headers.get(SEEN, ""))
    names = live.changed(release, seen or live.Token(before.event_sequence, now), now)
    here = (request.htmx.current_url_abs_path or "").split("?")[0]
    whole = here == release.get_absolute_url()
    if whole and "list" in names:
        parts = [_part(request, "releases/release.html#list", context)]
    else:
        parts = [_part(request, "releases/_item.html", context | {"row": page.row(pk)})] if pk else []
    parts += _out_of_band(request, context, names, pk, whole=whole)
    parts.append(_part(request, "partials/_messages.html", {}))
    answer = HttpResponse(mark_safe("\n".join(parts)))  # noqa: S308 - each part was rendered by a template
    if whole and "list" in names:
        answer["HX-Retarget"], answer["HX-Reswap"] = "#list", "outerHTML"
    if seen:
        answer["HX-Trigger"] = json.dumps({"live:token": str(live.token(release, now))})
    return answer


def _out_of_band(
    request: HtmxRequest, context: dict[str, Any], names: list[str], pk: int | None, *, whole: bool
) -> Iterator[SafeString]:
    oob = context | {"oob": True}
    yield _part(request, "releases/_release.html#head", oob)
    if not whole:
        return
    page = context["page"]
    for name in names:
        kind, _, number = name.partition("-")
        if name in REGIONS:
            yield _part(request, f"releases/release.html#{name}", oob)
        elif kind == "phase":
            section = next(section for section in page.sheet.sections if section.anchor == name)
            yield _part(request, "releases/release.html#count", oob | {"section": section})
            if pk is not None and page.row(pk).moments.phase.anchor == name:
                yield _part(request, "releases/release.html#say", oob | {"section": section})
        elif kind == "item" and int(number) != pk and int(number) in page.sheet.rows:
            yield _part(request, "releases/_item.html", oob | {"row": page.row(int(number))})


def _part(request: HtmxRequest, template: str, context: dict[str, Any]) -> SafeString:
    return render_to_string(template, context, request)
