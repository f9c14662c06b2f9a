"""What every page draws: icons, states, clocks, times. `{% load ui %}`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.contrib import messages
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect
from django.http import HttpRequest, QueryDict
from django.templatetags.static import static
from django.urls import NoReverseMatch, get_urlconf, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from relcoord.lib import clock, markup

register = template.Library()

ROLES = {"go", "active", "risk", "stop", "wait"}  # the status colours; everything else is an interface icon
# word -> (status role, glyph). Words of items, ballots, decisions, releases, reminders; unknown words are "wait".
STATES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("go", "done", "healthy", "ready", "closed", "deployed", "sent", "cleared"), ("go", "go")),
    **dict.fromkeys(("active", "polling", "deploying", "watching", "sending", "now", "hotfix"), ("active", "active")),
    **dict.fromkeys(("risk", "late", "due", "due_soon", "overdue", "hold", "override", "stale"), ("risk", "risk")),
    **dict.fromkeys(("conditional_go", "go_concern", "missed", "rolled_back"), ("risk", "risk")),
    **dict.fromkeys(("stop", "blocked", "no_go", "nogo", "failed", "rolling_back", "rollback"), ("stop", "stop")),
    **dict.fromkeys(("na", "not_applicable", "abstain", "cancelled", "superseded", "suppressed"), ("wait", "na")),
    "waived": ("wait", "waived"),
    "locked": ("wait", "locked"),
}


@lru_cache(maxsize=512)
def _svg(name: str, classes: str) -> SafeString:
    """Kept: there are few, a page shows dozens, and where the icons lie does not change while a process runs."""
    sheet = static("icons.svg")
    return format_html('<svg class="i {}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, sheet, name)


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """`{% icon "plus" %}`: an interface icon in the text's colour, or a status glyph by its role name."""
    return _svg(name, f"{name if name in ROLES else 'ui'} {extra}".strip())


def _role(state: object) -> tuple[str, str]:
    return STATES.get(str(getattr(state, "value", state)).lower().replace("-", "_"), ("wait", "wait"))


@register.simple_tag
def glyph(state: object, extra: str = "") -> SafeString:
    """`{% glyph item.state %}`: the shape of a state, alone. Put its word beside it."""
    role, name = _role(state)
    return _svg(name, f"{role} {extra}".strip())


@register.filter
def role(state: object) -> str:
    """The status class of a state: `class="lamp {{ ballot.choice|role }}"`."""
    return _role(state)[0]


@register.simple_tag
def state(word: object, text: object, kind: str = "state") -> SafeString:
    """`{% state "late" "late 3 h" %}`: shape, word and colour together. kind "tag" fills it: for what is open."""
    role_name, name = _role(word)
    return format_html('<span class="{} {}">{}{}</span>', kind, role_name, _svg(name, role_name), text)


@register.simple_tag
def tag(word: object, text: object) -> SafeString:
    """`{% tag "blocked" "blocked 2 h" %}`: the one filled thing on a row."""
    return state(word, text, "tag")


@register.filter
def initials(person: object) -> str:
    """Two letters for a face: `Ana Kovač` -> `AK`."""
    words = str(getattr(person, "name", "") or person).split("@")[0].replace(".", " ").split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


# Clocks ---------------------------------------------------------------------------------------------------------


def _now(context: template.Context) -> datetime:
    now = context.get("now")
    return now if isinstance(now, datetime) else timezone.now()


@register.simple_tag(takes_context=True, name="clock")
def clock_tag(context: template.Context, moment: datetime | None, kind: str = "t0") -> SafeString | str:
    """`{% clock release.t_zero %}`, `{% clock due "left" %}`: written here, kept true by clock.js.

    Kinds: t0 elapsed left closing ago spoken. A page may pass `now`; else it is the present.
    """
    return clock_html(moment, _now(context), kind) if moment else ""


def clock_html(moment: datetime | None, now: datetime, kind: str = "t0") -> SafeString | str:
    """The same for HTML that is made in Python."""
    if moment is None:
        return ""
    text = clock.words(kind, moment, now)
    return format_html('<time data-clock="{}" datetime="{}">{}</time>', kind, moment.isoformat(), text)


@register.filter(name="clock")
def clock_filter(moment: datetime | None, kind: str = "t0") -> str:
    """`{{ release.t_zero|clock }}`: the same words, without the element (titles, mails)."""
    return clock.words(kind, moment, timezone.now()) if moment else ""


