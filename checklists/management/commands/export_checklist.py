"""`manage.py export_checklist NAME`: print a template as Markdown."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checklists.editing import named
from checklists.markdown import dump
from checklists.models import Template


class Command(BaseCommand):
    help = "Print a checklist as Markdown; import_checklist reads it back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the name of the checklist, or the last part of its address")
        parser.add_argument("--number", type=int, help="this version instead of the newest", metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        name, number = options["name"], options["number"]
        template = Template.objects.filter(slug=name).first() or named(name)
        if template is None:
            known = ", ".join(Template.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no checklist “{name}”. There are: {known}.")
        version = template.versions.filter(number=number).first() if number is not None else template.current
        if version is None:
            raise CommandError(f"“{template.name}” has no version {number}; the newest is {template.current.number}.")
        self.stdout.write(dump(version.blueprint()), ending="")
