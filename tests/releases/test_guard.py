"""Events are append-only: the database itself refuses, on both databases."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from releases.models import Event
from releases.models.guard import REFUSAL, TABLE, guards_stand, lift_guards, put_back_guards
from tests.factories import ReleaseFactory

pytestmark = pytest.mark.django_db

STATEMENTS = {
    "update": f"UPDATE {TABLE} SET actor = 'Nobody'",
    "update that changes nothing": f"UPDATE {TABLE} SET actor = actor",
    "delete": f"DELETE FROM {TABLE}",
    "delete of one": f"DELETE FROM {TABLE} WHERE sequence = 1",
}


@pytest.fixture
def event():
    return ReleaseFactory().events.get()


def refuses(statement):
    with pytest.raises(DatabaseError, match=REFUSAL), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_the_database_refuses_to_change_or_remove_an_event(event, statement):
    refuses(statement)

    assert Event.objects.get(pk=event.pk).actor == event.actor


@pytest.mark.postgres  # SQLite has no TRUNCATE
def test_postgresql_refuses_to_truncate_the_events(event):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or PostgreSQL refuses for another reason
    refuses(f"TRUNCATE {TABLE}")
    refuses(f"TRUNCATE {TABLE} CASCADE")

    assert Event.objects.count() == 1


def test_the_orm_is_refused_as_well(event):
    for change in (event.delete, event.save, lambda: Event.objects.update(actor="Nobody")):
        with pytest.raises(DatabaseError, match=REFUSAL), transaction.atomic():
            change()


def test_an_event_can_be_added(event):
    assert Event.objects.count() == 1


def test_a_migration_puts_the_triggers_back(event):
    lift_guards()
    assert not guards_stand()

    call_command("migrate", "releases", verbosity=0)

    assert guards_stand()
    refuses(STATEMENTS["delete"])


def test_putting_the_triggers_back_twice_is_as_once(event):
    put_back_guards()
    put_back_guards()

    assert guards_stand()


def test_the_triggers_stand_after_the_database_was_made():
    assert guards_stand()