@register.filter
def ascii_minus(text: object) -> str:
    """U+2212 to a hyphen, for mails."""
    return clock.ascii_minus(str(text))


@register.filter
def duration(value: timedelta | float | None) -> str:
    """`16 h` from a timedelta or a number of seconds."""
    if value is None:
        return ""
    return clock.duration(int(value.total_seconds() if isinstance(value, timedelta) else value))


# Times ----------------------------------------------------------------------------------------------------------


def zone_name(moment: datetime) -> str:
    """`CET`, or `UTC+05:45` where a zone has no letters of its own."""
    name = moment.tzname() or ""
    return f"UTC{moment:%z}"[:6] + ":" + f"{moment:%z}"[3:] if name[:1] in "+-" else name


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# How a moment is written, as Django's date filter names it: that filter looks every letter up, which a page of dates
# pays for.
SHAPES: dict[str, Callable[[datetime], str]] = {
    "H:i": lambda m: f"{m:%H:%M}",
    "D H:i": lambda m: f"{DAYS[m.weekday()]} {m:%H:%M}",
    "j M H:i": lambda m: f"{m.day} {MONTHS[m.month - 1]} {m:%H:%M}",
    "j M Y": lambda m: f"{m.day} {MONTHS[m.month - 1]} {m.year}",
    "D j M H:i": lambda m: f"{DAYS[m.weekday()]} {m.day} {MONTHS[m.month - 1]} {m:%H:%M}",
}


def _said(moment: datetime, shape: str, zone: bool = True) -> str:
    text = SHAPES[shape](moment)
    return f"{text} {zone_name(moment)}" if zone else text


def _in(moment: datetime, zone: str | ZoneInfo | None) -> datetime:
    return timezone.localtime(moment, ZoneInfo(zone) if isinstance(zone, str) and zone else zone or None)


@register.filter
def local(moment: datetime | None, zone: str | ZoneInfo | None = None) -> str:
    """`Thu 26 Nov 14:00 CET`, in the reader's zone or in `zone`."""
    return _said(_in(moment, zone), "D j M H:i") if moment else ""


@register.filter
def local_short(moment: datetime | None, zone: str | ZoneInfo | None = None) -> str:
    """`14:00` today, `Thu 14:00` within a week, `26 Nov 14:00` beyond, `26 Nov 2025` in another year. No zone."""
    if not moment:
        return ""
    return _short(_in(moment, zone), _in(timezone.now(), zone).date())


def _short(here: datetime, today: date) -> str:
    days = abs((here.date() - today).days)
    near = "H:i" if days == 0 else "D H:i" if days < 7 else "j M H:i"
    return _said(here, near if days < 180 else "j M Y", zone=False)


@register.simple_tag
def when(moment: datetime | None, zone: str | ZoneInfo | None = None, short: bool = False) -> SafeString | str:
    """`{% when release.t_zero release.time_zone %}`: a `<time>` in the reader's zone.

    Its title says the release's zone, when that differs, and UTC. `short=True` drops day or zone where they are clear.
    """
    if not moment:
        return ""
    here = timezone.get_current_timezone()
    return _when(moment, str(zone) if zone else "", short, here, timezone.localdate(timezone=here) if short else None)


@lru_cache(maxsize=4096)
def _when(moment: datetime, zone: str, short: bool, reader: tzinfo, today: date | None) -> SafeString:
    """Kept, because a phase's rows are due at one moment; it says the same for the same zones on the same day."""
    here = moment.astimezone(reader)
    full = _said(here, "D j M H:i")
    places = ([_in(moment, zone)] if zone else []) + [moment.astimezone(UTC)]
    others = [_said(place, "D j M H:i") for place in places if place.tzinfo != here.tzinfo]
    title = " · ".join(dict.fromkeys(text for text in [full, *others] if short or text != full))
    text = _short(here, today) if today else full
    return format_html('<time datetime="{}" title="{}">{}</time>', here.isoformat(), title, text)


# Forms, messages, text -------------------------------------------------------------------------------------------


@register.filter
def control(field: BoundField, kind: str = "") -> SafeString:
    """The field's widget in our look. Django itself adds aria-invalid and aria-describedby."""
    widget = field.field.widget
    if isinstance(widget, CheckboxInput | RadioSelect | CheckboxSelectMultiple | FileInput):
        return field.as_widget()
    classes = f"input {kind} {widget.attrs.get('class', '')}".split()
    return field.as_widget(attrs={"class": " ".join(dict.fromkeys(classes))})


