"""T-minus arithmetic: signed distances from T-0 or from the end of the deployment, and the moments they name.

Pure: no Django, no clock, no database. Whole days are calendar days in a zone, hours and minutes are elapsed time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTES_PER_DAY = 24 * 60
MAX_DAYS = 3650  # an offset of more than ten years is a typing error


class Anchor(StrEnum):
    """What an offset is counted from."""

    T_ZERO = "t_zero"  # the planned start of the deployment window
    DEPLOYED = "deployed"  # the moment the deployment was finished


@dataclass(frozen=True)
class Offset:
    """A signed distance from an anchor; negative is before it.

    `days` are calendar days in the release's zone, `minutes` are elapsed time: 24 hours are not a day when a clock
    change lies between. Raises ValueError if the two point in different directions or lead more than ten years away.
    """

    anchor: Anchor = Anchor.T_ZERO
    days: int = 0
    minutes: int = 0

    def __post_init__(self) -> None:
        if self.days * self.minutes < 0:
            raise ValueError("The days and the minutes of an offset must lie on the same side of its anchor.")
        if abs(self.days) > MAX_DAYS or abs(self.minutes) > MAX_DAYS * MINUTES_PER_DAY:
            raise ValueError(f"An offset reaches at most {MAX_DAYS} days.")

    @classmethod
    def parse(cls, text: str) -> Offset:
        """Read "T-3d", "T-1d 4h", "T-minus 3 days", "deployed+2h", "Within 2 hours", "Release day" and the like.

        Raises ValueError with a sentence for the person who typed it.
        """
        return _parsed(text)

    @property
    def is_zero(self) -> bool:
        return not (self.days or self.minutes)

    @property
    def is_before(self) -> bool:
        """True if the offset lies before its anchor."""
        return self.days < 0 or self.minutes < 0

    @property
    def rank(self) -> tuple[int, int]:
        """A sort key for plans without a date: T-0 stands before the deployment's end, a day counts 24 hours."""
        return (self.anchor is Anchor.DEPLOYED, self.days * MINUTES_PER_DAY + self.minutes)

    def __str__(self) -> str:
        """Return the canonical short form, which `parse` reads back: "T-3d", "T-1d4h", "T-0", "deployed+2h"."""
        name = "T" if self.anchor is Anchor.T_ZERO else "deployed"
        if self.is_zero:
            return "T-0" if self.anchor is Anchor.T_ZERO else "deployed+0"
        return f"{name}{'-' if self.is_before else '+'}{self._amount(('d', 'h', 'min'))}"

    def in_words(self) -> str:
        """Return a phrase for a sentence: "3 days before T-0", "within 2 hours of the deployment's end"."""
        place = "T-0" if self.anchor is Anchor.T_ZERO else "the deployment's end"
        if self.is_zero:
            return f"at {place}"
        if self.is_before:
            return f"{self.span} before {place}"
        return f"{self.span} after T-0" if self.anchor is Anchor.T_ZERO else f"within {self.span} of {place}"

    def as_heading(self) -> str:
        """Return the form headings use: "T-minus 3 days", "T-plus 1 hour", "T-0", "Within 2 hours"."""
        if self.is_zero or (self.anchor is Anchor.DEPLOYED and self.is_before):
            return str(self)
        if self.anchor is Anchor.DEPLOYED:
            return f"Within {self.span}"
        return f"T-{'minus' if self.is_before else 'plus'} {self.span}"

    @property
    def span(self) -> str:
        """The distance without its direction: "3 days", "1 day 4 hours", "90 minutes" as "1 hour 30 minutes"."""
        return self._amount((" day", " hour", " minute"))

    def _amount(self, units: tuple[str, str, str]) -> str:
        hours, minutes = divmod(abs(self.minutes), 60)
        counted = [(count, unit) for count, unit in zip((abs(self.days), hours, minutes), units, strict=True) if count]
        if units[0].startswith(" "):
            return " ".join(f"{count}{unit}{'' if count == 1 else 's'}" for count, unit in counted)
        return "".join(f"{count}{unit}" for count, unit in counted)


