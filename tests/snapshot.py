"""What the database holds, table by table: for tests that something changes it, or not one row of it."""

from __future__ import annotations

import hashlib

from django.db import connection

LEFT_OUT = {"django_session", "django_migrations"}  # a page may touch its session


def snapshot() -> dict[str, str]:
    """A hash of the rows of every table, whatever their order; sessions left out."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - LEFT_OUT
        return {table: _hash(cursor, table) for table in sorted(tables)}


def _hash(cursor: object, table: str) -> str:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # type: ignore[attr-defined]
    rows = sorted(repr(row) for row in cursor.fetchall())  # type: ignore[attr-defined]
    return f"{len(rows)} rows, {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()}"


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The tables that differ."""
    return sorted(table for table in before.keys() | after.keys() if before.get(table) != after.get(table))
