"""`manage.py import_checklist FILE`: read a Markdown checklist, say what was understood, and save it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checklists.diffing import Change, Diff
from checklists.editing import EditError, save_template
from checklists.forms.source import Preview, SourceError, decode
from checklists.markdown import Limits
from checklists.models import TemplateVersion
from relcoord.models import User


class Command(BaseCommand):
    help = (
        "Read a checklist from a Markdown file and save it as a template, or as the next version of the one it names."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the Markdown file")
        parser.add_argument("--name", default="", help="call the checklist so, whatever the file says")
        parser.add_argument("--by", default="", metavar="MAIL", help="whose version it is; nobody's when left out")
        parser.add_argument("--note", default="", help="what changed, in a few words")
        parser.add_argument("--dry-run", action="store_true", help="report, and save nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        by = self._person(options["by"])
        try:
            preview = Preview(self._text(options["file"]), name=options["name"])
            self._report(preview)
            if options["dry_run"]:
                self.stdout.write("Nothing was saved: this was a dry run.")
                return
            before, template = preview.seen, preview.template
            version = save_template(preview.plan, by=by, template=template, change_note=options["note"])
        except (SourceError, EditError) as failure:
            raise CommandError(str(failure)) from None
        self._saved(version, before)

    def _text(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                raw = file.read(Limits.BYTES + 1)
        except OSError as failure:
            raise CommandError(f"{path} cannot be read: {failure.strerror or failure}.") from None
        return decode(raw, path.name)

    def _person(self, mail: str) -> User | None:
        person = User.objects.filter(email__iexact=mail).first() if mail else None
        if mail and person is None:
            raise CommandError(f"There is no account with the mail address {mail}.")
        return person

    def _report(self, preview: Preview) -> None:
        write = self.stdout.write
        write(f"{preview.plan.name or 'Without a name'}: {preview.understood}")
        for phase in preview.plan.phases:
            write(f"  {phase.name}: {len(phase.items)} items{f', opens {phase.opens}' if phase.opens else ''}")
        if preview.not_understood:
            write("Not understood:")
        for line in preview.not_understood:
            write(f"  line {line.number}: {line.message}" if line.number else f"  {line.message}")
            if line.text:
                write(f"    {line.text[:160]}")
        if preview.missing:
            write("Still missing:")
        for problem in preview.missing:
            write(f"  {'needed' if problem.blocking else 'worth a look'}: {problem.message}")
        if preview.diff is not None:
            self._differences(preview.diff, preview.seen)

    def _differences(self, diff: Diff, seen: int | None) -> None:
        self.stdout.write(f"Against version {seen}: {diff.summary}")
        for change in diff.changes:
            self.stdout.write(f"  {_said(change)}")

    def _saved(self, version: TemplateVersion, before: int | None) -> None:
        name = f"“{version.template.name}”"
        if version.number == before:
            self.stdout.write(f"Nothing differs from version {before} of {name}, so there is no new version.")
        else:
            self.stdout.write(f"Saved {name}, version {version.number}.")


def _said(change: Change) -> str:
    """Return "changed: Deploy in Staging (title, role)"."""
    place = f" in {change.place}" if change.place else f" ({change.what})"
    was = f", was {change.was}" if change.was else ""
    fields = f": {', '.join(detail.label for detail in change.details)}" if change.details else ""
    return f"{change.how.value} {change.title}{place}{was}{fields}"
