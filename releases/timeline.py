"""The dashboard's picture of fourteen days: positions in percent, computed here, drawn by the template.

Pure: takes releases that are loaded, returns numbers and words. Today is drawn four times as wide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from checklists.blueprints import Stage
from releases.models import Release, Status

LANES = 12  # releases drawn; the table has them all
DAYS = 14  # yesterday, today, and the twelve days after
TODAY = 4  # how many ordinary days wide today is
TOP, LANE = 46, 34  # pixels: the heading, and each lane

_BAND = {
    Stage.PREPARATION: "b-prep",
    Stage.DECISION: "b-vote",
    Stage.PRODUCTION: "b-win",
    Stage.POST_DEPLOYMENT: "b-post",
}

FLAGS = {Status.ROLLING_BACK: "rolling back", Status.NO_GO: "NO-GO", Status.DEPLOYING: "deploying"}


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
    flag: str  # words beside the window, "" for most
    flag_x: str
    clash: bool

    @property
    def middle(self) -> int:
        return self.y + LANE // 2


@dataclass(frozen=True)
class Timeline:
    days: tuple[Day, ...]
    hours: tuple[tuple[str, str], ...]  # of today: (x, "06")
    lanes: tuple[Lane, ...]
    more: int  # releases of these days that are not drawn
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
        """In UTC: two moments of one zone are subtracted by their wall clocks, which is wrong when clocks change."""
        return datetime.combine(self.today + timedelta(days=number), time.min, tzinfo=self.zone).astimezone(UTC)

    @property
    def days(self) -> list[date]:
        return [self.today + timedelta(days=number) for number in range(-1, DAYS - 1)]

    def at(self, hour: int) -> datetime:
        """An hour of today on the wall clock."""
        return datetime.combine(self.today, time(hour), tzinfo=self.zone)

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


def timeline(
    releases: Sequence[Release], now: datetime, zone: ZoneInfo, clashing: Collection[int] = ()
) -> Timeline | None:
    """Draw the releases that have something in the fourteen days, the soonest first; None when none has.

    `clashing` are the ids of releases in a conflict.
    """
    scale = Scale(now, zone)
    first, last = scale.starts[0], scale.starts[-1]
    shown = [r for r in releases if not r.is_final and first < _ends(r, now) and _begins(r) < last]
    if not shown:
        return None
    drawn = shown[:LANES]
    lanes = tuple(_lane(release, number, scale, release.pk in clashing) for number, release in enumerate(drawn))
    count = f"{len(shown)} release{'' if len(shown) == 1 else 's'}"
    words = f"{count}, {_said(scale.days[0])} to {_said(scale.days[-1])}"
    hours = tuple((_pc(scale.percent(scale.at(hour))), f"{hour:02}") for hour in (6, 12, 18))
    more, now_x = len(shown) - len(drawn), _pc(scale.percent(now))
    return Timeline(_days(scale), hours, lanes, more, now_x, TOP + LANE * len(lanes), words)


def _ends(release: Release, now: datetime) -> datetime:
    """The end of its window; now for one that is in production still."""
    over_time = release.status in (Status.DEPLOYING, Status.DEPLOYED, Status.ROLLING_BACK)
    return max(release.window_end, now) if over_time else release.window_end


def _begins(release: Release) -> datetime:
    opened = [moments.opens_at for moments in release.plan if moments.opens_at]
    return min(opened, default=release.t_zero)


def _said(day: date) -> str:
    return f"{day:%a} {day.day} {day:%B}"


def _days(scale: Scale) -> tuple[Day, ...]:
    days = []
    for index, day in enumerate(scale.days):
        left, right = scale.percent(scale.starts[index]), scale.percent(scale.starts[index + 1])
        plain = f"{day:%a} {day.day}" + (f" {day:%b}" if day.day == 1 else "")
        words = f"Today, {plain}" if day == scale.today else plain
        middle, width = _pc((left + right) / 2), _pc(right - left)
        days.append(Day(_pc(left), width, middle, words, day == scale.today, day.weekday() >= 5))
    return tuple(days)


def _lane(release: Release, number: int, scale: Scale, clash: bool) -> Lane:
    y = TOP + LANE * number
    bands = []
    gate = ""
    early = 0
    for moments in release.plan:
        stage = Stage(moments.phase.stage)
        opens, ends = moments.opens_at, release.window_end if stage == Stage.PRODUCTION else moments.due_at
        if opens is None or ends is None:
            continue
        if stage == Stage.DECISION and scale.starts[0] <= opens < scale.starts[-1]:
            gate = _pc(scale.percent(opens))
        css = "b-stage" if stage == Stage.PREPARATION and early else _BAND[stage]
        early += stage == Stage.PREPARATION
        left, right = scale.percent(opens), scale.percent(ends)
        if right > left:
            top, height = (6, 22) if stage == Stage.PRODUCTION else (12, 10)
            bands.append(Band(css, _pc(left), _pc(max(0.3, right - left)), y + top, height, moments.phase.name))
    flag_x = _pc(scale.percent(release.window_end))
    return Lane(release, y, tuple(bands), gate, FLAGS.get(release.state, ""), flag_x, clash)


def _pc(number: float) -> str:
    return f"{round(number, 2):g}%"
