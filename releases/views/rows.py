"""An item's row as HTML, put together in Python: a page has dozens, and template tags were most of what it cost.

`whole` is a row as it stands in a list. `opening` is the row up to where a notice or an open form may stand, `closing`
the rest; `releases/_item.html` draws what is between. Every word of people's goes through `escape`.
"""

from __future__ import annotations

from html import escape

from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from checklists.blueprints import Kind
from relcoord.templatetags.ui import clock_html, glyph, icon, tag, when
from releases.models import Evidence, State
from releases.sheet import Row

NO_LONGER_THAN = 40  # characters of an evidence's label


def whole(row: Row, csrf: str, *, oob: bool = False) -> str:
    """The row with nothing open in it."""
    return f"{opening(row, csrf, oob=oob)}{verdict(row)}</div>\n{closing(row)}\n"


def verdict(row: Row) -> SafeString:
    """The way to end a running watch, for those who may."""
    if not row.ends_watch:
        return SafeString("")
    to = f"{row.url}?form=watch"
    return mark_safe(  # noqa: S308 - the parts are escaped where they are made
        f'<p class="line"><a class="btn" href="{to}" hx-get="{to}">Record the verdict</a></p>'
    )


def opening(row: Row, csrf: str, *, oob: bool = False, conflict: bool = False) -> SafeString:
    """`csrf` is the hidden field of the forms."""
    pk = row.item.pk
    classes = "row is-conflict" if conflict else "row"
    swap = ' hx-swap-oob="true"' if oob else ""
    return mark_safe(  # noqa: S308 - as above
        f'<li class="{classes}" id="item-{pk}" data-state="{row.look}"{swap} hx-get="{row.url}"'
        f' hx-trigger="live:item-{pk} from:body" hx-target="this">\n{_tick(row, csrf)}'
        f'<div class="row-main">{_title(row)}{_guidance(row)}{_note(row)}\n{_act(row, csrf)}'
    )


def closing(row: Row) -> SafeString:
    return mark_safe(  # noqa: S308 - as above
        f'<div class="row-side">{_proofs(row)}<span class="by">{_by(row)}</span>'
        f'<span class="at">{_at(row)}</span></div>\n'
        f"{_menu(row)}</li>"
    )


def _tick(row: Row, csrf: str) -> str:
    """The row's own button, or the state's shape where there is none."""
    item = row.item
    if not row.ticks:
        words = f"{item.get_state_display()}{', locked' if row.state == 'locked' else ''}"
        return f'<span class="tick">{glyph(row.state)}<span class="vh">{words}:</span></span>\n'
    whom = f" for {escape(row.for_whom)}" if row.for_whom else ""
    return (
        f'<form method="post" action="{row.url}done/" hx-post="{row.url}done/" hx-sync="this:drop">{csrf}'
        f'<input type="hidden" name="v" value="{item.version}"><button class="tick" id="tick-{item.pk}" name="to"'
        f' value="{row.ticks}" aria-pressed="{"true" if item.is_done else "false"}" data-key="x">{glyph(row.state)}'
        f'<span class="vh">Done{whom}: {escape(item.title)}</span></button></form>\n'
    )


def _title(row: Row) -> str:
    item, hint = row.item, ""
    if not item.settled:
        if not item.required:
            hint = "optional"
        elif item.condition:
            hint = escape(item.condition)
        elif item.kind == Kind.SIGN_OFF:
            hint = "sign-off, in person"
    words = f'<a class="row-title" href="{row.url}">{escape(item.title)}</a>'
    return f'{words} <span class="hint">{hint}</span>' if hint else words


def _guidance(row: Row) -> str:
    if not row.item.guidance or row.item.settled:
        return ""
    return (
        f'<details id="guide-{row.item.pk}" hx-get="{row.url}?guide" hx-trigger="toggle once" hx-target="find p">'
        f'<summary>how</summary><p><a href="{row.url}">Read how</a></p></details>'
    )


def _note(row: Row) -> str:
    """Why the item stands as it does, in a sentence."""
    item, words = row.item, ""
    if item.state_reason or item.state_for:
        if item.state_for:
            words = f"<b>For {escape(item.state_for)}</b>"
        elif item.state != State.OPEN:
            state = item.get_state_display()
            words = f"<b>{state[:1].upper()}{state[1:]}</b>"
        words += f": {escape(item.state_reason)}" if item.state_reason else ""
    elif item.kind == Kind.COMPUTED and not item.settled:
        words = "Follows from the earlier phases; nobody ticks it"
    elif item.kind == Kind.ACKNOWLEDGE and row.ticks == "done":
        words = f"{escape(row.for_whom)} says in person: " if row.for_whom else ""
        words += "“I am aware and available”"
    return f'<p class="row-note">{words}</p>' if words else ""


