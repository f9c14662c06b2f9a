"""Statements that pages and the ledger make all the time, written by the ORM once.

Of a query with joins, Django needs several times as long to build and write the statement as the database to answer.
The statement is always the same, so here it is kept, and only its values change; what it finds is read from the
database each time, and made into models by Django's own hands. This reaches below what Django promises to keep
(`ModelIterable`, the compiler): on an upgrade `tests/releases/test_kept.py` says whether it still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.models.query import ModelIterable
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=models.Model)

# What stands in a statement where a value will be: nothing that occurs by itself.
MARKS: dict[type, Callable[[int], Any]] = {
    int: lambda place: 32_000 + place,  # fits in the smallest of columns
    str: lambda place: f"\ue000 value {place}",
    date: lambda place: date(1, 1, 1 + place),
    datetime: lambda place: datetime(1, 1, 1 + place, tzinfo=UTC),
}
Parameters = list[tuple[int | None, Any]]  # the place of a value that is given, or None and a value of its own


@dataclass(frozen=True)
class Written:
    """A statement for one kind of database."""

    compiler: Any  # Django's, without its connection
    sql: str
    parameters: Parameters
    converters: Any  # how columns become values; None where that needs the connection


class Kept(Generic[M]):
    """`Kept(lambda release: Phase.objects.filter(release=release), int)`: a query of values of these types.

    Only the values may differ from call to call, not the form of the statement: no lists, no None.
    """

    def __init__(self, build: Callable[..., models.QuerySet[M]], *types: type) -> None:
        self.build, self.types = build, types
        self.written: dict[str, Written] = {}

    def __call__(self, *values: Any) -> list[M]:
        """The rows, as the query would give them."""
        connection = connections[DEFAULT_DB_ALIAS]
        kept = self.written.get(connection.vendor) or self._write(connection)
        parameters = _filled(connection, kept.parameters, values)
        compiler = copy(kept.compiler)
        compiler.connection, compiler.as_sql = connection, lambda: (kept.sql, parameters)
        if kept.converters is not None:
            compiler.get_converters = lambda columns: kept.converters
        query = SimpleNamespace(get_compiler=lambda using: compiler)
        rows = SimpleNamespace(db=connection.alias, query=query, model=compiler.query.model, _known_related_objects={})
        return list(ModelIterable(rows))  # type: ignore[arg-type]

    def _write(self, connection: Any) -> Written:
        compiler = self.build(*_marks(self.types)).query.get_compiler(DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        found = _places(connection, self.types, sql, parameters)
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        used = [converter for several, _ in converters.values() for converter in several]
        bound = any(getattr(converter, "__self__", None) is connection.ops for converter in used)
        compiler.connection = None  # that of a thread which may end
        self.written[connection.vendor] = Written(compiler, sql, found, None if bound else converters)
        return self.written[connection.vendor]


class KeptUpdate:
    """`KeptUpdate(lambda pk, until: (Reminder.objects.filter(pk=pk), {"lease_until": until}), int, datetime)`.

    The same for an UPDATE: which rows, and what they are to hold. Expressions only where they are always the same.
    """

    def __init__(self, build: Callable[..., tuple[models.QuerySet[Any], dict[str, Any]]], *types: type) -> None:
        self.build, self.types = build, types
        self.written: dict[str, tuple[str, Parameters]] = {}

    def __call__(self, *values: Any) -> int:
        """Update; returns how many rows that were."""
        connection = connections[DEFAULT_DB_ALIAS]
        sql, parameters = self.written.get(connection.vendor) or self._write(connection)
        with transaction.mark_for_rollback_on_error(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(sql, _filled(connection, parameters, values))
            return int(cursor.rowcount)

    def _write(self, connection: Any) -> tuple[str, Parameters]:
        rows, fields = self.build(*_marks(self.types))
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(fields)  # type: ignore[attr-defined]  # of UpdateQuery, which the stubs take for Query
        sql, parameters = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        self.written[connection.vendor] = sql, _places(connection, self.types, sql, parameters)
        return self.written[connection.vendor]


def _marks(types: Iterable[type]) -> list[Any]:
    return [MARKS[kind](place) for place, kind in enumerate(types)]


def _places(connection: Any, types: Iterable[type], sql: str, parameters: Iterable[Any]) -> Parameters:
    """Where in a statement that was built with marks each value belongs."""
    places = {mark: place for place, mark in enumerate(_adapted(connection, _marks(types)))}
    found: Parameters = [(places.get(value), value) for value in parameters]
    if {place for place, _ in found} - {None} != set(places.values()):
        raise TypeError(f"a value of this query is not found in its statement: {sql}")
    return found


def _filled(connection: Any, parameters: Parameters, values: Iterable[Any]) -> tuple[Any, ...]:
    given = _adapted(connection, values)
    return tuple(value if place is None else given[place] for place, value in parameters)


def _adapted(connection: Any, values: Iterable[Any]) -> list[Any]:
    """`values` as Django hands them to the driver of this database."""
    return [_as_taken(connection.ops, value) for value in values]


def _as_taken(ops: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        return ops.adapt_datetimefield_value(value)
    return ops.adapt_datefield_value(value) if isinstance(value, date) else value


def put(owner: models.Model, name: str, rows: Iterable[models.Model]) -> None:
    """Let `owner.<name>.all()` give `rows` without asking, as after `prefetch_related`."""
    found = getattr(owner, name).get_queryset()
    found._result_cache, found._prefetch_done = list(rows), True
    owner.__dict__.setdefault("_prefetched_objects_cache", {})[name] = found


def given(owner: models.Model, name: str) -> list[Any]:
    """What `list(owner.<name>.all())` gives once it is put or prefetched, in fewer steps: for what each row asks."""
    return list(owner.__dict__["_prefetched_objects_cache"][name])


def has(owner: models.Model, name: str) -> bool:
    """Is `name` there already, put or prefetched?"""
    return name in owner.__dict__.get("_prefetched_objects_cache", ())
