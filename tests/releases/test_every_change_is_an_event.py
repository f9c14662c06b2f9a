"""Every change of a release is one event: what the verbs did is read back from the events alone."""

from __future__ import annotations

import pytest

from releases.models import Item, Release, Status
from tests.factories import bring_to

EXPECTED = {
    Status.POLLING: ["poll.opened"],
    Status.NO_GO: ["decision.recorded"],
    Status.CLEARED: ["decision.recorded"],
    Status.DEPLOYING: ["override.recorded", "deployment.started"],
    Status.DEPLOYED: ["watch.started", "watch.ended", "deployment.finished"],
    Status.CLOSED: ["release.closed"],
    Status.ROLLING_BACK: ["rollback.triggered"],
    Status.ROLLED_BACK: ["rollback.assessed", "rollback.finished"],
    Status.CANCELLED: ["release.cancelled"],
}


@pytest.mark.parametrize("status", EXPECTED)
def test_each_state_is_reached_with_its_events(status: Status, release: Release) -> None:
    release = bring_to(release, status)
    actions = list(release.events.order_by("sequence").values_list("action", flat=True))
    assert set(EXPECTED[status]) <= set(actions)


@pytest.mark.parametrize("status", list(Status))
def test_the_status_follows_from_the_events_alone(status: Status, release: Release) -> None:
    release = bring_to(release, status)
    said = [event.after["status"] for event in release.events.order_by("sequence") if "status" in event.after]
    assert said[-1] == status
    before = [event.before["status"] for event in release.events.order_by("sequence") if "status" in event.before]
    assert before == said[:-1]


@pytest.mark.parametrize("status", list(Status))
def test_item_states_follow_from_the_events_alone(status: Status, release: Release) -> None:
    release = bring_to(release, status)
    states: dict[str, str] = {}
    for event in release.events.order_by("sequence"):
        states |= event.after.get("items", {})
        if event.object_type == "item" and "state" in event.after:
            states[event.object_id] = event.after["state"]
    assert states == {str(item.pk): item.state for item in Item.objects.of(release)}


def test_the_events_are_numbered_without_a_gap_and_chained(release: Release) -> None:
    release = bring_to(release, Status.CLOSED)
    events = list(release.events.order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.previous_hash for event in events] == ["", *(event.hash for event in events[:-1])]
    assert (release.event_sequence, release.event_head) == (events[-1].sequence, events[-1].hash)
