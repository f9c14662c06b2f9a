"""What many tests begin with is made once a worker, by the verbs, and from then on written down again row by row.

`@remembered` is for functions that bring the database from one state to another and depend on nothing but that
state, their arguments and the time: `Cast()`, `ReleaseFactory(...)`, `bring_to(release, status)`. The first call
in a state runs and is recorded: the rows it made, changed and removed, what it returned, what it left in its
arguments, what is to happen on commit. The next call of it in the very same state writes those rows in one go.

"The very same state" is known, not guessed: every test begins with the database nobody wrote to, each step leads
from one known state to another, and any other write leads out of what is known (`_watch` sees each statement).
From there on the functions simply run. They do so, too, in tests whose changes are committed, with rows of a
module (`kept`), and when the recording is older than LASTS: a release made now and one made then differ.
"""

from __future__ import annotations

import functools
import pickle
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, ParamSpec, TypeVar

from django.apps import apps
from django.db import connection, models, transaction
from django.utils import timezone

from tests.noon import is_travelling

P = ParamSpec("P")
R = TypeVar("R")
Rows = dict[Any, tuple[Any, ...]]  # by primary key

LASTS = timedelta(seconds=90)  # far below what any rule of the product counts in, but for its countdowns
LASTS_TRAVELLING = timedelta(seconds=1)  # where a test has stopped the clock it may count on the second

HARMLESS = re.compile(r"\s*(SELECT|SAVEPOINT|RELEASE|SET CONSTRAINTS|EXPLAIN|PRAGMA)\b", re.IGNORECASE)
WRITES = re.compile(r'\s*(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM)\s+"(\w+)"', re.IGNORECASE)


class State:
    """What the database holds, and the steps that are known to lead on from here."""

    def __init__(self, holds: dict[str, Rows]) -> None:
        self.holds = holds
        self.steps: dict[Hashable, Step] = {}


@dataclass(frozen=True)
class Step:
    """One call, recorded."""

    at: datetime
    travelling: bool
    to: State
    tables: set[str]
    statements: list[tuple[str, list[Any]]]
    left: bytes  # what it returned, its arguments afterwards, what is to happen on commit
    script: str = ""  # the statements as one text, where the database takes that

    def still_holds(self) -> bool:
        lasts = LASTS_TRAVELLING if self.travelling else LASTS
        return self.travelling == is_travelling() and timedelta() <= timezone.now() - self.at <= lasts


@dataclass
class _Where:
    """Where the database of this worker stands. `state` is None when that is not known."""

    start: State | None = None
    state: State | None = None
    written: list[set[str]] = field(default_factory=list)  # for each step being recorded: the tables it wrote to


_where = _Where()


def begin() -> None:
    """A test begins: nothing is written yet."""
    if _watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(_watch)
    if _where.start is None:
        _where.start = State({})
    _where.state = _where.start
    _where.written.clear()


def forget() -> None:
    """The database was emptied, or made anew: what tests begin with may have other keys."""
    _where.start = _where.state = None


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """See above."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        name = _key((function.__module__, function.__qualname__, args, kwargs))
        if name is None or _where.state is None or not _in_a_test():
            return function(*args, **kwargs)
        step = _where.state.steps.get(name)
        if step is not None and step.still_holds():
            return _again(step, args, kwargs)
        return _record(_where.state, name, function, args, kwargs)

    return call


# Recording


def _record(before: State, name: Hashable, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if not before.holds:
        before.holds = {table: _rows(table) for table in _tables()}
    at, waiting = timezone.now(), len(connection.run_on_commit)
    _where.written.append(set())
    try:
        result = function(*args, **kwargs)
    except BaseException:
        _where.written.clear()
        _where.state = None
        raise
    if len(_where.written) == 0:  # see `_watch`
        return result
    written = _where.written.pop()
    callbacks = [entry[1:] for entry in connection.run_on_commit[waiting:]]
    try:
        left = pickle.dumps((result, args, kwargs, callbacks))
    except (pickle.PicklingError, AttributeError, TypeError):
        return result
    after = before.holds | {table: _rows(table) for table in written}
    statements = [line for table in sorted(written) for line in _changes(table, before.holds[table], after[table])]
    to = State(after) if statements else before
    before.steps[name] = Step(at, is_travelling(), to, written, statements, left, _as_script(statements))
    _where.state = to
    return result


def _watch(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Every statement passes here. One that writes leads out of the known state; a step being recorded notes where."""
    text = str(sql)
    if not HARMLESS.match(text):
        _where.state = None
        if table := WRITES.match(text):
            _note({table[1]})
        else:  # something was rolled back, or done in another way than by rows: not to be recorded
            _where.written.clear()
    return execute(sql, params, many, context)


