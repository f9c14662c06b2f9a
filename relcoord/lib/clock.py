"""The words a clock shows: one table of cases for the server and for `static/js/clock.js`.

Every function is pure and takes whole seconds *until* the moment: positive before it, negative after.
`tests/lib/clock_cases.json` holds the cases; Python and the browser are both tested against it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import floor
from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
MINUS: Final = "\u2212"  # on screen; mail uses the ASCII hyphen


def t_zero(seconds: int) -> str:
    """The T-clock: `T−12d`, `T−2d 04:15`, `T−04:15`, `T−00:14:32`, `T+00:12`."""
    sign, away = (f"T{MINUS}", seconds) if seconds > 0 else ("T+", -seconds)
    days, hours, minutes = away // DAY, away % DAY // HOUR, away % HOUR // MINUTE
    if away > 10 * DAY:
        return f"{sign}{days}d"
    if away >= DAY:
        return f"{sign}{days}d {hours:02}:{minutes:02}"
    if 0 < seconds < 15 * MINUTE:
        return f"{sign}{hours:02}:{minutes:02}:{away % MINUTE:02}"
    return f"{sign}{hours:02}:{minutes:02}"


def elapsed(seconds: int) -> str:
    """A running stopwatch, `00:07:31`; `00:00:00` before it starts."""
    since = max(0, -seconds)
    return f"{since // HOUR:02}:{since % HOUR // MINUTE:02}:{since % MINUTE:02}"


def left(seconds: int) -> str:
    """What remains, in two units: `2 d 4 h`, `3 h 48 min`, `14 min`, `under 1 min`."""
    if seconds < MINUTE:
        return "under 1 min"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


def closing(seconds: int) -> str:
    """Hours and minutes left, `1:48`, as in "window closes in 1:48"; `0:00` once over."""
    rest = max(0, seconds)
    return f"{rest // HOUR}:{rest % HOUR // MINUTE:02}"


def ago(seconds: int) -> str:
    """How long since, in one unit: `2 d`, `16 h`, `20 min`, `moments`."""
    return duration(max(0, -seconds))


def duration(seconds: int) -> str:
    """A length of time in its largest unit: `2 d`, `16 h`, `20 min`, `moments`."""
    length = abs(seconds)
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if length >= size:
            return f"{length // size} {unit}"
    return "moments"


def spoken(seconds: int) -> str:
    """For a screen reader, changing seldom: `in 2 days`, `in 1 hour`, `now`, `5 minutes ago`."""
    length = abs(seconds)
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if length >= size:
            count = length // size
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {words}" if seconds > 0 else f"{words} ago"
    return "now"


KINDS: Final[dict[str, Callable[[int], str]]] = {
    "t0": t_zero,
    "elapsed": elapsed,
    "left": left,
    "closing": closing,
    "ago": ago,
    "spoken": spoken,
}


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds from `now` to `moment`, rounded towards the past. Both aware, or ValueError."""
    if moment.tzinfo is None or now.tzinfo is None:
        raise ValueError("a clock needs aware datetimes")
    return floor((moment - now).total_seconds())


def words(kind: str, moment: datetime, now: datetime) -> str:
    """What a clock of this kind shows at `now`. KeyError if there is no such kind."""
    return KINDS[kind](seconds_until(moment, now))


def ascii_minus(text: str) -> str:
    """The same words for a mail: `T-2d 04:15`."""
    return text.replace(MINUS, "-")
