"""`manage.py import_checklist FILE`: read a checklist from Markdown, say what was understood, save it."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checklists import editing
from checklists.markdown import ChecklistTooLarge, parse
from checklists.models import Template


class Command(BaseCommand):
    help = "Import a checklist from a Markdown file; the same content again makes no new version."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--name", default="", help="call it this instead of the file's own heading")
        parser.add_argument("--dry-run", action="store_true", help="only say what was understood")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            reading = parse(options["file"].read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, ChecklistTooLarge) as failure:
            raise CommandError(f"{options['file']}: {failure}") from None
        plan = replace(reading.blueprint, name=options["name"] or reading.blueprint.name)
        counts = f"{len(plan.phases)} phases, {len(plan.items)} items, {len(plan.roles)} roles, {len(plan.seats)} seats"
        for problem in reading.problems:
            where = f"line {problem.line}: " if problem.line else ""
            self.stdout.write(f"  {'MISSING' if problem.blocking else 'note'}: {where}{problem.message}")
        if options["dry_run"]:
            self.stdout.write(f"{plan.name}: {counts}. Nothing was saved.")
            return
        known = Template.objects.filter(name=plan.name).first()
        try:
            version = editing.save_template(plan, by=None, template=known)
        except editing.EditError as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"{version}: {counts}.")
