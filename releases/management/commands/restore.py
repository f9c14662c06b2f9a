"""`manage.py restore FILE`: make this site what a backup says, all of it or nothing; "-" is standard input."""

from __future__ import annotations

import shutil
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from relcoord.lib.archive import NotUsable
from releases import backup


class Command(BaseCommand):
    help = (
        "Load a backup into an empty database (run migrate first), of either kind. Stop web, worker, beat and reminders"
        " before. Every chain is verified, and every row counted, before anything is so. Mails that are due by now may"
        " have gone out after the backup was taken, so they are held back, unless you say otherwise."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help='what `manage.py backup` wrote; "-" is standard input')
        parser.add_argument("--replace", action="store_true", help="delete everything that is here first")
        parser.add_argument(
            "--send-what-is-due",
            action="store_true",
            help="nothing was sent since the backup was taken (a move: the old site was stopped before): send it here",
        )
        parser.add_argument(
            "--despite-findings", action="store_true", help="restore although a chain of history does not hold"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        choices = {name: options[name] for name in ("replace", "send_what_is_due", "despite_findings")}
        try:
            if options["file"] == "-":
                with tempfile.TemporaryFile() as spooled:
                    shutil.copyfileobj(sys.stdin.buffer, spooled)
                    outcome = backup.restore(spooled, **choices)
            else:
                with Path(options["file"]).open("rb") as stream:
                    outcome = backup.restore(stream, **choices)
        except OSError as failure:
            raise CommandError(f"{options['file']} cannot be read: {failure.strerror or failure}.") from None
        except NotUsable as failure:
            raise CommandError(f"{options['file']} cannot be restored: {failure}. Nothing was changed.") from None
        except backup.Refused as refusal:
            raise CommandError(f"{refusal} Nothing was changed.") from None
        except DatabaseError as failure:
            raise CommandError(f"The database does not answer: {' '.join(str(failure).split())}") from None
        self.tell(outcome)

    def tell(self, outcome: backup.Outcome) -> None:
        came = outcome.manifest
        self.stdout.write(
            f"Restored what {came['site']} (relcoord {came['relcoord']}, {came['database']}) was at {came['taken_at']}:"
            f" {outcome.rows} rows, {outcome.files} media files."
        )
        if outcome.findings:
            for finding in outcome.findings:
                self.stdout.write(finding, self.style.ERROR)
        else:
            self.stdout.write(f"All {outcome.chains} chains hold, with the heads of then.", self.style.SUCCESS)
        if outcome.held:
            self.stdout.write(
                f"{outcome.held} mails were due by now and may have gone out since the backup: they are held back, and"
                " the Reminders page of each release names them and can send them again."
            )
