"""Two people at once, with real threads on a real database: verbs queue up instead of crossing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from releases import gonogo, readiness, ticking, workflow
from releases.errors import DomainError
from releases.models import Call, Choice, Decision, Item, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, seat, settle_gate, vote_go

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run `acts` in threads that start together; returns what each returned or raised."""
    start = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(index: int, act: Callable[[], Any]) -> None:
        start.wait(timeout=10)
        try:
            results[index] = act()
        except DomainError as refusal:
            results[index] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, act)) for index, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    return results


def chain_is_whole(release: Release) -> bool:
    events = list(release.events.order_by("sequence"))
    return [event.sequence for event in events] == list(range(1, fresh(release).event_sequence + 1))


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_reopening_and_a_go_never_both_stand(round_: int) -> None:
    cast = Cast()
    release = bring_to(ReleaseFactory(), Status.POLLING)
    vote_go(release)
    row = item(release, "All PRs merged")

    at_once(
        lambda: gonogo.decide(release, Call.GO, by=cast.ada, rationale="all green"),
        lambda: ticking.reopen(row, by=cast.ada),
    )

    after = fresh(release)
    open_items = Item.objects.of(after).gate().unsettled().exists()
    assert not (after.status == Status.CLEARED and open_items), "a GO stands on an open item"
    assert chain_is_whole(release)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_ten_ticks_at_once_all_stand_and_each_is_one_event(round_: int) -> None:
    cast = Cast()
    release = ReleaseFactory()
    rows = [row for row in Item.objects.of(release).gate() if row.kind != "sign_off"]
    proof = ticking.Proof(label="seen")

    results = at_once(
        *(
            lambda row=row: ticking.set_done(row, True, by=cast.ada, on_behalf="at once", proof=proof)  # type: ignore[misc]
            for row in [*rows, *rows]
        )
    )

    assert not [result for result in results if isinstance(result, Exception)]
    assert release.events.filter(action="item.done").count() == len(rows)
    assert chain_is_whole(release)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_ballot_and_the_decision_queue_up(round_: int) -> None:
    cast = Cast()
    release = bring_to(ReleaseFactory(), Status.POLLING)
    vote_go(release)

    at_once(
        lambda: gonogo.decide(release, Call.GO, by=cast.ada, rationale="all green"),
        lambda: gonogo.cast_ballot(release, seat(release, "QA Lead"), Choice.NO_GO, by=cast.ben, statement="no"),
    )

    decision = Decision.objects.filter(release=release).first()
    if decision is not None:
        standing = readiness.standing_ballots(decision.poll)
        tally = {entry["seat"]: entry["choice"] for entry in decision.tally}
        assert tally == {ballot.seat.role.name: ballot.choice for ballot in standing.values()}
    assert chain_is_whole(release)


def test_two_coordinators_screens_record_one_decision() -> None:
    cast = Cast()
    release = bring_to(ReleaseFactory(), Status.POLLING)
    vote_go(release)
    decide = lambda: gonogo.decide(release, Call.GO, by=cast.ada, rationale="all green")  # noqa: E731
    results = at_once(decide, decide, decide)
    assert sum(isinstance(result, Decision) for result in results) == 1
    assert Decision.objects.filter(release=release).count() == 1


def test_two_holds_at_once_are_one() -> None:
    cast = Cast()
    release = ReleaseFactory()
    hold = lambda: workflow.hold(release, "incident elsewhere", by=cast.ada)  # noqa: E731
    at_once(hold, hold, hold)
    assert release.holds.count() == 1
    settle_gate(release)
    assert chain_is_whole(release)
