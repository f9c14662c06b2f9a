"""Writing history: one event a change, numbered, hash-chained, canonical."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from releases import events, ticking, verify_record
from releases.errors import DomainError
from releases.models import Event
from tests.factories import Cast, ReleaseFactory, fresh, item

pytestmark = pytest.mark.django_db


def test_a_release_begins_its_chain_with_its_own_birth():
    release = ReleaseFactory()

    event = release.events.get()

    assert (event.sequence, event.action, event.previous_hash) == (1, "release.created", "")
    assert (release.event_sequence, release.event_head) == (1, event.hash)


def test_each_event_is_numbered_and_hashed_onto_the_one_before():
    release = ReleaseFactory()
    for _ in range(3):
        events.record(release, "release.noted", by=release.coordinator, text="still here")

    chain = list(release.events.order_by("sequence"))

    assert [event.sequence for event in chain] == [1, 2, 3, 4]
    assert [event.previous_hash for event in chain] == ["", *(event.hash for event in chain[:-1])]
    assert fresh(release).event_head == chain[-1].hash


def test_an_event_is_hashed_over_the_canonical_form_that_the_docstring_of_verify_record_names():
    release = ReleaseFactory()
    event = events.record(
        release, "release.noted", by=release.coordinator, text="Grüße, “ja”", n=3, flag=True, none=None
    )
    body = {
        "release": release.key,
        "sequence": 2,
        "at": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor_id": release.coordinator.pk,
        "actor": "Ada Lovelace",
        "role": "Release Coordinator",
        "action": "release.noted",
        "object_type": "release",
        "object_id": str(release.pk),
        "object_name": f"{release.key} Payments",
        "before": {},
        "after": {},
        "data": {"text": "Grüße, “ja”", "n": 3, "flag": True, "none": None},
    }
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert event.hash == hashlib.sha256(f"{event.previous_hash}\n{canonical}".encode()).hexdigest()


def test_what_comes_back_from_the_database_has_the_hash_it_was_written_with():
    release = ReleaseFactory()
    events.record(
        release,
        "release.noted",
        by=release.coordinator,
        text="line\nbreak \t “quotes” \\ \U0001f680 <b>",
        nested={"b": [1, {"a": date(2026, 11, 26)}], "a": True},
    )

    event = Event.objects.select_related("release").get(sequence=2)

    assert events.digest(events.body(event), event.previous_hash) == event.hash


def test_the_program_and_the_server_compute_the_same_hash():
    body = {"é": "ü", "b": [1, None, True], "a": {"z": "\u2028", "y": ""}}

    assert verify_record.digest(body, "ab") == events.digest(body, "ab")


def test_the_actor_and_the_role_held_then_are_kept_as_text():
    cast, release = Cast(), ReleaseFactory()
    ticking.set_done(item(release, "QA sign-off obtained"), True, by=cast.ben)
    release.assignments.filter(user=cast.ben).delete()
    cast.ben.name = "Ben Renamed"
    cast.ben.save(update_fields=["name"])

    event = release.events.get(action="item.done")

    assert (event.actor_id, event.actor, event.role) == (cast.ben.pk, "Ben Osei", "QA Lead")


def test_what_nobody_did_has_the_system_as_its_actor():
    release = ReleaseFactory()

    event = events.record(release, "item.followed", by=None, on=item(release, "Order cake"))

    assert (event.actor_id, event.actor, event.role) == (None, "relcoord", "")


def test_instants_are_written_in_utc_with_microseconds_and_days_as_days():
    kathmandu = timezone(timedelta(hours=5, minutes=45))

    written = events.plain({"at": datetime(2026, 11, 26, 14, 0, 0, 5, tzinfo=kathmandu), "on": date(2026, 11, 26)})

    assert written == {"at": "2026-11-26T08:15:00.000005Z", "on": "2026-11-26"}


def test_people_and_things_are_written_with_id_and_name():
    ada = Cast().ada

    assert events.plain({"to": ada}) == {"to": {"id": ada.pk, "name": "Ada Lovelace"}}


def test_floats_are_refused():
    release = ReleaseFactory()

    with pytest.raises(TypeError, match="floats"):
        events.record(release, "release.noted", by=release.coordinator, share=0.5)

    assert release.events.count() == 1


def test_a_refused_verb_leaves_no_event():
    release = ReleaseFactory()

    with pytest.raises(DomainError):
        ticking.block(item(release, "Order cake"), " ", by=release.coordinator)

    assert release.events.count() == 1
    assert fresh(release).event_sequence == 1
