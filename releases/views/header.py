"""The countdown header of every page of a release and the tabs under it, as HTML put together in Python."""

from __future__ import annotations

from html import escape

from django.template.defaultfilters import truncatechars
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from relcoord.templatetags.ui import SHAPES, clock_html, local, state, when
from releases.models import Release, Status
from releases.views.drawing import Drawing, only_if, shown, url
from releases.views.frame import Head

SAID = (
    Status.NO_GO,
    Status.CLEARED,
    Status.POLLING,
    Status.ROLLING_BACK,
    Status.ROLLED_BACK,
)  # the clock says the others
NAMED = 4  # people we wait on; the rest is counted
HERE, KEY = ' aria-current="page"', ' data-key="g c"'


def header(drawing: Drawing) -> str:
    head, release = drawing.head, drawing.release
    home = release.get_absolute_url()
    if head.ends_same_day:
        end = SHAPES["H:i"](timezone.localtime(release.window_end))
    else:
        end = shown(release, release.window_end)
    about = [f"<span>Window {when(release.t_zero, release.time_zone)} to {end}</span>"]
    about.append(f'<span class="opt">Coordinator {escape(release.coordinator.name)}</span>')
    if on_call := head.on_call:
        people = ", ".join(escape(person.name) for person in on_call)
        about.append(f'<span class="opt">On-call {people}</span>')
    if release.restricted:
        about.append('<span class="opt">Restricted</span>')
    waits = "" if release.is_final else f"<p>{_waited(head)}</p>"
    attributes = f' class="head" data-mode="{head.mode}"'
    return (
        f"{drawing.opening('div', 'head', attributes)}\n"
        f'  <p class="head-meta">{"".join(about)}</p>\n'
        f'  <div class="head-main">\n    <h1><a class="key" href="{home}">{escape(release.key)}</a>'
        f" {escape(release.title)}</h1>\n"
        f'    <p class="head-clock">{_clock(head)}<small>{_under_the_clock(head)}</small></p>\n  </div>\n'
        f'  <div class="head-state">\n    <p>{_stands(head)}</p>\n    {waits}\n  </div>\n</div>\n'
    )


def _clock(head: Head) -> str:
    """The big clock with its sentence for screen readers; `partials/_clock.html` is the same for templates."""
    if head.face:
        return f'<span class="clock">{head.face}</span>'
    at = head.release.t_zero
    return (
        f'<span class="clock" aria-hidden="true">{clock_html(at, head.now)}</span>'
        f'<span class="vh">T-0 {local(at, head.release.time_zone)}, {clock_html(at, head.now, "spoken")}</span>'
    )


def _under_the_clock(head: Head) -> str:
    """What the clock runs to, or why it stands."""
    release, now, hold = head.release, head.now, head.release.open_hold
    window_end = shown(release, release.window_end)
    if hold:
        by = f"<b>Held by {escape(hold.by.name)} {clock_html(hold.started_at, now, 'ago')} ago</b>"
        return f"{by} <span>{escape(truncatechars(hold.reason, 90))}</span>"
    if release.status == Status.NO_GO:
        return f"<b>Not rescheduled</b> <span>T-0 was {shown(release, release.t_zero)}</span>"
    if release.is_final:
        return f"<b>{shown(release, release.ended_at)}</b> <span>{_ended(head)}</span>"
    if head.rollback:
        return f"<b>Rolling back</b> <span>for {clock_html(head.rollback.triggered_at, now, 'ago')}</span>"
    if head.lapsed:
        return f"<b>The GO has lapsed</b> <span>its window ended {window_end}</span>"
    if head.undecided:
        return f"<b>T-0 passed undecided</b> <span>window ends {window_end}</span>"
    if head.in_window:
        words = "The window is open" if release.status == Status.CLEARED else "Deploying"
        return f"<b>{words}</b> <span>window closes in {clock_html(release.window_end, now, 'closing')}</span>"
    if release.status == Status.DEPLOYING:
        words = "started before T-0" if now < release.t_zero else "the window has ended"
        return f"<b>Deploying</b> <span>{words}</span>"
    if release.status == Status.DEPLOYED:
        return f"<b>Deployed {shown(release, release.deployed_at)}</b>{_closing(head)}"
    if following := head.next_phase:
        opens = shown(release, following.opens_at)
        return (
            f'<b>{escape(following.phase.name)}<span class="opt"> at {opens}</span></b>'
            f' <span aria-hidden="true">in {clock_html(following.opens_at, now, "left")}</span>'
        )
    return ""


def _ended(head: Head) -> str:
    if head.release.status == Status.CLOSED:
        return f"{head.settled} of {head.total} settled"
    return "It does not go out" if head.release.status == Status.CANCELLED else "The review follows"


def _closing(head: Head) -> str:
    due = head.closing_due
    if not due:
        return ""
    words = (
        f"due in {clock_html(due, head.now, 'left')}" if due > head.now else f"late {clock_html(due, head.now, 'ago')}"
    )
    return f" <span>close-out {words}</span>"


def _stands(head: Head) -> str:
    """The release's state where the clock does not say it, and what is counted."""
    release, word = head.release, ""
    if release.open_hold:
        word = state("hold", "On hold")
    elif head.lapsed:
        word = state("late", "GO lapsed")
    elif release.status in SAID:
        word = state(release.status, release.get_status_display())
    counts = [f"{word}\n      <span><b>{head.settled} of {head.total}</b> settled</span>"]
    if head.blocked:
        counts.append(state("blocked", f"{head.blocked} blocked"))
    if head.late:
        counts.append(state("late", f"{head.late} late"))
    if head.override:
        counts.append(state("override", "Override"))
    return "".join(counts)


def _waited(head: Head) -> str:
    """Who holds us now, or the next step where nobody does."""
    release, waited = head.release, head.waited
    home = release.get_absolute_url()
    if waited:
        to = f"{home}rollback/" if head.rollback else f"{home}#gate"
        found = [
            f' <a href="{to}">{escape(name)}{f" {count}" if count > 1 else ""}</a>' for name, count in waited[:NAMED]
        ]
        more = f'<span class="muted">and {len(waited) - NAMED} more</span>' if len(waited) > NAMED else ""
        return f'<span class="muted">Waiting on</span>{"".join(found)}{more}'
    if release.open_hold:
        return f'<a href="{url("schedule", release.key)}">Resume or reschedule…</a>'
    if release.status == Status.NO_GO:
        return f'<a href="{url("schedule", release.key)}">Set a new T-0…</a>'
    return '<span class="muted">Nobody is waited on</span>'


TABS = (
    ("checklist", "release", "Checklist"),
    ("decision", "decision", "Go/No-Go"),
    ("reminders", "reminders", "Reminders"),
    ("rollback", "rollback", "Rollback"),
    ("people", "release_people", "People"),
    ("record", "record", "Record"),
    ("events", "events", "Events"),
)


def tabs(release: Release, current: str) -> SafeString:
    """The pages of `release`, the current one marked."""
    marks = {name: f"{only_if(name == 'release', KEY)}{only_if(tab == current, HERE)}" for tab, name, _ in TABS}
    listed = "".join(
        f'\n  <li><a href="{url(name, release.key)}"{marks[name]}>{words}</a></li>' for _, name, words in TABS
    )
    return mark_safe(f'<nav aria-label="{escape(release.key)}"><ul>{listed}\n</ul></nav>')  # noqa: S308 - escaped here
