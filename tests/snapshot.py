"""What the database holds, table by table: for tests that something changes it, or not one row of it."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from django.db import connection

LEFT_OUT = {"django_session", "django_migrations"}  # a page may touch its session


def snapshot() -> dict[str, str]:
    """A hash of the rows of every table, whatever their order; sessions left out."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            return _hashed_there(cursor)
        return {table: _hash(cursor, table) for table in tables()}


@cache
def tables() -> list[str]:
    return sorted(set(connection.introspection.table_names()) - LEFT_OUT)


def _hashed_there(cursor: Any) -> dict[str, str]:
    """All tables in one statement: the sum of a 64-bit hash of each row, taken by the database."""
    one = (
        "SELECT {name}, count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t"
    )
    parts = [one.format(name=f"'{table}'", table=connection.ops.quote_name(table)) for table in tables()]
    cursor.execute(" UNION ALL ".join(parts))
    return dict(cursor.fetchall())


def _hash(cursor: Any, table: str) -> str:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
    rows = sorted(repr(row) for row in cursor.fetchall())
    return f"{len(rows)} rows, {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()}"


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The tables that differ."""
    return sorted(table for table in before.keys() | after.keys() if before.get(table) != after.get(table))
