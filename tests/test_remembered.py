"""What is written down again is what the verbs made: row by row, and only where nothing else was written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.models import User
from releases.audit import audit
from releases.models import Release, Status
from tests import remembered
from tests.factories import Cast, ReleaseFactory, bring_to, fresh
from tests.snapshot import changed, snapshot

pytestmark = pytest.mark.django_db


def closed(*, first: Any = lambda: None) -> tuple[Release, dict[str, str], int, list[str]]:
    """A test that brings a release to its end: the release, all rows, how many questions it took, what is to follow."""
    remembered.begin()
    with transaction.atomic():
        first()
        before = len(connection.run_on_commit)
        with CaptureQueriesContext(connection) as asked:
            release = bring_to(ReleaseFactory(key="PAY-4.2"), Status.CLOSED)
        follows = sorted({type(entry[1]).__name__ for entry in connection.run_on_commit[before:]})
        assert audit(fresh(release)).finding is None
        assert release.coordinator == Cast().ada
        found = release, snapshot(), len(asked), follows
        transaction.set_rollback(True)
    return found


def test_the_second_time_the_same_rows_are_written_without_asking_anything() -> None:
    with time_machine.travel(timezone.now(), tick=False):
        made, rows, questions, follows = closed()
        again, same_rows, few, same_follows = closed()
    assert changed(rows, same_rows) == []
    assert (again, again.status, again.event_sequence) == (made, Status.CLOSED, made.event_sequence)
    assert follows == same_follows == ["_Tell", "function"]
    assert few < 100 < questions


def test_after_anything_else_was_written_the_verbs_run() -> None:
    closed()
    assert closed(first=lambda: User.objects.create_user(name="Max", email="max@example.org"))[2] > 100


def test_what_is_old_is_made_anew() -> None:
    closed()
    with time_machine.travel(timezone.now() + remembered.LASTS + timedelta(seconds=1), tick=False):
        assert closed()[2] > 100


def test_other_arguments_are_another_step() -> None:
    remembered.begin()
    one, other = ReleaseFactory(), ReleaseFactory(title="Another")
    assert (one.title, other.title) == ("Payments", "Another")
    assert Release.objects.count() == 2
