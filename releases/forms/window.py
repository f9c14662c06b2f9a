"""The form for a deployment window: T-0 as a wall clock shows it, its zone, and the window's end."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.forms.utils import ErrorDict
from django.utils import timezone

from checklists.tminus import WallKind, wall_time_choices
from relcoord.templatetags.ui import zone_name
from releases.errors import DomainError
from releases.models import Release
from releases.workflow import Window

LONGEST = timedelta(days=14)  # a longer window is a typing error
FARTHEST = timedelta(days=3650)  # so is a day farther away
OVER_NIGHT = timedelta(hours=12)  # an end earlier on the clock than T-0 means the next day up to here
COMMON = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Helsinki",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
)
_DAY = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})[ T]+(?P<clock>\S+)")
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})")
_LENGTH = re.compile(
    r"(?:(?P<d>\d{1,2}) ?(?:d|days?))? ?(?:(?P<h>\d{1,3}(?:\.\d)?) ?(?:h|hrs?|hours?))? ?"
    r"(?:(?P<m>\d{1,4}) ?(?:m|mins?|minutes?))?"
)


def zone_of(name: str) -> ZoneInfo:
    """Read an IANA zone as people type it: any case, blanks for underscores, a city alone when it is unmistakable.

    Raises ValidationError with a suggestion.
    """
    known = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
    asked = "_".join(name.split()).lower()
    if asked in known:
        return ZoneInfo(known[asked])
    of_city = [zone for lower, zone in known.items() if "/" in zone and lower.rsplit("/", 1)[1] == asked]
    if len(of_city) == 1:
        return ZoneInfo(of_city[0])
    near = of_city or [known[lower] for lower in get_close_matches(asked, known, n=2, cutoff=0.7)]
    hint = f"Did you mean {' or '.join(sorted(near)[:3])}?" if near else "Write it like Europe/Berlin or UTC."
    raise forms.ValidationError(f"“{name[:60]}” is no time zone. {hint}")


def suggested_zones(*first: str) -> list[str]:
    """Zones to offer while typing: those at hand, those releases use, then common ones. Any other may be typed."""
    used = Release.objects.order_by().values_list("time_zone", flat=True).distinct()[:20]
    return [zone for zone in dict.fromkeys([*first, *used, *COMMON]) if zone]


def length_of(text: str) -> timedelta | None:
    """Read a length: "2 h", "90 min", "1 h 30 min", "1.5 h", "1 day"; None for anything else."""
    found = _LENGTH.fullmatch(" ".join(text.lower().split()))
    if not text.strip() or found is None:
        return None
    days, hours, minutes = (float(found[unit] or 0) for unit in "dhm")
    return timedelta(days=days, hours=hours, minutes=minutes)


def length_said(length: timedelta) -> str:
    """A length in whole minutes, as `length_of` reads it: "26 h", "1 h 30 min"."""
    hours, minutes = divmod(int(length.total_seconds()) // 60, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


class Asked(forms.RadioSelect):
    """Has to be answered, yet never holds the form back in the browser: another time may make it needless."""

    def use_required_attribute(self, initial: Any) -> bool:
        return False


class WindowForm(forms.Form):
    """A window as people say it. After `is_valid()`, `window` is what the verbs take.

    A wall time that comes twice or never is not refused: the form comes back with the instants it can mean as
    radio buttons (`start_meant`, `end_meant`). With `needed=False` what was typed is kept but not looked at.
    Rendered by `releases/_window.html`.
    """

    day = forms.DateField(
        label="Day of T-0",
        input_formats=["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"required": "Say the day.", "invalid": "Write the day like 2026-11-26."},
    )
    at = forms.TimeField(
        label="T-0",
        input_formats=["%H:%M", "%H:%M:%S", "%H.%M"],
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": "Say the time.", "invalid": "Write the time like 14:00."},
    )
    zone = forms.CharField(
        label="Time zone",
        max_length=64,
        error_messages={"required": "Say whose wall clock this is."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    ends = forms.CharField(
        label="Window ends",
        max_length=40,
        error_messages={"required": "Say when the window ends, or how long it is."},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    start_meant = forms.CharField(required=False, widget=forms.RadioSelect)
    end_meant = forms.CharField(required=False, widget=forms.RadioSelect)

    def __init__(self, *args: Any, needed: bool = True, now: datetime | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.needed, self.now = needed, now or timezone.now()
        self.window: Window | None = None
        self.asks: set[str] = set()  # which of start_meant and end_meant have to be answered
        self.zones = suggested_zones(str(self["zone"].value() or ""))
        self.fields["zone"].widget.attrs["list"] = f"{self['zone'].id_for_label}_list"

    @staticmethod
    def said_of(release: Release) -> dict[str, Any]:
        """The release's window as initial values."""
        return _said(release.t_zero, release.window_end, release.zone)

    @staticmethod
    def default(zone: str, now: datetime) -> dict[str, Any]:
        """A start for a new release: a week from now at 14:00 in `zone`, for two hours, never on a weekend."""
        day = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=7)
        day += timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)
        return {"day": day, "at": time(14), "zone": zone, "ends": "2 h"}

    def full_clean(self) -> None:
        """Look at the fields only when they are needed: the way out that was not chosen has no errors."""
        if self.needed:
            return super().full_clean()
        self._errors = ErrorDict()
        self.cleaned_data: dict[str, Any] = {}
        return None

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if abs(day - self.now.date()) > FARTHEST:
            raise forms.ValidationError("That day is more than ten years away; look at the year.")
        return day

    def clean_zone(self) -> ZoneInfo:
        return zone_of(self.cleaned_data["zone"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        day, clock, zone = data.get("day"), data.get("at"), data.get("zone")
        if day is None or clock is None or zone is None:
            return data
        start = self._meant("at", "start_meant", datetime.combine(day, clock), zone, data)
        end = self._end(start, day, clock, zone, data) if start and "ends" in data else None
        if start is None or end is None:
            return data
        window = Window(start, end, zone.key, f"{datetime.combine(day, clock):%Y-%m-%d %H:%M}")
        try:
            window.check(self.now)
        except DomainError as refusal:
            self.add_error("ends" if end <= start else "day", str(refusal))
        else:
            self.window = window
        return data

    def _end(self, start: datetime, day: date, clock: time, zone: ZoneInfo, data: dict[str, Any]) -> datetime | None:
        said = data["ends"]
        if (length := length_of(said)) is not None:
            end: datetime | None = start + length
        elif (wall := self._wall_end(said, day, clock)) is not None:
            end = self._meant("ends", "end_meant", wall, zone, data, after=start)
        else:
            return None
        if end is not None and end - start > LONGEST:
            self.add_error("ends", f"The window lasts {(end - start).days} days; at most {LONGEST.days}.")
            return None
        return end

    def _wall_end(self, said: str, day: date, clock: time) -> datetime | None:
        """The end as a wall time. Earlier than T-0 on the clock means the next day, when that is a night away."""
        with_day = _DAY.fullmatch(said.strip())
        found = _CLOCK.fullmatch(with_day["clock"] if with_day else said.strip())
        try:
            wall = datetime.combine(
                date.fromisoformat(with_day["day"]) if with_day else day,
                time(int(found[1]), int(found[2])),  # type: ignore[index]
            )
        except (TypeError, ValueError):
            self.add_error("ends", "Write a time (15:30), a day and a time (2026-11-27 01:00) or a length (2 h).")
            return None
        begins = datetime.combine(day, clock)
        if abs(wall - begins) > LONGEST + timedelta(days=1):
            self.add_error("ends", f"That is far from T-0; a window lasts at most {LONGEST.days} days.")
            return None
        if with_day or wall > begins:
            return wall
        if wall + timedelta(days=1) - begins <= OVER_NIGHT and wall != begins:
            return wall + timedelta(days=1)
        tomorrow = f"{wall + timedelta(days=1):%Y-%m-%d %H:%M}"
        self.add_error(
            "ends",
            f"The window ends before it begins: {wall:%H:%M} is not after {begins:%H:%M}. "
            f"For the day after write {tomorrow}.",
        )
        return None

    def _meant(
        self, at: str, field: str, wall: datetime, zone: ZoneInfo, data: dict[str, Any], after: datetime | None = None
    ) -> datetime | None:
        """The instant `wall` names. One that comes twice or never is asked for: None until it is answered."""
        kind, choices = wall_time_choices(wall, zone)
        choices = tuple(moment for moment in choices if after is None or moment > after) or choices[:1]
        if len(choices) == 1:
            return choices[0]
        self.asks.add(field)
        self.fields[field] = forms.ChoiceField(
            widget=Asked,
            choices=list(_offered(kind, choices, zone)),
            label=f"Which {wall:%H:%M} is meant" if kind is WallKind.AMBIGUOUS else "What is meant instead",
        )
        self._bound_fields_cache.pop(field, None)  # type: ignore[attr-defined]  # was made of the field before it
        answer = data.get(field)
        for moment in choices:
            if answer == moment.isoformat():
                return moment
        place = f"on {wall:%a} {wall.day} {wall:%b} in {zone.key}"
        if kind is WallKind.AMBIGUOUS:
            self.add_error(at, f"{wall:%H:%M} comes twice {place}: the clock is set back. Choose which.")
        else:
            times = " or ".join(f"{moment.astimezone(zone):%H:%M}" for moment in sorted(choices))
            self.add_error(at, f"{wall:%H:%M} does not exist {place}: the clock is set forward. Choose {times}.")
        return None


def _offered(kind: WallKind, choices: Iterable[datetime], zone: ZoneInfo) -> Iterable[tuple[str, str]]:
    """Each instant in words: "02:30 CEST (00:30 UTC), the first"."""
    order = (", the first", ", the second") if kind is WallKind.AMBIGUOUS else ("", "")
    for moment, place in zip(choices, order, strict=False):
        here = moment.astimezone(zone)
        yield moment.isoformat(), f"{here:%H:%M} {zone_name(here)} ({moment.astimezone(UTC):%H:%M} UTC){place}"


def _said(start: datetime, end: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """A window as its four fields. The end is said so that it moves along when another day is chosen:
    as a time where that is enough, otherwise as a length; never with a day of its own."""
    begins, ends = (moment.astimezone(zone).replace(second=0, microsecond=0) for moment in (start, end))
    wall = ends.replace(tzinfo=None) - begins.replace(tzinfo=None)
    over_night = ends.date() != begins.date() and wall <= OVER_NIGHT
    plain = begins.utcoffset() == ends.utcoffset() and (over_night or ends.date() == begins.date())
    said = f"{ends:%H:%M}" if plain else length_said(ends.astimezone(UTC) - begins.astimezone(UTC))
    return {"day": begins.date(), "at": begins.time(), "zone": zone.key, "ends": said}
