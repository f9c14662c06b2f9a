"""`manage.py doctor`: is everything there, and what to do where it is not. Ends with 1 when anything fails."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from releases import doctor
from releases.health import Finding, Level


class Command(BaseCommand):
    help = (
        "Check database, queue, worker, mail, clocks, address, disk; say what to do. Reads only; 1 when anything FAILs."
    )
    requires_system_checks = ()  # it says more about what is wrong than they

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mail-to", metavar="ADDRESS", default="", help="send one test mail there")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["mail_to"]:
                validate_email(options["mail_to"])
        except ValidationError:
            raise CommandError(f"{options['mail_to']!r} is no mail address.") from None
        found = doctor.examine(options["mail_to"])
        if options["json"]:
            self.stdout.write(json.dumps([_entry(finding) for finding in found], indent=1))
        else:
            for finding in found:
                self.say(finding)
        failed = sum(finding.level == Level.FAIL for finding in found)
        if failed:
            raise CommandError(f"{failed} {'check fails' if failed == 1 else 'checks fail'}.")

    def say(self, finding: Finding) -> None:
        style = {Level.OK: self.style.SUCCESS, Level.WARN: self.style.WARNING, Level.FAIL: self.style.ERROR}
        detail = f" ({finding.detail})" if finding.detail else ""
        todo = f". {finding.todo}." if finding.todo else ""
        self.stdout.write(f"{style[finding.level](f'{finding.level:<5}')}{finding.name}: {finding.words}{detail}{todo}")


def _entry(finding: Finding) -> dict[str, str]:
    words = {"says": finding.words, "detail": finding.detail, "todo": finding.todo}
    return {"check": finding.name, "state": finding.level.lower(), **{key: text for key, text in words.items() if text}}
