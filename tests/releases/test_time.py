"""Time: the marks of a release keep their order everywhere, and a step of the clock holds up no look at the ledger."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
import time_machine

from releases import ledger, reminders
from releases.management.commands import reminders as command
from releases.models import Phase, Release

HOUR = timedelta(hours=1)
OFFSETS = ("T-3d", "T-2d", "T-1d", "T-24h", "T-4h", "T-1h")
PAIRS = 5_000


def test_every_mark_is_due_before_t_zero_in_order_of_instant_in_every_zone_and_on_every_date() -> None:
    dice = random.Random(20261123)
    zones = sorted(available_timezones() - {"localtime"})
    first, last = (int(datetime(year, 1, 4, tzinfo=UTC).timestamp()) for year in (1970, 2037))
    for _ in range(PAIRS):
        t_zero = datetime.fromtimestamp(dice.randint(first, last), UTC)
        release = Release(pk=1, t_zero=t_zero, time_zone=dice.choice(zones))
        phases = Phase.objects.none()
        phases._result_cache = [Phase(release=release, opens=opens) for opens in dice.sample(OFFSETS, len(OFFSETS))]
        release._prefetched_objects_cache = {"phases": phases}

        found = reminders.marks(release)

        moments = [mark.due_at for mark in found]
        assert all(early < late for early, late in pairwise(moments)), (release.time_zone, t_zero)
        assert [mark.not_after for mark in found] == [*moments[1:], t_zero], (release.time_zone, t_zero)
        assert all(moment < t_zero for moment in moments), (release.time_zone, t_zero)
        assert [mark.rank for mark in found] == sorted(mark.rank for mark in found)
        assert found[-1].name == "T-1h"


@pytest.fixture
def _signals() -> Iterator[None]:
    """The loop listens to them, and is not alone here."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals", "db")
def test_a_clock_step_of_an_hour_holds_up_no_look_of_the_second_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat follows the clock on the wall and may stand still for that hour; this one does not."""
    looks: list[datetime] = []
    steps = [-HOUR, HOUR, -HOUR]
    monkeypatch.setattr(command, "EVERY", 0.05)
    guard = threading.Timer(10, os.kill, (os.getpid(), signal.SIGTERM))

    with time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC)) as clock:

        def tick() -> None:
            looks.append(datetime.now(UTC))
            if len(looks) > len(steps):
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                clock.shift(steps[len(looks) - 1])

        monkeypatch.setattr(ledger, "tick", tick)
        guard.start()
        try:
            command.Command().handle(loop=True, alive=None)
        finally:
            guard.cancel()

    assert len(looks) == len(steps) + 1
    assert looks[1] < looks[0] < looks[2], "the clock was set back and forth"
    assert command.EVERY <= 30
