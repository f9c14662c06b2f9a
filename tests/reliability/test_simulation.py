"""Random histories against the model: nothing lost, stale, out of order or double. And it proves that it would see it."""

from __future__ import annotations

import pytest

from tests.reliability.driver import play_all
from tests.reliability.history import history
from tests.reliability.judge import judge

pytestmark = [pytest.mark.django_db]

HISTORIES, A_CHUNK = 300, 50


def findings(seeds: range) -> list[str]:
    """What the judge says of these histories, each with its seed."""
    histories = [history(seed) for seed in seeds]
    played = zip(histories, play_all(histories), strict=True)
    return [f"{line}\n{told}" for told, account in played for line in judge(told, account).wrong]


@pytest.mark.parametrize("first", range(0, HISTORIES, A_CHUNK))
def test_no_mark_is_lost_stale_out_of_order_or_double(first: int) -> None:
    found = findings(range(first, first + A_CHUNK))
    assert not found, "\n\n".join(found)
