"""The form for a deployment window: what people may type, and what it asks back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from releases.forms.window import WindowForm
from releases.models import Release
from releases.workflow import Window
from tests.factories import ReleaseFactory

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FIRST, SECOND = "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"

pytestmark = pytest.mark.django_db


def said(**typed: str) -> WindowForm:
    data = {"day": "2026-03-26", "at": "14:00", "zone": "Europe/Berlin", "ends": "15:30"} | typed
    return WindowForm(data, now=NOW)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "begins", "ends"),
    [
        ({}, "2026-03-26T13:00", "2026-03-26T14:30"),
        ({"ends": "2 h"}, "2026-03-26T13:00", "2026-03-26T15:00"),
        ({"ends": "90min"}, "2026-03-26T13:00", "2026-03-26T14:30"),
        ({"ends": "1 h 30 min"}, "2026-03-26T13:00", "2026-03-26T14:30"),
        ({"at": "23:00", "ends": "01:00"}, "2026-03-26T22:00", "2026-03-27T00:00"),
        ({"ends": "2026-03-27 01:00"}, "2026-03-26T13:00", "2026-03-27T00:00"),
        ({"day": "26.03.2026", "at": "14.00"}, "2026-03-26T13:00", "2026-03-26T14:30"),
        ({"zone": "berlin"}, "2026-03-26T13:00", "2026-03-26T14:30"),
        ({"zone": "america/new york"}, "2026-03-26T18:00", "2026-03-26T19:30"),
        ({"day": "2026-03-28", "at": "23:00", "ends": "5 h"}, "2026-03-28T22:00", "2026-03-29T03:00"),
    ],
)
def test_a_window_is_read_as_people_write_it(typed: dict[str, str], begins: str, ends: str) -> None:
    form = said(**typed)
    assert form.is_valid(), form.errors
    assert form.window is not None
    assert (form.window.t_zero, form.window.ends) == (utc(begins), utc(ends))


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"day": "2026-02-26"}, "day", "T-0 is in the past; choose a moment that is still to come"),
        ({"ends": "13:00"}, "ends", "13:00 is not after 14:00. For the day after write 2026-03-27 13:00"),
        ({"ends": "14:00"}, "ends", "The window ends before it begins"),
        ({"ends": "2026-03-26 12:00"}, "ends", "The window ends before it begins"),
        ({"ends": "0 min"}, "ends", "The window ends before it begins"),
        ({"ends": "tomorrow"}, "ends", "Write a time (15:30)"),
        ({"ends": "25:00"}, "ends", "Write a time (15:30)"),
        ({"ends": "40 days"}, "ends", "at most 14"),
        ({"ends": "9999-12-31 23:59"}, "ends", "at most 14 days"),
        ({"day": "9999-12-31"}, "day", "more than ten years away"),
        ({"day": "0001-01-01"}, "day", "more than ten years away"),
        ({"day": "next week"}, "day", "Write the day like 2026-11-26"),
        ({"at": "noon"}, "at", "Write the time like 14:00"),
        ({"zone": "Europe/Berln"}, "zone", "Did you mean Europe/Berlin"),
        ({"zone": "nowhere at all"}, "zone", "Write it like Europe/Berlin or UTC"),
        ({"day": ""}, "day", "Say the day"),
        ({"zone": ""}, "zone", "Say whose wall clock this is"),
    ],
)
def test_what_cannot_be_a_window_is_said_beside_its_field(typed: dict[str, str], field: str, words: str) -> None:
    form = said(**typed)
    assert not form.is_valid()
    assert words in " ".join(form.errors[field])
    assert form.window is None


def choices(form: WindowForm, field: str) -> list[Any]:
    form.is_valid()
    return list(form.fields[field].choices)  # type: ignore[attr-defined]


def test_a_wall_time_that_comes_twice_is_asked_for_in_words() -> None:
    form = said(day="2026-10-25", at="02:30", ends="2 h")
    assert choices(form, "start_meant") == [
        (FIRST, "02:30 CEST (00:30 UTC), the first"),
        (SECOND, "02:30 CET (01:30 UTC), the second"),
    ]
    assert "comes twice on Sun 25 Oct" in " ".join(form.errors["at"])
    assert form.asks == {"start_meant"}


@pytest.mark.parametrize(("answer", "begins"), [(FIRST, "2026-10-25T00:30"), (SECOND, "2026-10-25T01:30")])
def test_the_answer_says_which_of_the_two_is_meant_and_the_wall_time_is_kept(answer: str, begins: str) -> None:
    form = said(day="2026-10-25", at="02:30", ends="2 h", start_meant=answer)
    assert form.is_valid(), form.errors
    assert form.window is not None
    assert (form.window.t_zero, form.window.wall) == (utc(begins), "2026-10-25 02:30")


def test_a_wall_time_that_does_not_exist_offers_the_ones_beside_the_gap() -> None:
    form = said(day="2026-03-29", at="02:30", ends="2 h")
    assert [words for _, words in choices(form, "start_meant")] == ["03:30 CEST (01:30 UTC)", "01:30 CET (00:30 UTC)"]
    assert "02:30 does not exist on Sun 29 Mar" in " ".join(form.errors["at"])


def test_an_answer_to_another_question_counts_for_nothing() -> None:
    form = said(day="2026-03-29", at="02:30", ends="2 h", start_meant=FIRST)
    assert not form.is_valid()


def test_the_end_is_asked_for_too_unless_one_answer_alone_lies_after_t_zero() -> None:
    twice = said(day="2026-10-25", at="01:00", ends="02:30")
    assert not twice.is_valid()
    assert twice.asks == {"end_meant"}
    second = said(day="2026-10-25", at="02:15", ends="02:30", start_meant="2026-10-25T01:15:00+00:00")
    assert second.is_valid(), second.errors
    assert second.window is not None
    assert second.window.ends == utc("2026-10-25T01:30")


def test_a_window_that_is_not_needed_keeps_what_was_typed_and_has_no_errors() -> None:
    form = WindowForm({"day": "soon", "at": "", "zone": "x", "ends": ""}, needed=False, now=NOW)
    assert not form.errors
    assert form["day"].value() == "soon"


def typed_again(release: Release, **changed: str) -> WindowForm:
    """The release's form as a browser sends it back, with what somebody changed in it."""
    initial = WindowForm.said_of(release)
    typed = {name: f"{value:%H:%M}" if name == "at" else str(value) for name, value in initial.items()}
    return WindowForm(typed | changed, now=release.t_zero - timedelta(days=9))


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        ("2026-06-20T12:00", "2026-06-20T14:00", "16:00"),
        ("2026-06-20T20:00", "2026-06-20T22:30", "00:30"),
        ("2026-06-20T12:00", "2026-06-21T00:00", "02:00"),
        ("2026-06-20T12:00", "2026-06-21T00:01", "12 h 1 min"),
        ("2026-06-20T12:00", "2026-06-21T14:00", "26 h"),
        ("2026-06-20T12:00", "2026-07-04T12:00", "336 h"),
        ("2026-10-25T00:30", "2026-10-25T01:15", "45 min"),  # 02:30 to 02:15: the clock is set back in between
    ],
)
def test_a_release_fills_the_form_with_its_own_window(begins: str, ends: str, said: str) -> None:
    release = ReleaseFactory(window=Window(utc(begins), utc(ends), "Europe/Berlin"))
    assert WindowForm.said_of(release)["ends"] == said
    form = typed_again(release, start_meant=release.t_zero.isoformat())
    assert form.is_valid(), form.errors
    assert form.window is not None
    assert (form.window.t_zero, form.window.ends) == (release.t_zero, release.window_end)


@pytest.mark.parametrize("hours", [1, 12, 30])
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_to_choose_another_day_is_enough_to_move_a_window(hour: int, hours: int) -> None:
    begins = utc("2026-06-20T00:00") + timedelta(hours=hour)
    release = ReleaseFactory(window=Window(begins, begins + timedelta(hours=hours), "Europe/Berlin"))
    day = release.t_zero.astimezone(release.zone).date() + timedelta(days=3)
    form = typed_again(release, day=f"{day:%Y-%m-%d}")
    assert form.is_valid(), form.errors
    assert form.window is not None
    moved = timedelta(days=3)
    assert (form.window.t_zero, form.window.ends) == (release.t_zero + moved, release.window_end + moved)
