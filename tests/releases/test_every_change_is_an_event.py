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


@pytest.mark.parametrize("status", list(Status))
def test_each_state_is_reached_with_its_events_and_follows_from_them_alone(status: Status, release: Release) -> None:
    release = bring_to(release, status)
    history = list(release.events.order_by("sequence"))
    assert set(EXPECTED.get(status, ())) <= {event.action for event in history}
    said = [event.after["status"] for event in history if "status" in event.after]
    assert said[-1] == status
    assert [event.before["status"] for event in history if "status" in event.before] == said[:-1]
    states: dict[str, str] = {}
    for event in history:
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
