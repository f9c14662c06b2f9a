"""The rollback page: started quietly, then one big step at a time, for all who are on the release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases import rollback
from releases.models import Part, Release, Rollback, Status
from tests.factories import Cast, bring_to, fresh, run_rollback
from tests.web import markup, signed_in, text

HTMX = {"HX-Request": "true"}


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


def page(release: Release, user: User) -> str:
    return text(signed_in(user).get(url("rollback", release)))


@pytest.fixture
def deploying(release: Release) -> Release:
    return bring_to(release, Status.DEPLOYING)


@pytest.fixture
def rolling(release: Release) -> Release:
    return bring_to(release, Status.ROLLING_BACK)


def running(release: Release) -> Rollback:
    return release.rollbacks.get(ended_at=None)


def complete(release: Release, by: User, **data: Any) -> Any:
    """Complete the current step by its form."""
    step = running(release).current_step
    assert step is not None
    return signed_in(by).post(url("rollback_step", release, 1, step.pk), data)


def assess(release: Release, by: User, path: str = "rollback") -> Any:
    data = {"severity": "major", "path": path, "note": "sessions are rejected"}
    return signed_in(by).post(url("rollback_assess", release, 1), data)


# Starting


def test_before_the_deployment_the_page_shows_the_procedure_and_no_button(release: Release, cast: Cast) -> None:
    words = page(release, cast.ada)
    assert "A rollback can start once the deployment has; PAY-4.2 is preparing" in words
    assert "Execute rollback" in words
    assert "Start rollback" not in words


def test_coordinator_project_manager_and_on_call_may_start_others_read_who_may(deploying: Release, cast: Cast) -> None:
    for person in (cast.ada, cast.dana, cast.eli):
        assert "What did you see?" in page(deploying, person)
    assert "Ada Lovelace (Release Coordinator) or Dana Ruiz (Project Manager)" in page(deploying, cast.gus)
    refused = signed_in(cast.gus).post(url("rollback_trigger", deploying), {"seen": "errors"})
    assert refused.status_code == 403
    assert "Eli Tanaka (On-call Engineer)" in text(refused)


def test_it_starts_with_what_was_seen_and_the_page_becomes_the_step_that_comes(deploying: Release, cast: Cast) -> None:
    eli = signed_in(cast.eli)
    bare = eli.post(url("rollback_trigger", deploying), {"seen": " "})
    assert bare.status_code == 422
    assert "Say what you saw" in text(bare)
    assert eli.post(url("rollback_trigger", deploying), {"seen": "error rate 4 %"}).status_code == 303
    words = page(deploying, cast.ada)
    assert "Assess severity Now, step 2 of 6" in words
    assert "saw: error rate 4 %" in words
    assert "Told at once: Eli Tanaka (On-call Engineer), Dana Ruiz (Project Manager)" in words


def test_when_it_was_noticed_is_a_wall_time_of_the_releases_zone(deploying: Release, cast: Cast) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        eli, noticed = signed_in(cast.eli), timezone.now() - timedelta(minutes=30)
        here = f"{noticed.astimezone(deploying.zone):%Y-%m-%dT%H:%M}"
        early = {"seen": "errors", "noticed": "2020-01-01T10:00"}
        refused = eli.post(url("rollback_trigger", deploying), early)
        assert refused.status_code == 422
        assert "between the start of the deployment and now" in text(refused)
        assert eli.post(url("rollback_trigger", deploying), early | {"noticed": here}).status_code == 303
    assert running(deploying).noticed_at == noticed.replace(second=0, microsecond=0)


def test_a_start_sent_twice_is_one_rollback(deploying: Release, cast: Cast) -> None:
    eli = signed_in(cast.eli)
    for _ in range(2):
        answer = eli.post(url("rollback_trigger", deploying), {"seen": "errors", "once": "k1"})
        assert (answer.status_code, answer["Location"]) == (303, url("rollback", deploying))
    assert deploying.rollbacks.count() == 1


# Step by step


def test_severity_and_path_are_recorded_in_the_second_step(rolling: Release, cast: Cast) -> None:
    bare = signed_in(cast.ada).post(url("rollback_assess", rolling, 1), {"severity": "major"})
    assert bare.status_code == 422
    assert "Choose: roll back, or hotfix forward" in text(bare)
    assert "checked" in markup(bare)
    assert assess(rolling, cast.ada).status_code == 303
    row = running(rolling)
    assert (row.severity, row.path) == ("major", "rollback")
    assert "Execute rollback Now, step 3 of 6" in page(rolling, cast.eli)


def test_a_hotfix_marks_the_execution_as_not_needed(rolling: Release, cast: Cast) -> None:
    assess(rolling, cast.ada, "hotfix")
    words = page(rolling, cast.eli)
    assert "Verify rollback success Now, step 4 of 6" in words
    assert "not needed: Hotfix instead" in words


def test_the_steps_go_in_their_order_and_a_failed_verification_opens_the_one_before(
    rolling: Release, cast: Cast
) -> None:
    assess(rolling, cast.ada)
    assert complete(rolling, cast.eli, note="3 nodes done").status_code == 303
    silent = complete(rolling, cast.eli, failed="1")
    assert silent.status_code == 422
    assert "Say what the verification showed" in text(silent)
    assert complete(rolling, cast.eli, failed="1", note="node 2 still errs").status_code == 303
    words = page(rolling, cast.ada)
    assert "Execute rollback Now, step 3 of 6" in words
    assert "Opened again: node 2 still errs" in words
    complete(rolling, cast.eli)
    assert complete(rolling, cast.ada, ok="1").status_code == 303
    assert "Communicate status Now, step 5 of 6" in page(rolling, cast.ada)


def test_a_step_somebody_else_completed_is_said_and_the_note_is_kept_for_the_log(rolling: Release, cast: Cast) -> None:
    assess(rolling, cast.ada)
    step = running(rolling).current_step
    assert step is not None
    address = url("rollback_step", rolling, 1, step.pk)
    signed_in(cast.eli).post(address, {"note": "3 nodes done"})
    late = signed_in(cast.ada).post(address, {"note": "I saw node 2 restart"})
    assert late.status_code == 409
    assert "“Execute rollback” was completed by Eli Tanaka meanwhile" in text(late)
    assert 'value="I saw node 2 restart"' in markup(late)
    again = assess(rolling, cast.dana)
    assert again.status_code == 409
    assert "The severity was recorded meanwhile" in text(again)


def test_a_step_cannot_be_skipped(rolling: Release, cast: Cast) -> None:
    last = running(rolling).steps.get(part=Part.COMMUNICATE)
    answer = signed_in(cast.ada).post(url("rollback_step", rolling, 1, last.pk), {"note": ""})
    assert answer.status_code == 409
    assert "is not the current step" in text(answer)


def test_it_ends_with_the_date_and_the_owner_of_its_review(rolling: Release, cast: Cast) -> None:
    assess(rolling, cast.ada)
    for _ in range(3):
        complete(rolling, cast.ada)
    ada, today = signed_in(cast.ada), timezone.localdate(timezone=rolling.zone)
    finish = url("rollback_finish", rolling, 1)
    assert "ends with the date of its review" in text(ada.post(finish))
    assert "The review lies in the past" in text(ada.post(finish, {"review_on": "2020-01-01", "owner": "gus"}))
    assert "more than a year away" in text(ada.post(finish, {"review_on": "9999-12-31", "owner": "gus"}))
    data = {"review_on": str(today + timedelta(days=2)), "owner": "gus"}
    assert ada.post(finish, data).status_code == 303
    assert fresh(rolling).status == Status.ROLLED_BACK
    words = page(rolling, cast.cy)
    assert "PAY-4.2 is rolled back" in words
    assert "0 min to detect, 0 min to decide, 0 min to restore" in words
    assert "Gus Rao" in words


# Around the step


def test_whoever_is_on_the_release_writes_in_the_log_and_strangers_do_not(rolling: Release, cast: Cast) -> None:
    address = url("rollback_log", rolling, 1)
    assert signed_in(cast.gus).post(address, {"text": "the old image is warm"}).status_code == 303
    assert "Gus Rao the old image is warm" in page(rolling, cast.cy)
    assert signed_in(cast.gus).post(address, {"text": " "}).status_code == 422
    assert signed_in(cast.cy).post(address, {"text": "hello"}).status_code == 403
    assert "Add a line to the log" not in markup(signed_in(cast.cy).get(url("rollback", rolling)))
    assert "You may write in the log" in page(rolling, cast.gus)


def test_by_htmx_a_line_answers_with_an_empty_field_and_the_log(rolling: Release, cast: Cast) -> None:
    answer = signed_in(cast.gus).post(url("rollback_log", rolling, 1), {"text": "warm"}, headers=HTMX)
    body = markup(answer)
    assert "<html" not in body
    assert 'id="log-form"' in body
    assert 'hx-swap-oob="true"' in body
    assert 'value="warm"' not in body
    assert "Gus Rao warm" in text(answer)


def test_the_next_update_is_promised_by_a_button_and_stands_in_the_message(rolling: Release, cast: Cast) -> None:
    assert "none yet" in page(rolling, cast.ada)
    answer = signed_in(cast.ada).post(url("rollback_promise", rolling, 1), {"minutes": "15"})
    assert answer.status_code == 303
    due = running(rolling).next_update_at
    assert due is not None
    message = text(signed_in(cast.ada).get(url("rollback_part", rolling, "status")))
    assert f"Next update {due.astimezone(rolling.zone):%H:%M}." in message
    assert "we are deciding between rollback and hotfix. Seen: error rate 4 %." in message
    with time_machine.travel(due + timedelta(minutes=1)):
        assert "overdue" in page(rolling, cast.ada)
    nonsense = signed_in(cast.ada).post(url("rollback_promise", rolling, 1), {"minutes": "soon"}, follow=True)
    assert "Say in how many minutes" in text(nonsense)


def test_another_takes_charge(rolling: Release, cast: Cast) -> None:
    assert "Take charge" not in page(rolling, cast.ada)
    assert "Take charge" in page(rolling, cast.dana)
    assert signed_in(cast.dana).post(url("rollback_charge", rolling, 1)).status_code == 303
    assert running(rolling).in_charge == cast.dana
    assert "took charge from Ada Lovelace" in page(rolling, cast.cy)


def test_a_form_of_a_rollback_that_has_ended_is_told_so(rolling: Release, cast: Cast) -> None:
    run_rollback(running(rolling), by=cast.ada)
    answer = signed_in(cast.ada).post(url("rollback_charge", rolling, 1), follow=True)
    assert "Rollback 1 of PAY-4.2 has ended" in text(answer)
    assert "The rollback has ended" in text(signed_in(cast.ada).get(url("rollback_part", rolling, "step")))


def test_a_second_rollback_shows_the_first_below(rolling: Release, cast: Cast) -> None:
    run_rollback(running(rolling), by=cast.ada, path="hotfix")
    rollback.trigger(fresh(rolling), "errors again", by=cast.eli)
    words = page(rolling, cast.cy)
    assert "saw: errors again" in words
    assert "Earlier rollbacks Rollback 1: hotfix" in words


@pytest.mark.parametrize("part", ["step", "steps", "status", "log"])
def test_each_region_answers_alone(rolling: Release, cast: Cast, part: str) -> None:
    answer = signed_in(cast.cy).get(url("rollback_part", rolling, part), headers=HTMX)
    assert f'id="{part}"' in markup(answer)
    assert "<html" not in markup(answer)
