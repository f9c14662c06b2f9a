"""Random histories against the model: nothing lost, stale, out of order or double. And it proves that it would see it."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from tests.reliability import faults
from tests.reliability.driver import play_all
from tests.reliability.history import HOUR, MINUTE, ZONES, Happening, History, Start, history
from tests.reliability.judge import Verdict, judge
from tests.reliability.model import LEAD, Account, Sent, marks, owed

pytestmark = [pytest.mark.django_db]

HISTORIES, A_CHUNK = 300, 30  # half of them on each database
ON_SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
PLAYED_HERE = range(HISTORIES // 2, HISTORIES) if ON_SQLITE else range(HISTORIES // 2)
AS_FAR_AS = 60  # histories in which a fault has to show
SHOWS_FROM = {  # where each shows soon; any other number is as good and slower
    faults.no_catch_up_window: 1,
    faults.window_without_end: 20,
    faults.no_rank_guard: 21,
    faults.no_version_check: 12,
    faults.mark_before_send: 18,
    faults.no_lease_sweep: 1,
    faults.no_renewal: 1,
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A history that fails is told by its seed; thousands of warnings about a dead server would hide it."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def verdict(told: History) -> Verdict:
    return judge(told, play_all([told])[0])


@pytest.mark.parametrize("first", PLAYED_HERE[::A_CHUNK])
def test_no_mark_is_lost_stale_out_of_order_or_double(first: int) -> None:
    histories = [history(seed) for seed in range(first, first + A_CHUNK)]
    accounts = play_all(histories)
    found = [
        f"{line}\n{told}"
        for told, account in zip(histories, accounts, strict=True)
        for line in judge(told, account).wrong
    ]
    assert not found, "\n\n".join(found)
    assert sum(len(account.sent) for account in accounts) > A_CHUNK, "mails flowed"


@pytest.mark.parametrize("seed", [591, 698, 1017, 1169, 1433])
def test_a_mark_under_way_while_its_release_moved_is_owed_again_when_its_sender_is_dead(seed: int) -> None:
    assert verdict(history(seed)).wrong == []


@pytest.mark.parametrize("seed", [7370])
def test_a_sender_that_is_stopped_twice_hands_over_nothing_that_is_no_longer_its_own(seed: int) -> None:
    assert verdict(history(seed)).wrong == []


@pytest.mark.parametrize("seed", [8506])
def test_a_mark_that_a_clock_set_back_puts_before_us_again_comes_in_its_new_plan(seed: int) -> None:
    """It was past when the release moved. By the clock that is right again it is not."""
    assert verdict(history(seed)).wrong == []


@pytest.mark.postgres
@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_the_simulation_sees_each_rule_that_is_left_out(fault: faults.Fault) -> None:
    first = SHOWS_FROM[fault]
    with fault():
        assert any(verdict(history(seed)).wrong for seed in range(first, first + AS_FAR_AS))


def test_a_history_is_the_same_each_time_and_no_other() -> None:
    assert history(4711) == history(4711)
    assert history(4711).start == history(4712).start
    assert history(4711).happenings != history(4712).happenings


@pytest.mark.parametrize("name", ["model", "history", "judge"])
def test_what_should_have_been_sent_is_not_asked_of_the_application(name: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {entry.name for node in ast.walk(tree) if isinstance(node, ast.Import) for entry in node.names}
    known = {module.split(".")[0] for module in found if module}
    assert known & {"releases", "checklists", "relcoord", "django"} == set()
    assert {module for module in found if module and module.startswith("tests")} <= {
        "tests.reliability.model",
        "tests.reliability.history",
    }


# The judge itself, on accounts made by hand

BEGINS = datetime(2027, 6, 1, 9, 0, tzinfo=UTC)
T_ZERO = BEGINS + 48 * HOUR
T_1D, T_4H = 24 * HOUR, 44 * HOUR


def told(*happenings: Happening) -> History:
    return History(0, Start("UTC", ("T-1d", "T-4h"), BEGINS, T_ZERO), happenings, 49 * HOUR)


def sent(at: timedelta, mark: str, to: str = LEAD, number: str = "") -> Sent:
    return Sent(at, to, mark, number or f"{to} {mark} {at}")


ALL = [sent(T_1D, "T-1d"), sent(T_1D, "T-1d", "Ben"), sent(T_4H, "T-4h"), sent(T_4H, "T-4h", "Ben")]


def test_a_quiet_release_owes_each_mark_to_each_person_once() -> None:
    assert [(entry.to, entry.mark.name) for entry in owed(told(), Account())] == [
        ("Ada", "T-1d"),
        ("Ben", "T-1d"),
        ("Ada", "T-4h"),
        ("Ben", "T-4h"),
    ]
    assert judge(told(), Account(ALL)).wrong == []


def test_the_judge_sees_a_lost_mail() -> None:
    assert len(judge(told(), Account(ALL[1:])).lost) == 1


def test_four_minutes_are_no_chance_and_five_are() -> None:
    def away(until: timedelta) -> History:
        return told(Happening(T_1D - HOUR, 0, "down"), Happening(until, 1, "up"))

    assert len(judge(away(T_4H - 5 * MINUTE), Account(ALL[2:])).lost) == 2
    assert judge(away(T_4H - 4 * MINUTE), Account(ALL[2:])).lost == ()


def test_a_death_begins_the_five_minutes_anew() -> None:
    late = told(Happening(T_1D - HOUR, 0, "down"), Happening(T_4H - 8 * MINUTE, 1, "up"))
    assert judge(late, Account(ALL[2:], deaths=[(T_4H - 4 * MINUTE, "")])).lost == ()


def test_the_judge_sees_a_mail_of_another_time_or_for_nobody() -> None:
    held = told(Happening(T_1D - HOUR, 0, "held"))
    assert len(judge(held, Account(ALL)).stale) == 4
    assert len(judge(told(), Account([*ALL, sent(T_1D, "T-1d", "Cy")])).stale) == 1
    assert len(judge(told(), Account([sent(T_1D - MINUTE, "T-1d"), *ALL[1:]])).stale) == 1
    gone = told(Happening(T_1D - HOUR, 0, "holds", who="Cy"))
    assert [line.split()[2] for line in judge(gone, Account(ALL)).stale] == ["Ben", "Ben"]


def test_five_seconds_are_grace_for_what_was_under_way() -> None:
    def cancelled(before: timedelta) -> Verdict:
        return judge(told(Happening(T_1D, 0, "cancelled")), Account([sent(T_1D + before, "T-1d")]))

    assert cancelled(timedelta(seconds=4)).stale == ()
    assert len(cancelled(timedelta(seconds=6)).stale) == 1


def test_the_judge_sees_marks_out_of_order() -> None:
    back = told(Happening(T_4H + MINUTE, 0, "clock set", by=-HOUR))
    late = sent(T_4H + 2 * MINUTE, "T-1d", "Ben")
    assert judge(back, Account([ALL[0], *ALL[2:], late])).out_of_order == (
        f"T-1d to Ben at +1 day, 20:02:00, {late.message_id}",
    )


def test_a_second_copy_is_double_unless_a_death_explains_it() -> None:
    again = Account([*ALL, Sent(T_4H + MINUTE, "Ben", "T-4h", ALL[3].message_id)])
    assert len(judge(told(), again).double) == 1
    again.deaths.append((T_4H, ALL[3].message_id))
    assert judge(told(), again).double == ()
    other = Account([*ALL, sent(T_4H + MINUTE, "T-4h", "Ben")])
    assert len(judge(told(), other).double) == 1


def test_who_had_a_mark_that_is_past_when_the_release_moves_is_not_asked_again() -> None:
    moved = told(Happening(T_1D + HOUR, 0, "moved", to=T_ZERO - 30 * MINUTE))
    assert judge(moved, Account(ALL[:2])).double == ()
    assert len(judge(moved, Account([*ALL, sent(T_1D + 2 * HOUR, "T-1d", "Ben")])).double) == 1


@pytest.mark.parametrize("zone", ZONES)
def test_the_model_keeps_the_wall_clock_for_days_and_counts_hours(zone: str) -> None:
    found = marks(zone, ("T-1d", "T-4h"), T_ZERO)
    assert [mark.due for mark in found] == [T_ZERO - 24 * HOUR, T_ZERO - 4 * HOUR]
    assert [mark.until for mark in found] == [found[1].due, T_ZERO]


def test_the_model_knows_clock_changes() -> None:
    t_zero = datetime(2027, 3, 28, 7, 0, tzinfo=UTC)  # 09:00 in Berlin, on the day the clock is set forward
    assert [mark.due for mark in marks("Europe/Berlin", ("T-1d", "T-24h"), t_zero)] == [
        t_zero - 24 * HOUR,
        t_zero - 23 * HOUR,
    ]
