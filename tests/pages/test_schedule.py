"""The schedule page: moving after a look, holding, resuming, cancelling."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from releases import gonogo, workflow
from releases.models import Release, State, Status
from tests.factories import Cast, bring_to, fresh, item, settle
from tests.web import markup, signed_in, text


def url(name: str, release: Release) -> str:
    return reverse(f"releases:{name}", args=[release.key])


def typed(days: int = 9, **more: str) -> dict[str, str]:
    day = timezone.localtime() + timedelta(days=days)
    given = {
        "day": f"{day:%Y-%m-%d}",
        "at": "14:00",
        "zone": "Europe/Berlin",
        "ends": "2 h",
        "reason": "a partner asks",
    }
    return given | more


def the_same(release: Release, **more: str) -> dict[str, str]:
    """The window the release has, as its form gives it."""
    begins, ends = (moment.astimezone(release.zone) for moment in (release.t_zero, release.window_end))
    return {
        "day": f"{begins:%Y-%m-%d}",
        "at": f"{begins:%H:%M:%S}",
        "zone": release.time_zone,
        "ends": f"{int((ends - begins).total_seconds() // 60)} min",
        "reason": "the same again",
    } | more


def move(release: Release, by: Any, data: dict[str, str]) -> Any:
    """Look first, then confirm by the form of the page in between."""
    client = signed_in(by)
    looked = client.post(url("reschedule", release), data)
    assert looked.status_code == 200, text(looked)
    return client.post(url("reschedule", release), dict(looked.context["carried"]) | {"seen": looked.context["seen"]})


def test_everyone_sees_the_plan_and_only_the_coordinator_its_forms(release: Release, cast: Cast) -> None:
    page = signed_in(cast.ben).get(url("schedule", release))
    assert "Readiness T-3d" in text(page)
    assert "Ada Lovelace may move the release" in text(page)
    assert "Look at what moves" not in text(page)
    assert "Look at what moves" in text(signed_in(cast.ada).get(url("schedule", release)))
    refused = signed_in(cast.ben).post(url("reschedule", release), typed())
    assert refused.status_code == 403
    assert "Ada Lovelace (Release Coordinator)" in text(refused)


def test_a_move_is_looked_at_first_and_nothing_is_changed_by_looking(release: Release, cast: Cast) -> None:
    settle(item(release, "Backup taken"))
    looked = signed_in(cast.ada).post(url("reschedule", release), typed())
    words = text(looked)
    assert looked.status_code == 200
    assert "nothing is changed yet" in words
    assert "Opens again: Backup taken" in words
    assert "Told: " in words
    assert "Ben Osei" in words
    assert fresh(release).schedule_version == 1


def test_confirmed_it_moves_and_leads_to_the_release(release: Release, cast: Cast) -> None:
    settle(item(release, "Backup taken"))
    answer = move(release, cast.ada, typed())
    assert (answer.status_code, answer["Location"]) == (303, release.get_absolute_url())
    moved = fresh(release)
    assert (moved.schedule_version, moved.t_zero_wall[-5:]) == (2, "14:00")
    assert item(moved, "Backup taken").state == State.OPEN
    assert "a partner asks" in text(signed_in(cast.cy).get(url("schedule", moved)))


def test_the_look_says_that_a_poll_is_void_and_a_go_revoked(release: Release, cast: Cast) -> None:
    polling = bring_to(release, Status.POLLING)
    looked = signed_in(cast.ada).post(url("reschedule", polling), typed())
    assert "The open poll becomes void" in text(looked)
    gonogo.withdraw_poll(polling, "too early", by=cast.ada)
    cleared = bring_to(fresh(release), Status.CLEARED)
    assert "The GO is revoked" in text(signed_in(cast.ada).post(url("reschedule", cleared), typed()))


def test_the_look_names_phases_that_would_be_open_already(release: Release, cast: Cast) -> None:
    soon = timezone.localtime() + timedelta(hours=30)
    looked = signed_in(cast.ada).post(
        url("reschedule", release), typed(day=f"{soon:%Y-%m-%d}", at=f"{soon:%H:%M}", zone="UTC")
    )
    assert "Readiness: with the new T-0 this phase has opened already" in text(looked)


def test_what_changed_between_the_look_and_the_press_is_shown_before_anything_moves(
    release: Release, cast: Cast
) -> None:
    ada = signed_in(cast.ada)
    looked = ada.post(url("reschedule", release), typed())
    settle(item(release, "Backup taken"))
    again = ada.post(url("reschedule", release), dict(looked.context["carried"]) | {"seen": looked.context["seen"]})
    assert again.status_code == 409
    assert "The release changed since you looked" in text(again)
    assert "Backup taken" in text(again)
    assert fresh(release).schedule_version == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reason": ""}, "Say why it moves"),
        ({"day": "2020-01-01"}, "T-0 is in the past"),
        ({"zone": "Mars"}, "“Mars” is no time zone"),
        ({"ends": "13:00"}, "The window ends before it begins"),
    ],
)
def test_a_window_that_cannot_be_comes_back_with_what_was_typed(
    release: Release, cast: Cast, wrong: dict[str, str], words: str
) -> None:
    answer = signed_in(cast.ada).post(url("reschedule", release), typed(**wrong))
    assert answer.status_code == 422
    assert words in text(answer)
    assert 'value="14:00"' in markup(answer)
    assert fresh(release).schedule_version == 1


def test_the_instant_chosen_for_a_wall_time_that_comes_twice_survives_the_page_in_between(
    release: Release, cast: Cast
) -> None:
    with time_machine.travel(datetime(2026, 10, 20, 9, tzinfo=release.zone), tick=False):
        data = typed(day="2026-10-25", at="02:30", start_meant="2026-10-25T01:30:00+00:00")
        assert move(release, cast.ada, data).status_code == 303
    assert fresh(release).t_zero.isoformat() == "2026-10-25T01:30:00+00:00"


def test_after_a_no_go_the_same_t_zero_is_possible_and_the_look_names_what_opens_again(
    release: Release, cast: Cast
) -> None:
    no_go = bring_to(release, Status.NO_GO)
    page = signed_in(cast.ada).get(url("schedule", no_go))
    assert "Set a T-0" in text(page)
    looked = signed_in(cast.ada).post(url("reschedule", no_go), the_same(no_go))
    assert "Opens again: Assess risks, Confirm on-call coverage" in text(looked)
    assert "Backup taken" not in text(looked).split("Opens again:")[1].split("Told:")[0]
    assert move(no_go, cast.ada, the_same(no_go)).status_code == 303
    assert (fresh(no_go).status, fresh(no_go).t_zero) == (Status.PREPARING, no_go.t_zero)


def test_the_same_window_changes_nothing_and_says_so(release: Release, cast: Cast) -> None:
    answer = move(release, cast.ada, the_same(release))
    assert answer.status_code == 303
    assert fresh(release).schedule_version == 1


def test_a_release_in_production_does_not_move(release: Release, cast: Cast) -> None:
    deploying = bring_to(release, Status.DEPLOYING)
    assert "moves only before its deployment has started" in text(signed_in(cast.ada).get(url("schedule", deploying)))
    answer = signed_in(cast.ada).post(url("reschedule", deploying), typed(), follow=True)
    assert "only a release before its start can move" in text(answer)


# Hold and resume


def test_a_hold_needs_its_reason_and_stops_the_clock(release: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    assert ada.get(url("hold", release)).status_code == 200
    bare = ada.post(url("hold", release), {"reason": " "})
    assert bare.status_code == 422
    assert "Say why" in text(bare)
    assert ada.post(url("hold", release), {"reason": "the migration is late"}).status_code == 303
    assert fresh(release).clock_stopped
    assert "On hold since" in text(signed_in(cast.cy).get(url("schedule", release)))
    assert signed_in(cast.ben).get(url("hold", release)).status_code == 403
    assert "is on hold already" in text(ada.post(url("hold", release), {"reason": "again"}, follow=True))


@pytest.fixture
def held(release: Release, cast: Cast) -> Release:
    workflow.hold(release, "the migration is late", by=cast.ada)
    return fresh(release)


def test_the_clock_runs_again_with_the_same_t_zero(held: Release, cast: Cast) -> None:
    assert "the migration is late" in text(signed_in(cast.ada).get(url("resume", held)))
    assert signed_in(cast.ada).post(url("resume", held), {"keep": "keep"}).status_code == 303
    assert (fresh(held).clock_stopped, fresh(held).schedule_version) == (False, 1)


def test_a_new_t_zero_on_resuming_is_looked_at_first(held: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    looked = ada.post(url("resume", held), typed(keep="new"))
    assert looked.status_code == 200
    assert "nothing is changed yet" in text(looked)
    assert fresh(held).clock_stopped
    data = dict(looked.context["carried"]) | {"keep": "new", "seen": looked.context["seen"]}
    assert ada.post(url("resume", held), data).status_code == 303
    assert (fresh(held).clock_stopped, fresh(held).schedule_version) == (False, 2)


def test_a_t_zero_that_passed_during_the_hold_cannot_be_kept(held: Release, cast: Cast) -> None:
    with time_machine.travel(held.t_zero + timedelta(hours=1)):
        answer = signed_in(cast.ada).post(url("resume", held), {"keep": "keep"})
    assert answer.status_code == 422
    assert "T-0 passed during the hold; choose a new one" in text(answer)
    assert fresh(held).clock_stopped


def test_resuming_says_what_is_missing(held: Release, cast: Cast) -> None:
    answer = signed_in(cast.ada).post(url("resume", held), {"keep": "new"})
    assert answer.status_code == 422
    assert "Say the day" in text(answer)
    assert "Say what becomes of T-0" in text(signed_in(cast.ada).post(url("resume", held)))


# Cancel


def test_a_release_is_cancelled_with_a_reason(release: Release, cast: Cast) -> None:
    ada = signed_in(cast.ada)
    assert "that is final" in text(ada.get(url("cancel", release)))
    assert ada.post(url("cancel", release)).status_code == 422
    assert ada.post(url("cancel", release), {"reason": "folded into 4.3"}).status_code == 303
    assert fresh(release).status == Status.CANCELLED
    assert "Reschedule" not in text(ada.get(url("schedule", release)))
