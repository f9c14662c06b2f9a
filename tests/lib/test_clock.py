"""The words of clocks: the table of cases both the server and the browser keep to."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relcoord.lib import clock

CASES = json.loads((Path(__file__).parent / "clock_cases.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 26, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']} {case['seconds']}")
def test_a_clock_shows_the_words_of_the_table(case):
    assert clock.KINDS[case["kind"]](case["seconds"]) == case["text"]


def test_every_kind_of_clock_is_in_the_table():
    assert {case["kind"] for case in CASES} == set(clock.KINDS)


@pytest.mark.parametrize("kind", clock.KINDS)
@given(seconds=st.integers(-40_000_000, 40_000_000))
def test_a_clock_has_words_for_every_distance_and_never_says_sixty(kind, seconds):
    text = clock.KINDS[kind](seconds)
    assert text
    assert ":60" not in text
    assert "60 min" not in text


def test_words_need_to_know_whose_clock_it_is():
    with pytest.raises(ValueError, match="aware"):
        clock.words("t0", NOW.replace(tzinfo=None), NOW)


def test_part_of_a_second_before_t_zero_is_not_yet_t_zero():
    almost = NOW + timedelta(seconds=60, milliseconds=900)
    assert clock.words("t0", almost, NOW) == f"T{clock.MINUS}00:01:00"
    assert clock.words("t0", NOW - timedelta(milliseconds=1), NOW) == "T+00:00"


def test_mails_write_the_minus_in_ascii():
    assert clock.ascii_minus(clock.t_zero(188_100)) == "T-2d 04:15"
