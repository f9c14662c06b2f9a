"""`manage.py backup FILE`: everything a site knows, in one file, as of one moment; "-" is standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from releases import backup


class Command(BaseCommand):
    help = (
        "Write people, checklists, releases, history, the ledger and media into one zip file (readable by its owner"
        " alone). People may go on working. Sessions, caches and SECRET_KEY are not in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help='a new file; "-" is standard output')

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["file"] == "-":
                manifest, where = backup.take(sys.stdout.buffer), "standard output"
            else:
                manifest, where = self.write(Path(options["file"])), options["file"]
        except DatabaseError as failure:
            raise CommandError(f"The database cannot be read: {' '.join(str(failure).split())}") from failure
        counts = {name: table["rows"] for name, table in manifest["tables"].items()}
        self.stderr.write(
            f"{sum(counts.values())} rows of {len(counts)} tables and {manifest['files']} media files in {where}:"
            f" {counts['relcoord_user']} people, {counts['releases_release']} releases,"
            f" {counts['releases_event']} events, {counts['releases_reminder']} mails of the ledger.",
            self.style.SUCCESS,
        )

    def write(self, path: Path) -> dict[str, Any]:
        """Under another name until it is whole and on the disk."""
        if path.exists():
            raise CommandError(f"{path} exists already; a backup never overwrites one. Choose another name.")
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                manifest = backup.take(stream)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
        except OSError as failure:
            raise CommandError(f"{path} cannot be written: {failure.strerror or failure}.") from None
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        return manifest
