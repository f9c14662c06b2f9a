"""Offsets: how people write them, and the moment each one names."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.tminus import MAX_DAYS, Anchor, Offset, WallKind, due_at, wall_time_choices

BERLIN = ZoneInfo("Europe/Berlin")


offsets = st.builds(
    lambda anchor, sign, days, minutes: Offset(anchor, sign * days, sign * minutes),
    st.sampled_from(Anchor),
    st.sampled_from((-1, 1)),
    st.integers(0, MAX_DAYS),
    st.integers(0, 10_000),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("T-3d", "T-3d"),
        ("T-4h", "T-4h"),
        ("T-1d 4h", "T-1d4h"),
        ("T-90min", "T-1h30min"),
        ("T-36h", "T-36h"),
        ("T-0", "T-0"),
        ("t - 0", "T-0"),
        ("T+1h", "T+1h"),
        ("T-2w", "T-14d"),
        ("deployed+2h", "deployed+2h"),
        ("deployed", "deployed+0"),
        ("T-minus 3 days", "T-3d"),
        ("T minus one day and 4 hours", "T-1d4h"),
        ("T-2 weeks", "T-14d"),
        ("T+1 hour", "T+1h"),
        ("T\u22123d", "T-3d"),
        ("T\u20131 day", "T-1d"),
        ("Within 2 hours", "deployed+2h"),
        ("within two hours of the deployment", "deployed+2h"),
        ("Release day", "T-0"),
        ("3 days before release", "T-3d"),
        ("2 hours after the deployment", "deployed+2h"),
        ("  t-3D  ", "T-3d"),
    ],
)
def test_an_offset_is_read_the_way_people_write_it(text, canonical):
    assert str(Offset.parse(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "T", "T-3", "T-3x", "3 days", "T-1d +4h", "T-3 months", "T-1.5h", "soon", "T-3d" * 1000]
)
def test_what_is_no_offset_is_refused_with_an_example_of_one(text):
    with pytest.raises(ValueError, match="T-3d, T-1d 4h"):
        Offset.parse(text)


def test_an_offset_of_more_than_ten_years_is_refused():
    with pytest.raises(ValueError, match="at most 3650 days"):
        Offset.parse("T-9999d")


def test_days_and_hours_of_an_offset_never_point_in_opposite_directions():
    with pytest.raises(ValueError, match="same side"):
        Offset(Anchor.T_ZERO, days=-1, minutes=60)


@given(offsets)
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
def test_every_offset_is_read_back_from_each_of_its_forms(offset):
    assert Offset.parse(str(offset)) == offset
    assert Offset.parse(offset.in_words()) == offset
    assert Offset.parse(offset.as_heading()) == offset


@pytest.mark.parametrize(
    ("offset", "words", "heading"),
    [
        ("T-3d", "3 days before T-0", "T-minus 3 days"),
        ("T-1d", "1 day before T-0", "T-minus 1 day"),
        ("T-1d4h", "1 day 4 hours before T-0", "T-minus 1 day 4 hours"),
        ("T-0", "at T-0", "T-0"),
        ("T+1h", "1 hour after T-0", "T-plus 1 hour"),
        ("deployed+2h", "within 2 hours of the deployment's end", "Within 2 hours"),
        ("deployed+0", "at the deployment's end", "deployed+0"),
    ],
)
def test_an_offset_speaks_in_words(offset, words, heading):
    assert Offset.parse(offset).in_words() == words
    assert Offset.parse(offset).as_heading() == heading


@pytest.mark.parametrize(
    ("zone", "t_zero", "fold", "offset", "due"),
    [
        ("Europe/Berlin", "2026-03-29 09:00", 0, "T-1d", "2026-03-28 08:00"),  # 23 h before
        ("Europe/Berlin", "2026-03-30 02:30", 0, "T-1d", "2026-03-29 01:30"),  # 02:30 does not exist
        ("Europe/Berlin", "2026-10-26 02:30", 0, "T-1d", "2026-10-25 00:30"),  # 02:30 comes twice
        ("Australia/Lord_Howe", "2026-04-05 09:00", 0, "T-1d", "2026-04-03 22:00"),  # 24 h 30 before
        ("Asia/Kathmandu", "2026-03-29 09:00", 0, "T-1d", "2026-03-28 03:15"),
        ("Europe/Berlin", "2026-10-25 02:30", 1, "T-4h", "2026-10-24 21:30"),  # through the wall clock it were 20:30
        ("Pacific/Apia", "2011-12-31 09:00", 0, "T-1d", "2011-12-29 19:00"),  # the 30th never was
        ("Europe/Berlin", "2026-03-29 09:00", 0, "T-1d 4h", "2026-03-28 04:00"),  # days first, then hours
        ("Europe/Berlin", "2026-03-29 09:00", 0, "T-24h", "2026-03-28 07:00"),  # hours are elapsed time
        ("Europe/Berlin", "2026-10-24 09:00", 0, "T+1d", "2026-10-25 08:00"),
        ("Europe/Berlin", "2026-10-25 02:30", 1, "T-1d", "2026-10-24 00:30"),  # 02:30 the day before, 25 h
        ("Europe/Berlin", "2026-10-25 02:30", 1, "T-0", "2026-10-25 01:30"),
    ],
)
def test_days_follow_the_wall_clock_and_hours_are_elapsed(zone, t_zero, fold, offset, due):
    anchor = datetime.fromisoformat(t_zero).replace(tzinfo=ZoneInfo(zone), fold=fold)

    moment = due_at(Offset.parse(offset), anchor, ZoneInfo(zone))

    assert moment == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert moment.tzinfo is UTC


def test_the_zone_of_the_release_counts_and_not_the_one_the_anchor_is_written_in():
    anchor = datetime(2026, 3, 29, 9, tzinfo=BERLIN)

    assert due_at(Offset.parse("T-1d"), anchor.astimezone(UTC), BERLIN) == due_at(Offset.parse("T-1d"), anchor, BERLIN)


def test_a_naive_anchor_is_refused():
    with pytest.raises(ValueError, match="aware"):
        due_at(Offset(), datetime(2026, 1, 1), BERLIN)


def test_nothing_is_rounded():
    anchor = datetime(2026, 6, 1, 9, 0, 30, 5, tzinfo=UTC)

    assert due_at(Offset.parse("T-1d"), anchor, BERLIN) == anchor - timedelta(days=1)


def test_marks_keep_their_order_before_t_zero_in_every_zone_and_on_every_date():
    dice = random.Random(20261123)
    zones = [ZoneInfo(name) for name in sorted(available_timezones() - {"localtime"})]
    marks = [Offset.parse(text) for text in ("T-3d", "T-2d", "T-1d", "T-4h", "T-1h")]
    first = int(datetime(1970, 1, 2, tzinfo=UTC).timestamp())
    last = int(datetime(2037, 12, 31, tzinfo=UTC).timestamp())
    for _ in range(5_000):
        zone, t_zero = dice.choice(zones), datetime.fromtimestamp(dice.randint(first, last), UTC)
        moments = [due_at(mark, t_zero, zone) for mark in marks]
        assert moments == sorted(moments), (zone, t_zero)
        assert moments[-1] < t_zero
        assert due_at(Offset(days=1), t_zero, zone) > t_zero


def test_marks_keep_their_order_around_every_clock_change_of_a_year():
    marks = [Offset(days=-days) for days in range(5, 0, -1)]
    for name in ("Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"):
        zone, t_zero = ZoneInfo(name), datetime(2011, 1, 1, tzinfo=UTC)
        while t_zero.year == 2011:
            moments = [due_at(mark, t_zero, zone) for mark in marks]
            assert moments == sorted(moments), (name, t_zero)
            assert moments[-1] < t_zero, (name, t_zero)
            t_zero += timedelta(minutes=90)


def test_a_plain_wall_time_is_one_moment():
    found = wall_time_choices(datetime(2026, 6, 1, 9), BERLIN)

    assert found == (WallKind.PLAIN, (datetime(2026, 6, 1, 7, tzinfo=UTC),))


def test_a_wall_time_that_comes_twice_offers_both_the_first_first():
    found = wall_time_choices(datetime(2026, 10, 25, 2, 30), BERLIN)

    moments = (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert found == (WallKind.AMBIGUOUS, moments)


def test_a_wall_time_that_never_is_offers_the_moment_past_the_gap_and_the_one_before_it():
    found = wall_time_choices(datetime(2026, 3, 29, 2, 30), BERLIN)

    assert found.kind is WallKind.MISSING
    assert [moment.astimezone(BERLIN).strftime("%H:%M") for moment in found.choices] == ["03:30", "01:30"]


def test_a_wall_time_with_a_zone_of_its_own_is_refused():
    with pytest.raises(ValueError, match="without a zone"):
        wall_time_choices(datetime(2026, 6, 1, tzinfo=UTC), BERLIN)
