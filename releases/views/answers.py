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
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from relcoord.lib.htmx import HtmxRequest, is_partial, say
from relcoord.templatetags.ui import toasts
from releases import events, live, sheet, story
from releases.errors import Conflict, DomainError, EvidenceNeeded, ReasonNeeded, Refused
from releases.forms import items as item_forms
from releases.forms.items import ItemForm
from releases.models import Item, Release
from releases.sheet import Row
from releases.views import regions, rows
from releases.views.base import who
from releases.views.drawing import Drawing, csrf_field
from releases.views.frame import head_of
from releases.views.page import Page, page_context, row_context

SEEN = "X-Live-Token"  # the header in which a page says what it has seen
REGIONS = ("gate", "rail", "people", "activity", "notes")  # regions of the release page, named as in `releases.live`


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
    "proof",
    "item_done",
    item_forms.TickWithEvidenceForm,
    "Mark done with evidence",
    "Save and mark done",
    initial=(("to", "done"),),
)
REOPEN = Act("reopen", "item_reopen", item_forms.ReopenForm, "Open it again", "Open it again")
BLOCK = Act(
    "block",
    "item_block",
    item_forms.BlockForm,
    "Mark blocked",
    "Mark blocked",
    "The coordinator is told at once.",
)
NOT_APPLICABLE = Act(
    "not_applicable",
    "item_not_applicable",
    item_forms.NotApplicableForm,
    "Not applicable",
    "Mark not applicable",
    "Shown at the poll and in the record.",
)
WAIVE = Act(
    "waive",
    "item_waive",
    item_forms.WaiveForm,
    "Waive",
    "Waive it",
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
    more: dict[str, Any] = {"opened": opened, "notice": notice}
    if is_partial(request):
        answer = render(request, "releases/_item.html", row_context(request, release, pk) | more, status=status)
        answer["HX-Push-Url"] = "false"  # a boosted link of a row opens its form in the page; hx-push-url cannot say so
        return answer
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
    own = release.events.filter(object_type="item", object_id=str(pk))
    return [story.tell(event, release.zone) for event in own.order_by("-sequence")[:50]]


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
        opened: Asked | None = asked(release, item, PROOF, proof)
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


def accepted(request: HtmxRequest, before: Release, item: Item, words: str, **undo: Any) -> HttpResponse:
    """Done: back to the row for a form; the row and all that changed for htmx.

    `before` is the release as the request found it, `item` as the verb left it. `undo` is the address of the way
    back, other keywords its fields.
    """
    say(request, words, target=f"#{item.anchor}", undo=undo.pop("undo", ""), **({"v": item.version} | undo))
    if not is_partial(request):
        return HttpResponseRedirect(came_from(request, item.get_absolute_url()), status=303)
    return changed(request, before, item.release, item.pk)


def came_from(request: HtmxRequest, otherwise: str) -> str:
    """The page of this site named by the form's `next`, or `otherwise`."""
    there = request.POST.get("next", "")
    safe = there.startswith("/") and not there.startswith("//") and "\\" not in there
    return there if safe else otherwise


def changed(request: HtmxRequest, before: Release, release: Release, pk: int) -> HttpResponse:
    """What of the page changed since it was drawn: the row `pk` as the main part, the rest out of band.

    A page that does not say what it has seen gets what changed since `before`. Where all rows changed, the page is
    told to fetch its list, which it does not do over something typed.
    """
    if release.event_sequence - len(events.recorded(release)) == before.event_sequence:
        release.know_hold_of(before)  # every hold is an event, and there was none in between
    if release.coordinator_id == before.coordinator_id:
        release.coordinator = before.coordinator
    now = timezone.now()
    page = Page(head_of(sheet.load_lightly(release), now), who(request))
    seen = live.Token.read(request.headers.get(SEEN, ""))
    whole = (request.htmx.current_url_abs_path or "").split("?")[0] == release.get_absolute_url()
    since = seen or live.Token(before.event_sequence, now)
    names = live.changed(release, since, now, page.latest) if whole else []
    csrf = get_token(request)
    drawing = Drawing(page.head, page, csrf_field(csrf), oob=True)
    answer = HttpResponse("\n".join([*_drawn(drawing, page, names, pk), toasts(request, csrf)]))
    if "list" in names:
        answer["HX-Trigger-After-Settle"] = "live:list"
    if seen:
        answer["HX-Trigger"] = json.dumps({"live:token": str(live.token(release, now))})
    return answer


def _drawn(drawing: Drawing, page: Page, names: list[str], pk: int) -> Iterator[str]:
    """The row `pk`, the header, and out of band what `names` says."""
    row = page.row(pk)
    yield rows.whole(row, drawing.csrf)
    yield regions.draw(drawing, "head")
    for name in names:
        if name in REGIONS:
            yield regions.draw(drawing, name)
    sections = [section for section in page.sheet.sections if section.anchor in names]
    yield from (regions.count(drawing, section) for section in sections)
    for other in page.sheet.rows.values():
        if other is not row and other.item.anchor in names:
            yield rows.whole(other, drawing.csrf, oob=True)
    yield from (regions.say(section) for section in sections if section.moments is row.moments)
