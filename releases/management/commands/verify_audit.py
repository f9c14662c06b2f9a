"""`manage.py verify_audit [KEY ...]`: is every release's history whole, and do the rows say what it says?"""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from releases.audit import audit
from releases.models import Release
from releases.models.guard import guards_stand

HELP = """Check the history of releases, all of them unless keys are named.

For each release it recomputes the hash chain, replays the events, and holds the outcome against the rows: status and
schedule, items, ballots, decisions, overrides, action items. It names the first difference: the event it hangs on,
what was expected, what was found. It also looks whether the triggers stand that keep events from being changed.
Reads only. Ends with 1 when anything does not hold.

What it cannot see is a chain that was rewritten as a whole, together with the rows: only heads that left the system can
show that. Decision and closing mails carry them; see verify_record.py.
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("keys", metavar="KEY", nargs="*", help="a release, such as PAY-4.2; all when none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = 0
        for release in self._releases(options["keys"]):
            answer = audit(release)
            faults += not answer.holds
            if not answer.holds or options["verbosity"] > 1 or options["keys"]:
                self.stdout.write(str(answer), self.style.SUCCESS if answer.holds else self.style.ERROR)
        if not guards_stand():
            faults += 1
            self.stdout.write("The triggers that keep events from being changed are missing.", self.style.ERROR)
            self.stdout.write("Run `manage.py migrate`, which puts them back, and find out who removed them.")
        if faults:
            raise CommandError(f"{faults} {'check does' if faults == 1 else 'checks do'} not hold.")
        self.stdout.write("Every chain holds, and every release is what its events say.", self.style.SUCCESS)

    def _releases(self, keys: list[str]) -> list[Release]:
        releases = list(Release.objects.filter(key__in=keys) if keys else Release.objects.order_by("pk"))
        missing = sorted(set(keys) - {release.key for release in releases})
        if missing:
            raise CommandError(f"There is no release called {', '.join(missing)}.")
        return releases
