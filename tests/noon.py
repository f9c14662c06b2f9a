"""The tests of rules and pages all run on one day, from noon on: the hour of the run decides nothing.

A mark at T-4h is on the day of T-0 when the run is in the morning and on the day before when it is late at night,
and twice a year a day has 23 or 25 hours; rules about such days have tests of their own, which name the day.
What talks to programs and services, which have clocks of their own, runs on the real one: `pytest.mark.real_clock`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
_began = datetime.now(UTC)
_ours: list[time_machine.travel] = []  # of the travels under way


@pytest.fixture(scope="module", autouse=True)
def from_noon_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Noon, and as much later as this run is old: no test begins before another that it might remember."""
    if request.node.get_closest_marker("real_clock"):
        yield
        return
    travel = time_machine.travel(NOON + (datetime.now(UTC) - _began), tick=True)
    with travel:
        _ours.append(travel)
        yield
        _ours.remove(travel)


def is_travelling() -> bool:
    """Has a test set the clock itself?"""
    return len(time_machine.traveller_stack) > len(_ours)
