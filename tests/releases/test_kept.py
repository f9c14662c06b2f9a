"""Queries whose statement is written once: they find what the ORM finds, each time anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases import ledger, permissions, readiness, reminders, sheet, ticking
from releases.models import Delegation, Item, OptOut, Phase, Release, Reminder
from releases.models import people as people_models
from releases.models import release as release_models
from releases.models import reminder as reminder_models
from releases.models.kept import Kept, KeptUpdate, put
from tests.factories import Cast, ReleaseFactory, item


def everything(row: models.Model) -> Any:
    """All that was read for a row, what hangs on it included."""
    own = {name: value for name, value in row.__dict__.items() if name != "_state"}
    beside = row._state.fields_cache
    return type(row), own, {name: found and everything(found) for name, found in beside.items()}


def asked(kept: Kept[Any], *values: Any) -> list[Any]:
    with CaptureQueriesContext(connection) as seen:
        found = kept(*values)
    assert len(seen) == 1
    return [everything(row) for row in found]


def test_each_finds_what_its_query_finds(release: Release, cast: Cast) -> None:
    ReleaseFactory()
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada, proof=ticking.Proof(label="seen"))
    ticking.write_note(release, "so it is", by=cast.ben, item=item(release, "All PRs merged"))
    today = timezone.localdate()
    away = {"starts_on": today, "ends_on": today, "created_at": timezone.now()}
    Delegation.objects.create(user=cast.ben, deputy=cast.cy, **away)
    pk, kind = release.pk, Reminder.Kind.MARK
    ledger.plan(timezone.now())
    OptOut.objects.create(user=cast.ben, kind=kind, at=timezone.now())
    planned, sent = Reminder.objects.filter(kind=kind, release=release, recipient=cast.ben).order_by("-rank")[:2]
    Reminder.objects.filter(pk=sent.pk).update(state="sent", sent_at=sent.due_at)
    for kept, *values in (
        (readiness._phases, pk),
        (readiness._rows, pk),
        (readiness._light_rows, pk),
        (readiness._actions_of, pk),
        (people_models._assignments, pk),
        (permissions._absences_on, pk, today),
        (sheet._notes, pk),
        (sheet._evidence, pk),
        (release_models._any, release.key),
        (release_models._with_part, release.key, cast.gus.pk, today),
        (release_models._locked, pk),
        (reminder_models._marks_under_way, pk, cast.ben.pk),
        (reminders._opted_out, cast.ben.pk, "mark"),
        (ledger._release_locked, planned.pk),
        (ledger._planned_row, planned.pk),
    ):
        with transaction.atomic():
            first, again = asked(kept, *values), asked(kept, *values)
            assert first == again == [everything(row) for row in kept.build(*values)]
            assert first or kept is readiness._actions_of


def updated(update: Callable[[], int]) -> tuple[int, list[str]]:
    """How many rows `update` changed, by which statement; and it is undone."""
    with transaction.atomic(), CaptureQueriesContext(connection) as seen:
        changed = update()
        transaction.set_rollback(True)
    return changed, [query["sql"] for query in seen if query["sql"].startswith("UPDATE")]


def test_each_update_is_the_one_the_orm_makes(release: Release) -> None:
    now, token, other = timezone.now(), "a" * 32, "b" * 32
    ledger.plan(now)
    row = Reminder.objects.filter(release=release, mark="T-4h")[0]
    due, until = row.due_at, row.due_at + timedelta(minutes=2)
    claimed = (row.pk, 0, due, until, token, 1, "<reminder-1@example.org>")
    held = (row.pk, token, due, until, release.pk, release.event_sequence)
    sent = (row.pk, token, due, "It's due", "250 '%s' taken")
    for update, right, *wrong in (
        (ledger._lease, claimed, (row.pk, 1, *claimed[2:]), (*claimed[:2], due - timedelta(days=1), *claimed[3:])),
        (ledger._hold_on_unchanged, held, (row.pk, other, *held[2:]), (*held[:5], release.event_sequence + 1)),
        (ledger._mark_sent, sent, (row.pk, other, *sent[2:])),
    ):
        for values, changes in ((right, 1), (right, 1), *((values, 0) for values in wrong)):
            rows, fields = update.build(*values)
            made = updated(lambda rows=rows, fields=fields: rows.update(**fields))
            assert updated(lambda update=update, values=values: update(*values)) == made
            assert (made[0], len(made[1])) == (changes, 1)
        update(*right)  # what the next one begins with


def test_what_changed_meanwhile_is_seen_and_values_stay_values(release: Release, cast: Cast) -> None:
    assert [row.state for row in readiness._rows(release.pk) if row.title == "All PRs merged"] == ["open"]
    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)
    assert [row.state for row in readiness._rows(release.pk) if row.title == "All PRs merged"] == ["done"]
    assert release_models._any("' OR ''='") == []
    assert release_models._any(release.key) == [release]


def test_a_value_that_is_not_in_the_statement_is_refused(release: Release) -> None:
    with pytest.raises(TypeError, match="not found in its statement"):
        Kept(lambda pk, day: Phase.objects.filter(release=pk), int, date)(release.pk, date.today())
    with pytest.raises(TypeError, match="not found in its statement"):
        KeptUpdate(lambda pk, name: (Phase.objects.filter(release=pk), {"position": 1}), int, str)(release.pk, "")


def test_what_was_put_is_not_asked_for_and_what_goes_beyond_it_is(release: Release) -> None:
    ReleaseFactory()
    phase = release.phases.all()[0]
    rows = list(phase.items.all())
    put(phase, "items", rows)
    with CaptureQueriesContext(connection) as seen:
        assert [row is rows[n] for n, row in enumerate(phase.items.all())] == [True] * len(rows)
    assert not seen
    assert set(phase.items.filter(required=True)) == set(Item.objects.filter(phase=phase, required=True))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_lock_outside_a_transaction_is_refused() -> None:
    Cast()
    release = ReleaseFactory()
    with transaction.atomic():
        assert Release.objects.lock(release) == release
    with pytest.raises(transaction.TransactionManagementError):
        Release.objects.lock(release)
