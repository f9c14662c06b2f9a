"""An archive of a database: a zip file with one member of JSON lines a table, the same whatever database it came from.

Rows pass through one by one, so the size of a table does not matter. The directory of a zip file stands at its end and
each member has a checksum: a file that was cut off or damaged is known before anything of it is used.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MEDIA: Final = "media/"
BATCH: Final = 500  # rows written at once

Model = type[models.Model]


class NotUsable(Exception):
    """The file is no archive of ours, or not whole; the text says which."""


# Reading and writing tables


@contextmanager
def snapshot(using: str) -> Iterator[None]:
    """Everything read inside is of one moment, and nobody has to wait for the reader."""
    connection: Any = connections[using]
    if connection.vendor == "sqlite":
        # A transaction that begins IMMEDIATE would keep writers away; a reader of the write-ahead log need not.
        connection.ensure_connection()  # Django sets the mode when it connects, and a command has not asked yet
        usual, connection.transaction_mode = connection.transaction_mode, "DEFERRED"
        try:
            with transaction.atomic(using, durable=True):
                yield
        finally:
            connection.transaction_mode = usual
        return
    with transaction.atomic(using, durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield


def columns(model: Model) -> list[str]:
    return [field.attname for field in model._meta.local_concrete_fields]


def rows(model: Model, using: str) -> Iterator[dict[str, Any]]:
    """Each row by the names of its columns, in the order of keys."""
    names = columns(model)
    found = model._base_manager.using(using).order_by("pk").values_list(*names)
    for row in found.iterator(chunk_size=BATCH):
        yield dict(zip(names, row, strict=True))


def insert(model: Model, found: Iterable[Mapping[str, Any]], using: str) -> int:
    """Write rows as they are: no default, no "now" and no rule changes them. A missing column takes its default."""
    connection = connections[using]
    fields = model._meta.local_concrete_fields
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    statement = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
    written, source = 0, iter(found)
    with connection.cursor() as cursor:
        while batch := list(islice(source, BATCH)):
            cursor.executemany(statement, [_prepared(model, row, connection) for row in batch])
            written += len(batch)
    return written


def _prepared(model: Model, row: Mapping[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
    try:
        return [_stored(field, row, connection) for field in model._meta.local_concrete_fields]
    except (ValidationError, TypeError, ValueError, AttributeError) as failure:
        reason = " ".join(str(failure).split())
        raise NotUsable(f"a row of {model._meta.db_table} cannot be read ({reason})") from None


def _stored(field: models.Field[Any, Any], row: Mapping[str, Any], connection: BaseDatabaseWrapper) -> Any:
    value = row[field.attname] if field.attname in row else field.get_default()
    if isinstance(field, models.JSONField) and value is None and not field.null:
        return connection.ops.adapt_json_value(None, field.encoder)  # JSON's null, which is a value
    return field.get_db_prep_save(field.to_python(value), connection)


def plain(value: Any) -> str:
    """What JSON has no word for; `to_python` of its field reads it again, to the microsecond."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept in an archive")


# The file


class Writer:
    """Writes the members one after the other, and the manifest last; `stream` need not be seekable."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6)

    def table(self, model: Model, using: str) -> int:
        """Returns how many rows it has."""
        written = 0
        with self._zip.open(_member(model), "w", force_zip64=True) as out:
            for row in rows(model, using):
                out.write(json.dumps(row, ensure_ascii=False, default=plain, separators=(",", ":")).encode() + b"\n")
                written += 1
        return written

    def media(self, root: Path) -> int:
        """Every file below `root`; returns how many."""
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        for path in files:
            self._zip.write(path, MEDIA + path.relative_to(root).as_posix())
        return len(files)

    def close(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **manifest}, ensure_ascii=False, indent=1)
        self._zip.writestr(MANIFEST, text.encode())
        self._zip.close()


class Reader:
    """An archive that was found to be whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(stream)
            damaged = self._zip.testzip()
            self.manifest: dict[str, Any] = json.loads(self._zip.read(MANIFEST))
            said = self.manifest.get("format")
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, AttributeError, EOFError):
            raise NotUsable("this is no backup of relcoord, or it was cut off") from None
        if damaged:
            raise NotUsable(f"it is damaged: {damaged} is not what was written")
        if said != FORMAT:
            raise NotUsable(f"its format is {said!r}, and this relcoord reads format {FORMAT}")

    def rows(self, model: Model) -> Iterator[dict[str, Any]]:
        if _member(model) not in self._zip.NameToInfo:  # a table that came later
            return
        with self._zip.open(_member(model)) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError:
                    raise NotUsable(f"line {number} of {_member(model)} cannot be read") from None

    def files(self) -> list[str]:
        """The names of the media files, below their folder."""
        found = [name.removeprefix(MEDIA) for name in self._zip.namelist() if name.startswith(MEDIA)]
        for name in found:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise NotUsable(f"{name} lies outside of the media folder")
        return found

    def unpack(self, name: str, folder: Path) -> Path:
        """Copy one media file to its place below `folder`."""
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._zip.open(MEDIA + name) as source, target.open("xb") as out:
            shutil.copyfileobj(source, out)
        return target


def _member(model: Model) -> str:
    return f"tables/{model._meta.db_table}.jsonl"
