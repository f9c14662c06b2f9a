"""Kept connections to PostgreSQL: one that is good is used without asking, one that has ended is noticed before use."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql import base

from releases.models import Heartbeat

HELPERS = "max_parallel_workers_per_gather"

pytestmark = pytest.mark.django_db(transaction=True)


def refuse(_: object) -> bool:
    raise AssertionError("the server was asked")


def test_a_good_connection_is_used_unasked_and_one_that_ended_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    connection.health_check_enabled, connection.health_check_done = True, False
    with monkeypatch.context() as while_all_is_well:
        while_all_is_well.setattr(base.DatabaseWrapper, "is_usable", refuse)
        assert Heartbeat.objects.count() == 0

    place = {key.lower(): connection.settings_dict[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    place = {key: value for key, value in place.items() if value}
    with psycopg.connect(dbname=connection.settings_dict["NAME"], **place) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert not connection.is_usable()
    connection.health_check_done = False
    assert Heartbeat.objects.count() == 0


def test_a_connection_comes_with_its_limits_and_without_helpers() -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*names, HELPERS]])
        found = dict(cursor.fetchall())
    assert found == {**dict(zip(names, ("2000", "5000", "60000"), strict=True)), HELPERS: "0"}
