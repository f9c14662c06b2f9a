"""Backup and restore of a whole site: `manage.py backup`, `manage.py restore`; the move from SQLite to PostgreSQL.

A restore is one transaction: it loads, counts, verifies every chain, sees to the mails, and only then is anything so.
No mail may go out twice because of it: what the old site may have sent after the backup was taken is held back, and the
Reminders pages say so. How much a backup can know of that is told in docs/backing-up.md.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RunPython, RunSQL
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from django.utils import timezone

import relcoord
from relcoord.lib.archive import Model, NotUsable, Reader, Writer, columns, insert, snapshot
from releases import health, ledger
from releases.audit import audit
from releases.models import Release, Reminder
from releases.models.guard import guards_stand, lift_guards

USING: Final = DEFAULT_DB_ALIAS
# Who is signed in, and what planning has seen: made anew after a restore.
EMPTIED: Final = {"django_session", "releases_planning"}
# These, and what is at work now: of this moment and this machine alone.
PASSING: Final = EMPTIED | {"releases_heartbeat"}
# Migrations fill these by themselves: a database that has nothing else is empty.
BROUGHT: Final = {"django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}


class Refused(Exception):
    """Nothing was changed; the text says why and what to do."""


@dataclass(frozen=True)
class Outcome:
    """What a restore did."""

    manifest: Mapping[str, Any]
    rows: int
    files: int
    chains: int
    held: int  # mails that may have gone out after the backup was taken
    findings: tuple[str, ...]  # chains that do not hold, when that was accepted


def tables() -> list[Model]:
    """What is kept, many-to-many tables included."""
    every = apps.get_models(include_auto_created=True)
    return [model for model in every if model._meta.managed and model._meta.db_table not in PASSING]


# Backup


def take(stream: IO[bytes]) -> dict[str, Any]:
    """Write everything to `stream` as of one moment; returns the manifest."""
    writer, kept = Writer(stream), tables()
    with snapshot(USING):
        manifest: dict[str, Any] = {
            "relcoord": relcoord.__version__,
            "taken_at": timezone.now().isoformat(),
            "site": settings.SITE_URL,
            "database": connections[USING].vendor,
            "migrations": sorted(".".join(name) for name in _applied()),
            "heads": heads(),
        }
        counted = {model._meta.db_table: (writer.table(model, USING), columns(model)) for model in kept}
    manifest["tables"] = {name: {"rows": number, "columns": names} for name, (number, names) in counted.items()}
    manifest["files"] = writer.media(Path(settings.MEDIA_ROOT)) if settings.MEDIA_ROOT else 0
    writer.close(manifest)
    return manifest


def heads() -> dict[str, list[Any]]:
    """How many events each release has, and the hash of the last."""
    found = Release.objects.using(USING).order_by("key").values_list("key", "event_sequence", "event_head")
    return {key: [sequence, head] for key, sequence, head in found}


def _applied() -> set[tuple[str, str]]:
    return set(MigrationRecorder(connections[USING]).applied_migrations())


# Restore


def restore(
    stream: IO[bytes], *, replace: bool = False, send_what_is_due: bool = False, despite_findings: bool = False
) -> Outcome:
    """Load an archive, all of it or nothing. Raises Refused or NotUsable, and then nothing was changed.

    `send_what_is_due` says that nobody has sent anything since the backup was taken.
    """
    archive = Reader(stream)
    _fits(archive)
    files = archive.files()
    if files and not settings.MEDIA_ROOT:
        raise Refused(f"The backup has {len(files)} media files, and there is no MEDIA_ROOT here to put them in.")
    with _unpacked(archive, files) as moves, _alone():
        _make_room(replace=replace)
        loaded = _load(archive)
        chains, findings = _verify(archive)
        if findings and not despite_findings:
            raise Refused(
                f"{findings[0]}. Restore with --despite-findings if what is left is better than nothing;"
                " verify_audit then says it again."
            )
        held = 0 if send_what_is_due else hold_mail(datetime.fromisoformat(archive.manifest["taken_at"]))
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    return Outcome(archive.manifest, loaded, len(files), chains, held, tuple(findings))


def _fits(archive: Reader) -> None:
    """Is the schema here the archive's, or one that only added to it?"""
    schema = health.migrations()
    if schema.level == health.Level.FAIL:
        raise Refused(f"This database is not ready: migrations {schema.words}. Run manage.py migrate first.")
    found = MigrationLoader(None).disk_migrations
    theirs = set(archive.manifest["migrations"])
    unknown = sorted(theirs - {".".join(name) for name in found})
    if unknown:
        raise Refused(
            f"The backup was made by a newer relcoord ({archive.manifest['relcoord']}): this one does not know"
            f" {', '.join(unknown[:3])}. Restore it with that version."
        )
    later = [found[name] for name in sorted(found) if ".".join(name) not in theirs]
    moving = [step for step in later if any(isinstance(part, RunPython | RunSQL) for part in step.operations)]
    if moving:
        raise Refused(
            f"The backup was made by an older relcoord ({archive.manifest['relcoord']}), and {moving[0]} changes rows"
            " that are there. Restore it with that version, then upgrade."
        )
    known = {model._meta.db_table: set(columns(model)) for model in tables()}
    for name, table in archive.manifest["tables"].items():
        if gone := sorted(set(table["columns"]) - known.get(name, set())):
            raise Refused(f"This relcoord has no {name}.{gone[0]} any more. Restore with the backup's version first.")


