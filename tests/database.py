"""The test databases of a run: migrated once, copied for each worker, and emptied quickly after a test that committed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

Rows = set[tuple[Any, ...]]

TEMPLATE = "relcoord_template"


# Made once a run


@contextmanager
def _one_worker_at_a_time() -> Iterator[Path]:
    """Yields the folder of the run; the database the first worker migrates there is the others' template."""
    folder = Path(os.environ["VAR_DIR"])
    with (folder / "template.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder


def copy_instead_of_migrating() -> None:
    """Settle that the test database of this worker is a copy of the one that the first worker migrates."""
    test = connection.settings_dict["TEST"]
    with _one_worker_at_a_time() as folder:
        stamp = folder / "template.made"
        template = _template_name(folder)
        if not stamp.exists():
            _migrate(template)
            stamp.touch()
    test["MIGRATE"] = False
    if connection.vendor == "postgresql":
        test["TEMPLATE"] = template
    else:
        shutil.copyfile(template, test["NAME"])


def _template_name(folder: Path) -> str:
    return f"{TEMPLATE}_{folder.name[-8:]}" if connection.vendor == "postgresql" else str(folder / "template.sqlite3")


def _migrate(name: str) -> None:
    """Make a database of that name by the migrations, and leave it without a connection."""
    test, before = connection.settings_dict["TEST"], connection.settings_dict["NAME"]
    wanted, test["NAME"] = test["NAME"], name
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        if connection.vendor == "sqlite":  # everything into the one file that is copied
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
        test["NAME"] = wanted
        connection.settings_dict["NAME"] = before


def drop_template() -> None:
    """On a server that was given to us: leave nothing behind."""
    import psycopg

    folder = Path(os.environ["VAR_DIR"])
    with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{_template_name(folder)}"')


# Emptied after a test that committed


class Emptying:
    """Takes out what a test has put in. What migrations put in stays, with its keys; None of it may have changed."""

    def __init__(self) -> None:
        self.stays = {table: rows for table in _tables() if (rows := _rows(table))}

    def empty(self) -> bool:
        """False when it cannot be done in this quick way; nothing is done then."""
        if connection.vendor != "postgresql" or not _may_stop_triggers():
            return False
        if any(not rows <= _rows(table) for table, rows in self.stays.items()):
            return False
        quote = connection.ops.quote_name
        statements = ["BEGIN", "SET LOCAL session_replication_role = replica"]  # no foreign keys, no guards of events
        for table in _tables():
            kept = ", ".join(str(row[0]) for row in self.stays.get(table, ()))
            statements.append(f"DELETE FROM {quote(table)}" + (f" WHERE id NOT IN ({kept})" if kept else ""))
        with connection.cursor() as cursor:
            cursor.execute("; ".join([*statements, "COMMIT"]))
        return True


def _may_stop_triggers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT usesuper FROM pg_user WHERE usename = current_user")
        return bool(cursor.fetchone()[0])


def _tables() -> list[str]:
    """Those of our models, of Django's and of allauth's."""
    known = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed}
    return sorted(known - {MigrationRecorder.Migration._meta.db_table})


def _rows(table: str) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        return set(cursor.fetchall())
