"""The parts of a release's pages that change while people look, as HTML put together in Python.

They are named as in `releases.live`: a page draws each once, an answer to a tick draws most of them again out of band,
and template tags were most of what both cost. Every word of people's goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING

from django.utils.safestring import SafeString, mark_safe

from checklists.blueprints import Stage
from relcoord.lib import markup
from relcoord.templatetags.ui import clock_html, glyph, icon, initials, once
from releases import story
from releases.models import Release, Status
from releases.views import header, rows
from releases.views.drawing import Drawing, only_if, shown, url

if TYPE_CHECKING:
    from releases.sheet import Row, Section
    from releases.views.cards import Button, Hold, Holder
    from releases.views.page import Page

RAIL = ' class="rail-box" aria-label="Phases"'


# The phases


def rail(drawing: Drawing) -> str:
    sheet = drawing.page.sheet
    count, current = len(sheet.sections), sheet.current
    now = ""
    if current:
        words = f"Phase {current.number} of {count}: {escape(current.phase_name)}"
        now = f'<p class="rail-now sm"><b>{words}</b>, {current.settled} of {current.total}</p>'
    steps = "".join(_step(drawing.release, section) for section in sheet.sections)
    return (
        f"{drawing.opening('nav', 'rail', RAIL)}\n"
        f'  <ol class="rail" data-count="{count}">{steps}\n  </ol>\n  {now}\n</nav>\n'
    )


def _step(release: Release, section: Section) -> str:
    clock, more = "", ""
    step = only_if(section.is_current, ' aria-current="step"')
    if section.clock_at is not None and not release.clock_stopped and not release.is_final:
        path = '<path class="now" d="M-5-9h10L0-1zM-.75-2h1.5V9h-1.5z"/>'
        clock = f'<svg x="{section.clock_at}%" overflow="visible">{path}</svg>'
    if section.blocked:
        more = f" · {section.blocked} blocked"
    elif section.late:
        more = f" · {section.late} late"
    elif section.settled < section.total and not release.is_final and release.status != Status.ROLLING_BACK:
        more = f" · {opens(release, section)}"
    return (
        f'\n    <li><a href="#{section.anchor}"{step}>'
        f'<span class="name">{glyph(section.state)}<span>{escape(section.phase_name)}</span></span>'
        f'<svg class="meter go" aria-hidden="true"><rect class="track" width="100%" height="8"/>'
        f'<rect class="fill" width="{section.share}%" height="8"/>{clock}</svg>'
        f'<span class="say"><b>{section.settled} of {section.total}</b>{more}</span></a></li>'
    )


def opens(release: Release, section: Section) -> str:
    """When a phase opens or is due, or what it waits for."""
    moments = section.moments
    if (section.settled == section.total and section.total) or release.is_final:
        return ""
    if release.status == Status.ROLLING_BACK:
        return ""
    if section.opens_later:
        return f"opens {shown(release, moments.opens_at)}"
    if section.is_locked:
        return "locked until the start" if moments.phase.stage == Stage.PRODUCTION else "after the deployment"
    if moments.due_at:
        return f"{'due' if moments.due_at > section.now else 'was due'} {shown(release, moments.due_at)}"
    return "after the deployment" if moments.phase.stage == Stage.POST_DEPLOYMENT else ""


def count(drawing: Drawing, section: Section) -> str:
    """How much of a phase is settled, beside its name."""
    name, settled, total = escape(section.phase_name), section.settled, section.total
    oob = only_if(drawing.oob, ' hx-swap-oob="true"')
    return (
        f'<span class="end" id="{section.anchor}-count"{oob}'
        f' hx-get="{url("part", drawing.release.key, section.anchor)}"'
        f' hx-trigger="live:{section.anchor} from:body delay:200ms" hx-swap="outerHTML">'
        f'<progress max="{total or 1}" value="{settled}" aria-label="{name}: {settled} of {total}"></progress>'
        f" {settled} of {total}</span>"
    )


def say(section: Section) -> str:
    """The same for a screen reader, after a tick."""
    words = f"{escape(section.phase_name)}: {section.settled} of {section.total} settled"
    return f'<p class="vh" id="say" role="status" hx-swap-oob="true">{words}</p>'


def phases(drawing: Drawing) -> str:
    """Every phase with its rows."""
    sections = drawing.page.sections
    found = "".join(_phase(drawing, section) for section in sections)
    found = found or '<div class="panel blank"><p>This checklist has no phases.</p></div>'
    top = drawing.opening("div", "list", ' class="stack"', "outerHTML show:none")
    return f"{top}\n{found}\n</div>\n"


def _phase(drawing: Drawing, section: Section) -> str:
    note = section.moments.phase.note
    said = f'<div class="md sm phase-note">{markup.render(note)}</div>' if note else ""
    return (
        f'<details class="panel phase" id="{section.anchor}"{only_if(section.unfolded, " open")}>\n'
        f"  <summary>{icon('down', 'fold')}<h2>{escape(section.phase_name)}</h2>"
        f'<span class="sm muted when">{opens(drawing.release, section)}</span>{count(drawing, section)}</summary>\n'
        f'  {said}\n  <ol class="rows">{"".join(_rows(drawing, section))}</ol>\n</details>\n'
    )


def _rows(drawing: Drawing, section: Section) -> Iterable[str]:
    """The rows, each group under its name."""
    group = ""
    for row in section.rows:
        if row.item.group and row.item.group != group:
            group = row.item.group
            yield f'<li class="group"><h3>{escape(group)}</h3></li>'
        yield rows.whole(row, drawing.csrf)
    if not section.rows:
        add = f"{url('item_add', drawing.release.key)}?phase={section.moments.phase.pk}"
        link = f' <a href="{add}">Add one</a>' if drawing.page.leads else ""
        yield f'<li class="blank"><p>{escape(section.phase_name)} has no items.{link}</p></li>'


# The gate


def gate(drawing: Drawing) -> str:
    card = drawing.page.card
    attributes = f' class="panel gate {card.state}" aria-labelledby="gate-h"'
    note = f'<p class="gate-note">{escape(card.note)}</p>' if card.note else ""
    more = (
        f'<li class="more"><span></span><span></span><span class="muted">and {card.more} more</span><span></span></li>'
    )
    held = "".join(_hold(drawing, hold) for hold in card.holds)
    listed = f'<ul class="holds">{held}\n      {only_if(card.more, more)}\n    </ul>' if held else ""
    buttons = "".join(_button(drawing, button) for button in card.buttons)
    line = f'<div class="line">{buttons}</div>' if buttons else ""
    body = f'<div class="body">\n    {note}\n    {listed}\n    {line}\n  </div>' if note or held or buttons else ""
    return (
        f"{drawing.opening('section', 'gate', attributes)}\n"
        f'  <header><h2 class="verdict" id="gate-h">{icon(card.state)}<span>{escape(card.verdict)}</span></h2>'
        f"</header>\n"
        f"  {body}\n</section>\n"
    )


def _hold(drawing: Drawing, hold: Hold) -> str:
    what = escape(hold.what)
    if hold.url:
        what = f'<a class="row-title" href="{escape(hold.url)}">{what}</a>'
    else:
        what = f'<span class="row-title">{what}</span>'
    return (
        f"\n      <li>{glyph(hold.state)}<b>{escape(hold.who)}</b>{what}"
        f"<span>{_since(drawing, hold.state, hold.row)}</span></li>"
    )


def _since(drawing: Drawing, word: str, row: Row | None) -> str:
    """Since when what holds the gate does, or when it is due."""
    if row is None:
        return ""
    now, due = drawing.head.now, row.due_at
    if word == "blocked":
        return f"blocked {clock_html(row.item.state_at, now, 'ago')}"
    if word == "late":
        return f"late {clock_html(due, now, 'ago')}"
    if not due or word == "watching":
        return ""
    return f"due in {clock_html(due, now, 'left')}" if word == "due_soon" else f"due {shown(drawing.release, due)}"


def _button(drawing: Drawing, button: Button) -> str:
    words, to = escape(button.words), escape(button.url)
    if button.confirm:
        return (
            f'<form method="post" action="{to}">{drawing.csrf}{once()}<button class="btn primary" id="gate-verb"'
            f' data-confirm="{escape(button.confirm)}">{words}</button></form>'
        )
    return f'<a class="btn{only_if(button.primary, " primary")}" href="{to}">{words}</a>'


# Beside the checklist


def people(drawing: Drawing) -> str:
    listed = "".join(_holder(entry) for entry in drawing.page.team)
    return (
        f'{drawing.opening("section", "people")}<h2>People</h2>\n  <ul class="people">{listed}\n  </ul>\n</section>\n'
    )


def _holder(entry: Holder) -> str:
    role = escape(entry.role.name)
    if not entry.people:
        words = f'<span class="muted">nobody yet</span><small>{role}{only_if(not entry.required, ", optional")}</small>'
        return f'\n    <li><span class="who" aria-hidden="true">–</span><div>{words}</div></li>'
    end, duty = "", escape(entry.responsibility or entry.role.responsibility)
    for number, word in ((entry.blocked, "blocked"), (entry.late, "late"), (entry.open, "open")):
        if number:
            end = f'<span class="end">{number} {word}</span>'
            break
    return "".join(
        f'\n    <li><span class="who" aria-hidden="true">{escape(initials(person))}</span><div>{escape(person.name)}'
        f'<details class="duty" id="duty-{entry.role.pk}-{person.pk}"><summary><small>{role}</small></summary>'
        f"<small>{duty}</small></details></div>{end}</li>"
        for person in entry.people
    )


def activity(drawing: Drawing) -> str:
    release = drawing.release
    told = (story.tell(event, release.zone) for event in drawing.page.latest)
    listed = "".join(
        f"<li>{shown(release, one.event.at)}<span><b>{escape(one.event.actor)}</b> {escape(one.what)}</span></li>"
        for one in told
    )
    every = f'<a href="{url("events", release.key)}">All {release.event_sequence} events</a>'
    return (
        f'{drawing.opening("section", "activity")}<h2>Activity</h2>\n  <ol class="feed">{listed}</ol>\n'
        f'  <p class="sm">{every}</p>\n</section>\n'
    )


def notes(drawing: Drawing) -> str:
    release, page = drawing.release, drawing.page
    found = "".join(
        f'<div class="note sm"><p class="meta"><b>{escape(note.by.name)}</b> {shown(release, note.at)}</p>'
        f'<div class="md">{markup.render(note.text)}</div></div>'
        for note in page.notes
    )
    own = f'<div class="md sm">{markup.render(release.notes)}</div>' if release.notes else ""
    end = _write_a_note(drawing) if page.may_note else "" if own or found else '<p class="sm muted">None yet.</p>'
    return f"{drawing.opening('section', 'notes')}<h2>Notes</h2>\n  {own}\n  {found}\n  {end}\n</section>\n"


def _write_a_note(drawing: Drawing) -> str:
    to, error = url("note", drawing.release.key), ""
    if drawing.note_error:
        error = f'<p class="error">{icon("stop")}{escape(drawing.note_error)}</p>'
    return (
        f'<details class="add" id="add-note"><summary class="btn quiet">{icon("note")}Write a note</summary>'
        f'<form class="stack form act-form" method="post" action="{to}" hx-post="{to}" hx-target="#notes"'
        f' hx-swap="outerHTML" hx-sync="this:drop">{drawing.csrf}{once()}<div class="field"><label for="note-text">'
        f'Note on the release</label><textarea class="input" id="note-text" name="text" rows="3" maxlength="10000"'
        f' required></textarea>{error}</div><button class="btn primary">Write the note</button></form></details>'
    )


def links(page: Page) -> SafeString:
    """What else can be done, by those who may."""
    key = page.release.key
    text, found = url("status_text", key), [("calendar", "cal", "Add to calendar")]
    if page.leads:
        found += [("item_add", "plus", "Add an item"), ("items_give", "people", "Give items to a role")]
        found += [("schedule", "cal", "Reschedule, hold, cancel")]
    if page.may_edit:
        found += [("edit", "edit", "Edit the release")]
    listed = "".join(
        f'\n  <li><a class="ev" href="{url(name, key)}">{icon(shape)}{words}</a></li>' for name, shape, words in found
    )
    status = (
        f'<details id="status"><summary class="ev">{icon("copy")}Status as text</summary><pre class="status-text"'
        f' id="status-text" hx-get="{text}" hx-trigger="toggle from:closest details once" hx-swap="textContent"></pre>'
        f'<p class="line"><button class="btn" type="button" data-copy="#status-text" hidden>Copy</button>'
        f'<a href="{text}">Open it alone</a></p></details>'
    )
    return mark_safe(  # noqa: S308 - nothing of people's is in it
        f'<section class="no-print"><h2>Do</h2><ul class="links sm">\n  <li>{status}</li>{listed}\n</ul></section>'
    )


DRAWN: dict[str, Callable[[Drawing], str]] = {
    "head": header.header,
    "rail": rail,
    "gate": gate,
    "list": phases,
    "people": people,
    "activity": activity,
    "notes": notes,
}


def draw(drawing: Drawing, name: str) -> SafeString:
    """The region `name`. KeyError if there is none."""
    return mark_safe(DRAWN[name](drawing))  # noqa: S308 - the parts are escaped where they are made