def due_at(offset: Offset, anchor_at: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment `offset` names, aware, in UTC.

    Whole days are calendar days in `zone`: T-1d of a 09:00 launch is 09:00 the day before, clock change or not; a wall
    time that does not exist moves past the gap, one that comes twice is the first. Hours are elapsed time: T-4h is
    14 400 seconds earlier. Days come first, then hours. The result is always before the anchor for a negative offset
    and after it for a positive one: where the wall clock cannot give that (a day that never was), a day is 24 hours.
    Raises ValueError if `anchor_at` is naive; nothing is rounded.
    """
    if anchor_at.utcoffset() is None:
        raise ValueError("The anchor of an offset must be an aware datetime.")
    return _days_away(anchor_at.astimezone(UTC), offset.days, zone) + timedelta(minutes=offset.minutes)


class WallKind(StrEnum):
    """How often a wall clock shows a time."""

    PLAIN = "plain"  # once
    AMBIGUOUS = "ambiguous"  # twice: the clock was set back over it
    MISSING = "missing"  # never: the clock was set forward over it


class WallTime(NamedTuple):
    """What a wall time can mean; `choices` are aware, in UTC, the one to suggest first."""

    kind: WallKind
    choices: tuple[datetime, ...]


def wall_time_choices(naive: datetime, zone: ZoneInfo) -> WallTime:
    """Return the instants the wall time `naive` can mean in `zone`, so that a form can offer them.

    One for a plain time. Two for an ambiguous one, the earlier first. Two for a missing one: the instant as far past
    the gap as the time is in it (the house rule, see `due_at`), then the one as far before it.
    Raises ValueError if `naive` is aware.
    """
    if naive.tzinfo is not None:
        raise ValueError("A wall time is given without a zone of its own.")
    first, second = (naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return WallTime(WallKind.PLAIN, (first,))
    return WallTime(WallKind.AMBIGUOUS if first < second else WallKind.MISSING, (first, second))


def _days_away(anchor: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Move `anchor` (UTC) by calendar days in `zone`. Zero days never touch the wall clock, so `fold` survives."""
    if not days:
        return anchor
    wall = anchor.astimezone(zone).replace(tzinfo=None) + timedelta(days=days)
    # fold=0 is the house rule: the first of two, and for a missing time the offset before the gap, so past it.
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    on_its_side = moment < anchor if days < 0 else moment > anchor
    return moment if on_its_side else anchor + timedelta(days=days)


# Reading: every form is matched against lower-case text with single spaces and plain hyphens.

_DASHES = {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013\u2014\u2212"} | {ord("\u2019"): "'"}
_COUNTING = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {word: n for n, word in enumerate(_COUNTING)} | {"a": 1, "an": 1}
_UNITS = {"w": 7 * MINUTES_PER_DAY, "d": MINUTES_PER_DAY, "h": 60, "m": 1}  # minutes, by first letter
_PART = (
    rf"(?:\d{{1,7}}|\b(?:{'|'.join(_NUMBER_WORDS)})\b)[ -]?"
    r"(?:weeks?|wks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m)(?![a-z])"
)
_PARTS = re.compile(r"(\d+|[a-z]+)[ -]?([wdhm])[a-z]*")
_SPAN = rf"(?P<span>{_PART}(?:(?:,? and |, ?| )?{_PART}){{0,3}})"
_T_ZERO = (
    r"(?:t-0|t-zero|(?:the )?(?:release|launch|go-live|deployment|deploy|production|start)"
    r"(?: day| date| time| start| window)?)"
)
_DONE = (
    r"(?:deployed|the end|(?:the )?(?:deployment|deploy|release|launch|go-live)"
    r"(?:'s end| end| is (?:done|finished|over))?|(?:it is )?(?:deployed|done|live))"
)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Offset:
    """Kept: the plans of a page say the same few words hundreds of times."""
    wanted = " ".join(text.translate(_DASHES).casefold().split())
    for pattern, build in _FORMS:
        if found := pattern.fullmatch(wanted):
            return build(found)
    shown = text.strip()[:60]
    raise ValueError(f'"{shown}" is no moment. Write it like T-3d, T-1d 4h, T-90min, T-0, T+1h or deployed+2h.')


def _offset(anchor: Anchor, sign: int, span: str) -> Offset:
    days = minutes = 0
    for number, unit in _PARTS.findall(_tight(span)):
        count = int(number) if number.isdigit() else _NUMBER_WORDS[number]
        if unit in "wd":
            days += count * (_UNITS[unit] // MINUTES_PER_DAY)
        else:
            minutes += count * _UNITS[unit]
    return Offset(anchor, sign * days, sign * minutes)


def _tight(span: str) -> str:
    return span.replace(" and ", " ").replace(",", " ")


def _signed(anchor: Anchor, found: re.Match[str]) -> Offset:
    return _offset(anchor, -1 if found["sign"] in ("-", "minus", "-minus", "- minus") else 1, found["span"])


_SIGN = r"(?P<sign>- ?minus|minus|-|\+|-? ?plus)"
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Offset]], ...] = (
    (re.compile(rf"(?:at )?t ?(?:{_SIGN})? ?(?:0|zero)(?:[dhm]|min)?"), lambda _found: Offset(Anchor.T_ZERO)),
    (
        re.compile(r"(?:on )?(?:the )?(?:release|launch|deploy(?:ment)?|go-live) day|(?:the )?day of (?:the )?release"),
        lambda _found: Offset(Anchor.T_ZERO),
    ),
    (re.compile(rf"t ?{_SIGN} ?{_SPAN}"), lambda found: _signed(Anchor.T_ZERO, found)),
    (re.compile(r"deployed(?: ?[+-] ?0)?|at the deployment's end"), lambda _found: Offset(Anchor.DEPLOYED)),
    (re.compile(rf"deployed ?{_SIGN} ?{_SPAN}"), lambda found: _signed(Anchor.DEPLOYED, found)),
    (
        re.compile(rf"within (?:the )?(?:first )?{_SPAN}(?: (?:of|after|from) {_DONE})?"),
        lambda found: _offset(Anchor.DEPLOYED, 1, found["span"]),
    ),
    (re.compile(rf"{_SPAN} before the deployment's end"), lambda found: _offset(Anchor.DEPLOYED, -1, found["span"])),
    (
        re.compile(rf"{_SPAN} (?:before|prior to|ahead of) {_T_ZERO}"),
        lambda found: _offset(Anchor.T_ZERO, -1, found["span"]),
    ),
    (
        re.compile(rf"{_SPAN} after (?:t-0|t-zero|(?:the )?(?:start|launch))"),
        lambda found: _offset(Anchor.T_ZERO, 1, found["span"]),
    ),
    (re.compile(rf"{_SPAN} after {_DONE}"), lambda found: _offset(Anchor.DEPLOYED, 1, found["span"])),
)
