"""What the dashboard repeats, as HTML put together in Python: template tags were most of what fifty rows cost.

Every word of people's goes through `escape`; addresses and the rest are our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from relcoord.models import User
from relcoord.templatetags.ui import clock_html, glyph, icon, role, state, when
from releases.asks import Ask
from releases.board import Entry
from releases.conflicts import Conflict
from releases.models import Release, Status
from releases.timeline import Band, Day, Lane, Timeline

NAMED = 4  # people a row names before it counts the rest


def row(entry: Entry, reader: User) -> SafeString:
    """A release in the table."""
    release = entry.release
    title, settled = escape(release.title), f"{release.settled_count} of {release.item_count}"  # type: ignore[attr-defined]
    css = "row is-stop" if release.status == Status.ROLLING_BACK else "row is-past" if release.is_final else "row"
    lock = f' {icon("lock", "sm")}<span class="vh">restricted</span>' if release.restricted else ""
    was = "was " if release.status == Status.NO_GO else ""
    return mark_safe(  # noqa: S308 - the parts are escaped where they are made
        f'<tr role="row" class="{css}">\n'
        f'<th role="rowheader" scope="row" class="full"><a href="{release.get_absolute_url()}">{title}</a>'
        f' <span class="key">{escape(release.key)}</span>{lock}</th>\n'
        f'<td role="cell" class="nowrap">{was}{when(release.t_zero, release.time_zone, short=True)}</td>\n'
        f'<td role="cell" class="nowrap"><b>{_clock(entry)}</b></td>\n'
        f'<td role="cell" class="full">{_stands(entry)}</td>\n'
        f'<td role="cell" class="nowrap"><progress max="{release.item_count}" value="{release.settled_count}"'  # type: ignore[attr-defined]
        f' aria-label="{title}: {settled} settled"></progress> {settled}</td>\n'
        f'<td role="cell">{_waiting(entry, reader)}</td>\n'
        f'<td role="cell" class="skip-sm muted">{escape(release.coordinator.name)}</td>\n</tr>\n'
    )


def _clock(entry: Entry) -> str:
    release = entry.release
    if release.is_final:
        return release.get_status_display()
    if release.clock_stopped:
        return "HOLD" if release.open_hold else "NO-GO"
    return clock_html(release.t_zero, entry.now)


def _stands(entry: Entry) -> str:
    release = entry.release
    if release.is_final:
        return when(release.ended_at, release.time_zone, short=True)
    if release.status == Status.NO_GO:
        return "Not rescheduled"
    shape, words = entry.words
    if shape:
        return state(shape, words)
    if words:
        return escape(words)
    following = entry.next_phase
    return f"Opens {when(following.opens_at, release.time_zone, short=True)}" if following else ""


def _waiting(entry: Entry, reader: User) -> str:
    waiting = entry.waiting_on
    if not waiting:
        nobody = '<span class="muted" aria-hidden="true">–</span><span class="vh">nobody</span>'
        return "" if entry.release.is_final else nobody
    named = [
        f"{escape(person.get_short_name())}{' (you)' if person == reader else ''}{f' {number}' if number > 1 else ''}"
        for person, number in waiting[:NAMED]
    ]
    more = f' <span class="muted">and {len(waiting) - NAMED} more</span>' if len(waiting) > NAMED else ""
    return f'<span class="phone-only muted">Waiting on </span>{", ".join(named)}{more}'


def ask(one: Ask, now: datetime) -> SafeString:
    """One thing that needs the reader."""
    if one.since:
        clock: str = clock_html(one.since, now, "elapsed")
    else:
        clock = one.face or clock_html(one.release.t_zero, now)
    return mark_safe(  # noqa: S308 - as above
        f'<li class="row-ask">{glyph(one.state, "lg")}<div>'
        f'<a class="row-title" href="{one.url}">{escape(one.title)}</a>'
        f'<p class="row-note">{escape(one.note)}</p></div><span class="clock2">{clock}</span>'
        f'<a class="btn{" primary" if one.primary else ""}" href="{one.url}">{one.button}'
        f'<span class="vh">, {escape(one.release.key)}</span></a></li>\n'
    )


def clash(one: Conflict) -> SafeString:
    """Two releases that get in each other's way."""
    return mark_safe(  # noqa: S308 - as above
        f'<p class="notice risk clash">{glyph("risk")}<span><b>{_link(one.first)} and {_link(one.second)}:</b>'
        f" {escape(one.sentence)}</span></p>\n"
    )


def _link(release: Release) -> str:
    return f'<a href="{release.get_absolute_url()}">{escape(release.title)}</a>'


# The picture of fourteen days


def names(lanes: Sequence[Lane]) -> SafeString:
    """What stands before the lanes."""
    found = [
        f'<li><a href="{lane.release.get_absolute_url()}"><b>{escape(lane.release.key)}</b>'
        f" {escape(lane.release.title)}</a></li>"
        for lane in lanes
    ]
    return mark_safe("".join(found))  # noqa: S308 - as above


def drawn(picture: Timeline) -> SafeString:
    """Days, hours and lanes, as SVG."""
    parts = [_day(day) for day in picture.days]
    parts += [f'<text class="hr" x="{x}" y="37" text-anchor="middle">{hour}</text>' for x, hour in picture.hours]
    parts += [_lane(lane) for lane in picture.lanes]
    return mark_safe("\n".join(parts))  # noqa: S308 - as above


def _day(day: Day) -> str:
    behind, on = "", ""
    if day.today:
        on = ' class="on"'
        behind = f'<rect class="today" x="{day.x}" width="{day.width}" height="100%"/>'
    elif day.weekend:
        behind = f'<rect class="we" x="{day.x}" width="{day.width}" height="100%"/>'
    return (
        f'{behind}<line class="day" x1="{day.x}" x2="{day.x}" y2="100%"/><text x="{day.middle}" y="19"'
        f' text-anchor="middle"{on}>{day.words}</text>'
    )


def _lane(lane: Lane) -> str:
    bands = "".join(_band(lane, band) for band in lane.bands)
    gate = _at(lane.gate_x, lane, '<path class="b-go" d="M0-8 8 0 0 8-8 0z"/>') if lane.gate_x else ""
    flag = ""
    if lane.flag or lane.clash:
        shape = role(lane.release.status) if lane.flag else "risk"
        flag = _at(lane.flag_x, lane, f'<text class="t-{shape}" x="8" y="4">{lane.flag or "clash"}</text>')
    return f'<g><line class="lane" x2="100%" y1="{lane.y}" y2="{lane.y}"/>{bands}{gate}{flag}</g>'


def _band(lane: Lane, band: Band) -> str:
    return (
        f'<rect class="{band.css}" x="{band.x}" width="{band.width}" y="{band.y}" height="{band.height}">'
        f"<title>{escape(lane.release.key)}: {escape(band.words)}</title></rect>"
    )


def _at(x: str, lane: Lane, shape: str) -> str:
    return f'<svg x="{x}" y="{lane.middle}" overflow="visible">{shape}</svg>'
