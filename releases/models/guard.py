"""Triggers that make the event table refuse UPDATE, DELETE and TRUNCATE, on both databases."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

TABLE = "releases_event"
REFUSAL = "events are append-only"

_POSTGRESQL = [
    f"""CREATE OR REPLACE FUNCTION releases_event_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    f"DROP TRIGGER IF EXISTS releases_event_no_change ON {TABLE}",
    f"""CREATE TRIGGER releases_event_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION releases_event_refuse()""",
    f"DROP TRIGGER IF EXISTS releases_event_no_truncate ON {TABLE}",
    f"""CREATE TRIGGER releases_event_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION releases_event_refuse()""",
]
_SQLITE = [
    f"""CREATE TRIGGER IF NOT EXISTS releases_event_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS releases_event_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
]
_LIFT = {
    "postgresql": [
        f"DROP TRIGGER IF EXISTS releases_event_no_change ON {TABLE}",
        f"DROP TRIGGER IF EXISTS releases_event_no_truncate ON {TABLE}",
    ],
    "sqlite": [
        "DROP TRIGGER IF EXISTS releases_event_no_update",
        "DROP TRIGGER IF EXISTS releases_event_no_delete",
    ],
}
_COUNT = {
    "postgresql": "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = to_regclass('releases_event')",
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'releases_event'",
}


def put_back_guards(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Install the triggers where they are missing. Runs after every migration; safe to repeat."""
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    _run(using, _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE)


def lift_guards(using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop the triggers. Only the test flush may do this."""
    _run(using, _LIFT[connections[using].vendor])


def guards_stand(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Are both triggers there?"""
    with connections[using].cursor() as cursor:
        cursor.execute(_COUNT[connections[using].vendor])
        return bool(cursor.fetchone()[0] == 2)


def _run(using: str, statements: list[str]) -> None:
    with connections[using].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