def _note(tables: set[str]) -> None:
    for written in _where.written:
        written |= tables


def _changes(table: str, before: Rows, after: Rows) -> Iterator[tuple[str, list[Any]]]:
    quote = connection.ops.quote_name
    columns = _columns(table)
    gone = [key for key in before if key not in after]
    if gone:
        places = ", ".join(["%s"] * len(gone))
        yield f"DELETE FROM {quote(table)} WHERE {quote(columns[0])} IN ({places})", gone
    for key, row in after.items():
        if key in before and before[key] != row:
            differ = [index for index, value in enumerate(row) if value != before[key][index]]
            sets = ", ".join(f"{quote(columns[index])} = %s" for index in differ)
            yield (
                f"UPDATE {quote(table)} SET {sets} WHERE {quote(columns[0])} = %s",
                [*(row[index] for index in differ), key],
            )
    new = [row for key, row in after.items() if key not in before]
    if new:
        names = ", ".join(quote(column) for column in columns)
        one = "(" + ", ".join(["%s"] * len(columns)) + ")"
        for some in (new[start : start + 30] for start in range(0, len(new), 30)):  # SQLite counts parameters
            yield (
                f"INSERT INTO {quote(table)} ({names}) VALUES {', '.join([one] * len(some))}",
                [value for row in some for value in row],
            )


@cache
def _tables() -> dict[str, list[str]]:
    """The columns of each table, its primary key first."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        columns = [str(one.column) for one in model._meta.local_concrete_fields if not one.primary_key]
        found[model._meta.db_table] = [str(model._meta.pk.column), *columns]
    return found


def _columns(table: str) -> list[str]:
    return _tables()[table]


def _rows(table: str) -> Rows:
    names = ", ".join(connection.ops.quote_name(column) for column in _columns(table))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {connection.ops.quote_name(table)}")
        return {row[0]: tuple(row) for row in cursor.fetchall()}


def _as_script(statements: list[tuple[str, list[Any]]]) -> str:
    """For PostgreSQL: everything in one message to the server."""
    if connection.vendor != "postgresql" or not statements:
        return ""
    with connection.cursor() as cursor:
        return ";\n".join(cursor.mogrify(sql, values) for sql, values in statements)


# Writing it down again


def _again(step: Step, args: Any, kwargs: Any) -> Any:
    if step.statements:
        _write(step)
        _note(step.tables)
        _where.state = step.to
    result, args_then, kwargs_then, callbacks = pickle.loads(step.left)
    for now, then in zip((*args, *kwargs.values()), (*args_then, *kwargs_then.values()), strict=True):
        if isinstance(now, models.Model):
            now.__dict__.update(then.__dict__)
            result = now if result is then else result
    for callback, robust in callbacks:
        transaction.on_commit(callback, robust=robust)
    return result


def _write(step: Step) -> None:
    connection.execute_wrappers.remove(_watch)
    try:
        with connection.cursor() as cursor:
            if step.script:
                cursor.execute(step.script)
            else:
                for sql, values in step.statements:
                    cursor.execute(sql, values)
    finally:
        connection.execute_wrappers.append(_watch)


def _in_a_test() -> bool:
    """Is the transaction around us that of one test, which is rolled back at its end?"""
    blocks = connection.atomic_blocks
    return bool(blocks) and getattr(blocks[0], "_from_testcase", False)


def _key(value: Any) -> Hashable | None:
    """Something equal for equal arguments; None for what cannot be compared, or is another one each second."""
    if isinstance(value, models.Model):
        return (value._meta.label, value.pk)
    if isinstance(value, str | int | float | Enum | timedelta) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, datetime | date):
        return value if is_travelling() else None
    if isinstance(value, dict):
        value = [part for item in value.items() for part in item]
    elif is_dataclass(value) and not isinstance(value, type):
        value = [type(value).__name__, *(getattr(value, one.name) for one in fields(value))]
    if isinstance(value, list | tuple):
        keys = tuple(_key(part) for part in value)
        return None if None in keys else keys
    return None