def _act(row: Row, csrf: str) -> str:
    """What some kinds show or offer beside a tick: the watch, the closing, the decision."""
    item, url = row.item, row.url
    if row.watch:
        return _watch(row)
    button = f'<button class="btn" id="tick-{item.pk}" name="to" value="done"'
    if row.starts_watch:
        return (
            f'<form class="line" method="post" action="{url}done/" hx-post="{url}done/" hx-sync="this:drop">{csrf}'
            f'<input type="hidden" name="v" value="{item.version}">{button} data-key="x">Start the watch</button>'
            f'<span class="hint">{item.watch_min} to {item.watch_max} minutes</span></form>\n'
        )
    if row.closes:
        words = f'{button} data-confirm="Yes, close it">Close the release</button>'
        return f'<form class="line" method="post" action="{url}done/">{csrf}{words}</form>\n'
    if item.kind == Kind.DECISION and not item.settled and not item.is_locked:
        room = reverse("releases:decision", args=[row.release.key])
        return f'<p class="row-note"><a href="{room}">Open the decision room</a></p>'
    return ""


def _watch(row: Row) -> str:
    item, watch, now = row.item, row.watch, row.now
    if watch is None:
        return ""
    span = f"{item.watch_min} to {item.watch_max}" if item.watch_max > item.watch_min else f"{item.watch_min}"
    news = ""
    if watch.may_end_at > now:
        news = f", healthy possible in {clock_html(watch.may_end_at, now, 'left')}"
    elif watch.asks_at <= now:
        news = ", <b>the verdict is asked for</b>"
    return (
        f'<p class="watch" id="watch-{item.pk}"><progress max="{item.watch_max or item.watch_min}"'
        f' value="{row.watched}" aria-label="Watched, in minutes"></progress>'
        f" <b>{clock_html(watch.started_at, now, 'elapsed')}</b> of {span} min{news}</p>\n"
    )


def _proofs(row: Row) -> str:
    notes = len(row.notes)
    if not (row.evidence or notes):
        return ""
    found = [_proof(row, proof) for proof in row.evidence]
    if notes:
        words = f"{notes} note{'' if notes == 1 else 's'}"
        found.append(f'<a class="ev" href="{row.url}#notes">{icon("note")}{words}</a>')
    return f'<span class="evs">{"".join(found)}</span>'


def _proof(row: Row, proof: Evidence) -> str:
    commit = f" at {escape(proof.commit[:7])}" if proof.commit else ""
    label = escape(truncatechars(proof.label, NO_LONGER_THAN))
    if proof.url:
        to = f'href="{escape(proof.url)}" rel="noopener noreferrer"'
        return f'<a class="ev" {to}>{icon("link")}{label}{commit}</a>'
    return f'<a class="ev" href="{row.url}#evidence">{icon("doc")}{label}{commit}</a>'


def _by(row: Row) -> str:
    """Who settled it, or who holds it."""
    item = row.item
    if item.settled and item.state_by:
        return escape(item.state_by.name)
    if item.kind == Kind.COMPUTED:
        return "computed"
    if not row.holders:
        return f"{escape(str(item.role))}: nobody"
    names = ", ".join(escape(person.name) for person in row.holders[:2])
    return f"{names} +{len(row.holders) - 2}" if len(row.holders) > 2 else names


def _at(row: Row) -> str:
    """When it was settled or is due, in the words of its state."""
    item, zone, now = row.item, row.release.time_zone, row.now
    if item.settled:
        return when(item.state_at, zone, short=True)
    if row.state == "blocked":
        return f'<span class="tag stop">{glyph("blocked")}blocked {clock_html(item.state_at, now, "ago")}</span>'
    if row.state == "late":
        return f'<span class="tag risk">{glyph("late")}late {clock_html(row.due_at, now, "ago")}</span>'
    if row.state == "due_soon":
        return f'<span class="tag risk">{glyph("due_soon")}due in {clock_html(row.due_at, now, "left")}</span>'
    if row.state == "watching":
        return tag("watching", "watching")
    if row.state == "locked":
        return row.locked_because
    if item.kind == Kind.DECISION:
        return "by decision"
    return f"due {when(row.due_at, zone, short=True)}" if row.due_at else ""


def _menu(row: Row) -> str:
    if row.item.is_locked or not row.choices:
        return ""
    links = []
    for choice in row.choices:
        to = 'edit/" hx-boost="false"' if choice.name == "edit" else f'?form={choice.name}"'
        key, shown = (f' data-key="{choice.key}"', f"<kbd>{choice.key}</kbd>") if choice.key else ("", "")
        links.append(f'<a href="{row.url}{to}{key}>{choice.words}{shown}</a>')
    return (
        f'<details class="menu row-menu"><summary data-key="." aria-label="More for {escape(row.item.title)}">•••'
        f'</summary><div hx-boost="true">{"".join(links)}</div></details>\n'
    )
