"""The dashboard's picture of fourteen days: positions in percent, computed here, drawn by the template.

Pure: takes releases that are loaded, returns numbers and words. Today is drawn four times as wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from checklists.blueprints import Stage
from releases.models import Release

DAYS = 14  # yesterday, today, and the twelve days after
TODAY = 4  # how many ordinary days wide today is
TOP, LANE = 46, 34  # pixels: the heading, and each lane

_BAND = {
    Stage.PREPARATION: "b-prep",
    Stage.DECISION: "b-vote",
    Stage.PRODUCTION: "b-win",
    Stage.POST_DEPLOYMENT: "b-post",
}


@dataclass(frozen=True)
class Day:
    x: str
    width: str
    middle: str
    words: str
    today: bool
    weekend: bool


@dataclass(frozen=True)
class Band:
    css: str
    x: str
    width: str
    y: int
    height: int
    words: str


@dataclass(frozen=True)
class Lane:
    release: Release
    y: int
    bands: tuple[Band, ...]
    gate_x: str  # where the decision phase opens, "" outside the picture
    gate_y: int


@dataclass(frozen=True)
class Timeline:
    days: tuple[Day, ...]
    lanes: tuple[Lane, ...]
    now_x: str
    height: int
    words: str


class Scale:
    """From an instant to percent of the picture's width, in the reader's zone."""

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self.zone = zone
        self.today = now.astimezone(zone).date()
        self.starts = [self._midnight(number) for number in range(-1, DAYS)]
        self.units = [TODAY if number == 0 else 1 for number in range(-1, DAYS - 1)]

    def _midnight(self, number: int) -> datetime:
        return datetime.combine(self.today + timedelta(days=number), time.min, tzinfo=self.zone)

    def percent(self, moment: datetime) -> float:
        """0 at the left edge, 100 at the right; clamped."""
        total = sum(self.units)
        done = 0.0
        for index, unit in enumerate(self.units):
            begins, ends = self.starts[index], self.starts[index + 1]
            if moment < ends:
                share = max(0.0, (moment - begins) / (ends - begins))
                return round((done + share * unit) * 100 / total, 2)
            done += unit
        return 100.0


def timeline(releases: Sequence[Release], now: datetime, zone: ZoneInfo) -> Timeline | None:
    """Draw the releases that have something in the fourteen days; None when none has."""
    scale = Scale(now, zone)
    first, last = scale.starts[0], scale.starts[-1]
    shown = [r for r in releases if not r.is_final and first < r.window_end and _begins(r) < last]
    if not shown:
        return None
    lanes = tuple(_lane(release, number, scale) for number, release in enumerate(shown))
    words = f"{len(shown)} release{'' if len(shown) == 1 else 's'} from {first:%a %d %B} to {scale.starts[-2]:%a %d %B}"
    return Timeline(_days(scale), lanes, _pc(scale.percent(now)), TOP + LANE * len(lanes), words)


def _begins(release: Release) -> datetime:
    opened = [moments.opens_at for moments in release.plan if moments.opens_at]
    return min(opened, default=release.t_zero)


def _days(scale: Scale) -> tuple[Day, ...]:
    days = []
    for index, starts in enumerate(scale.starts[:-1]):
        left, right = scale.percent(starts), scale.percent(scale.starts[index + 1])
        today = index == 1
        plain = f"{starts:%a} {starts.day}" + (f" {starts:%b}" if starts.day == 1 else "")
        words = f"Today, {plain}" if today else plain
        middle = _pc(round((left + right) / 2, 2))
        days.append(Day(_pc(left), _pc(round(right - left, 2)), middle, words, today, starts.weekday() >= 5))
    return tuple(days)


def _lane(release: Release, number: int, scale: Scale) -> Lane:
    y = TOP + LANE * number
    bands = []
    gate = ""
    early = 0
    for moments in release.plan:
        ends = release.window_end if moments.phase.stage == Stage.PRODUCTION else moments.due_at
        if moments.opens_at is None or ends is None:
            continue
        stage = Stage(moments.phase.stage)
        if stage == Stage.DECISION and scale.starts[0] <= moments.opens_at < scale.starts[-1]:
            gate = _pc(scale.percent(moments.opens_at))
        css = "b-stage" if stage == Stage.PREPARATION and early else _BAND[stage]
        early += stage == Stage.PREPARATION
        left, right = scale.percent(moments.opens_at), scale.percent(ends)
        if right > left:
            tall = stage == Stage.PRODUCTION
            bands.append(
                Band(
                    css,
                    _pc(left),
                    _pc(max(0.3, round(right - left, 2))),
                    y + (6 if tall else 12),
                    22 if tall else 10,
                    moments.phase.name,
                )
            )
    return Lane(release, y, tuple(bands), gate, y + 17)


def _pc(number: float) -> str:
    return f"{number:g}%"