@contextmanager
def _unpacked(archive: Reader, files: list[str]) -> Iterator[list[tuple[Path, Path]]]:
    """The media files beside their place, so that each only has to be renamed when all else is done."""
    if not files:
        yield []
        return
    root = Path(settings.MEDIA_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".restoring-", dir=root))
    try:
        yield [(archive.unpack(name, folder), root / name) for name in files]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    """One transaction in which nobody else reads or writes what is restored; faults become sentences."""
    connection = connections[USING]
    try:
        with transaction.atomic(USING, durable=True):
            if connection.vendor == "postgresql":
                names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in tables())
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL statement_timeout = 0")
                    cursor.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            yield
    except OperationalError as failure:
        raise Refused(
            f"The database is in use or did not answer. Stop web, worker, beat and reminders first. ({_said(failure)})"
        ) from failure
    except DatabaseError as failure:
        raise Refused(f"The database does not take what is in the backup: {_said(failure)}") from failure
    finally:
        ContentType.objects.clear_cache()


def _said(failure: Exception) -> str:
    return " ".join(str(failure).split())[:300]


def _make_room(*, replace: bool) -> None:
    """Empty the tables, if they are empty but for what migrations bring or if that was asked for."""
    counts = {model._meta.verbose_name_plural: n for model in tables() if (n := _count(model)) and not _brought(model)}
    if counts and not replace:
        most = ", ".join(f"{number} {name}" for name, number in Counter(counts).most_common(4))
        raise Refused(
            f"This database is not empty: {sum(counts.values())} rows, of these {most}."
            " With --replace all of them are deleted first; make a backup before."
        )
    lift_guards(USING)
    names = [*EMPTIED, *(model._meta.db_table for model in tables())]
    connection = connections[USING]
    quoted = [connection.ops.quote_name(name) for name in names]
    with connection.cursor() as cursor:
        for name in [", ".join(quoted)] if connection.vendor == "postgresql" else quoted:
            cursor.execute(f"TRUNCATE {name}" if connection.vendor == "postgresql" else f"DELETE FROM {name}")  # noqa: S608


def _brought(model: Model) -> bool:
    return model._meta.db_table in BROUGHT


def _count(model: Model) -> int:
    return model._base_manager.using(USING).count()


def _load(archive: Reader) -> int:
    """Write every row; references are looked at when all are there. Returns how many rows."""
    connection, every = connections[USING], tables()
    loaded = 0
    for model in every:
        number = insert(model, archive.rows(model), USING)
        said = archive.manifest["tables"].get(model._meta.db_table, {"rows": 0})["rows"]
        if not number == said == _count(model):
            raise NotUsable(f"{model._meta.db_table} has {number} rows where {said} were written")
        loaded += number
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), every):
            cursor.execute(statement)
    ContentType.objects.clear_cache()
    emit_post_migrate_signal(verbosity=0, interactive=False, db=USING)  # guards, and kinds and rights of later tables
    return loaded


def _verify(archive: Reader) -> tuple[int, list[str]]:
    """How many chains there are, and what is wrong with them."""
    releases = list(Release.objects.using(USING).order_by("pk"))
    findings = [str(answer) for answer in map(audit, releases) if not answer.holds]
    if heads() != archive.manifest["heads"]:
        raise NotUsable("the heads of its chains are not those that were written into it")
    if not guards_stand(USING):
        raise Refused("The triggers that keep events from being changed could not be put back.")
    return len(releases), findings


def hold_mail(taken_at: datetime) -> int:
    """Hold back what the old site may have sent after `taken_at`: all that is due by now; returns how many.

    What the next look at the ledger would plan as due is planned first, so that it is held as well.
    """
    now = timezone.now()
    ledger.plan(now)
    due = Reminder.objects.filter(
        Q(state=Reminder.State.PLANNED, due_at__lte=now) | Q(state=Reminder.State.SENDING),
    )
    return due.update(
        state=Reminder.State.SUPPRESSED,
        reason=f"restored from a backup of {taken_at:%Y-%m-%d %H:%M} UTC: it may have gone out since",
        lease_until=None,
        lease_token="",
        next_attempt_at=None,
    )