@register.filter
def control_kind(field: BoundField) -> str:
    """check, choices or input: which frame `partials/_field.html` puts around the control."""
    widget = field.field.widget
    if isinstance(widget, RadioSelect | CheckboxSelectMultiple):
        return "choices"
    return "check" if isinstance(widget, CheckboxInput) else "input"


@register.simple_tag
def once() -> SafeString:
    """The hidden key of a form that is taken one time, however often it is sent (`releases.views.base`)."""
    return format_html('<input type="hidden" name="once" value="{}">', uuid4().hex)


@register.filter
def undo(message: Any) -> dict[str, Any] | None:
    """The undo of a message made by `relcoord.lib.htmx.say`: its action, target and fields."""
    packed = QueryDict(getattr(message, "extra_tags", "") or "")
    if "_undo" not in packed:
        return None
    fields = [(name, value) for name, value in packed.items() if name not in ("_undo", "_target")]
    return {"action": packed["_undo"], "target": packed.get("_target", ""), "fields": fields}


@register.simple_tag(takes_context=True)
def toast(context: template.Context, message: Any) -> SafeString:
    """`{% toast message %}`: a message among the toasts of a page that stays."""
    return _toast(message, context.get("csrf_token", ""))


def toasts(request: HttpRequest, csrf: str) -> SafeString:
    """The waiting messages for an answer that is put together in Python, as `partials/_messages.html` draws them."""
    waiting = SafeString("".join(_toast(message, csrf) for message in messages.get_messages(request)))
    return format_html('<div hx-swap-oob="beforeend:#toasts">{}</div>', waiting) if waiting else waiting


def _toast(message: Any, csrf: object) -> SafeString:
    role, back = message_role(message.level_tag), undo(message)
    way_back = SafeString("")
    if back:
        fields = [("csrfmiddlewaretoken", csrf), *back["fields"]]
        into = format_html('hx-target="{}" hx-swap="outerHTML"', back["target"]) if back["target"] else 'hx-swap="none"'
        way_back = format_html(
            '<form method="post" action="{}" hx-post="{}" {}>{}<button class="btn" data-key="u">Undo</button></form>',
            back["action"],
            back["action"],
            SafeString(into),
            format_html_join("", '<input type="hidden" name="{}" value="{}">', fields),
        )
    return format_html(
        '<div class="toast"{}>{}<span>{}</span>{}<button class="btn quiet" type="button" data-dismiss>{}'
        '<span class="vh">Dismiss</span></button></div>',
        SafeString(" data-stay" if role in ("stop", "risk") else ""),
        icon(role) if role != "go" else "",
        message,
        way_back,
        icon("x"),
    )


@register.filter
def markdown(text: str | None) -> SafeString:
    """Notes as safe HTML."""
    return markup.render(text or "")


PLACES = {
    "dashboard": "releases:dashboard",
    "mine": "releases:my_work",
    "checklists": "checklists:template_list",
    "people": "releases:people",
    "help": "help",
    "settings": "settings",
    "outbox": "outbox",
    "admin": "admin:index",
    "login": "account_login",
    "logout": "account_logout",
}


@register.simple_tag
def places() -> dict[str, str]:
    """`{% places as at %}{{ at.help }}`: the addresses that every page names; "" for one that the site has not."""
    return _places(get_urlconf() or settings.ROOT_URLCONF)


@lru_cache
def _places(urlconf: str) -> dict[str, str]:
    """Kept: the addresses of a process do not change."""
    found = {}
    for name, place in PLACES.items():
        try:
            found[name] = reverse(place, urlconf=urlconf)
        except NoReverseMatch:
            found[name] = ""
    return found


@register.simple_tag
@lru_cache
def sheet(name: str) -> SafeString:
    """`{% block css %}{% sheet "room" %}{% endblock %}`: what only this kind of page needs. Kept as `_svg` is."""
    return format_html('<link rel="stylesheet" href="{}">', static(f"css/{name}.css"))


@register.filter
def message_role(level: str) -> str:
    """success -> go, info -> active, warning -> risk, error -> stop."""
    return {"success": "go", "warning": "risk", "error": "stop"}.get(level, "active")
