"""`manage.py demo`: four releases around now, so that a newcomer sees every face of the product in five minutes."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from checklists.models import Role, Template, TemplateVersion
from relcoord.models import User
from releases import birth, gonogo, rollback, ticking, workflow
from releases.models import Call, Choice, Item, Path, Product, Release, Severity
from releases.workflow import Window

STANDARD = "release-coordination-checklist"
ZONE = "Europe/Berlin"

PEOPLE = {  # name -> what they are in the demo
    "Ana Kovač": "Release Coordinator",
    "Dana Ruiz": "Project Manager",
    "Chloe Martin": "QA Lead",
    "Ben Osei": "Developers",
    "Gita Rao": "Developers",
    "Fay Lindqvist": "Risk Champion",
    "Eli Tanaka": "On-call Engineer",
}


class Command(BaseCommand):
    help = "Make demo people and four releases around now, and print the log-ins. Refused where releases exist."

    def handle(self, *args: Any, **options: Any) -> None:
        if Release.objects.exists():
            raise CommandError("There are releases here already; demo data is for an empty site.")
        with transaction.atomic():
            password = secrets.token_urlsafe(9)
            people = {name: _person(name, password) for name in PEOPLE}
            _person("Sam Staff", password, is_staff=True, is_superuser=True)
            Builder(people).build()
        self.stdout.write("Demo data: four releases and eight people. Everyone's password is " + password)
        for name, duty in (PEOPLE | {"Sam Staff": "staff, may use /admin/"}).items():
            self.stdout.write(f"  {_address(name):32}{name}, {duty}")


def _address(name: str) -> str:
    return name.split(maxsplit=1)[0].lower() + "@demo.example"


def _person(name: str, password: str, **rights: bool) -> User:
    return User.objects.create_user(_address(name), password, name=name, time_zone=ZONE, **rights)


def _version() -> TemplateVersion:
    template = Template.objects.in_use().filter(slug=STANDARD).first() or Template.objects.in_use().first()
    if template is None:
        raise CommandError("Import a checklist first: manage.py import_checklist checklists/standard.md")
    return template.current


class Builder:
    """Builds the four releases by the verbs alone, as people would."""

    def __init__(self, people: dict[str, User]) -> None:
        self.people = people
        self.ana, self.dana, self.eli = people["Ana Kovač"], people["Dana Ruiz"], people["Eli Tanaka"]
        self.now = timezone.now().replace(second=0, microsecond=0)
        self.version = _version()

    def build(self) -> None:
        self.staging()
        self.deciding()
        self.rolling_back()
        self.closed()

    def staging(self) -> None:
        """Payments: the first phase nearly done, one item blocked, staging about to open."""
        release = self.create("PAY-4.2", "Payments 4.2", self.now + timedelta(days=2, hours=4), self.ana)
        early = Item.objects.of(release).filter(phase__position=1)
        for item in early[:5]:
            self.settle(item)
        blocked = early[6]
        ticking.block(blocked, "The snapshot host is out of space; ticket with infrastructure", by=self.ana)

    def deciding(self) -> None:
        """Search: the gate holds but for one item, the poll is open, one vote is missing."""
        release = self.create("SRCH-9.1", "Search 9.1", self.now + timedelta(hours=3, minutes=40), self.dana)
        items = list(Item.objects.of(release).gate())
        for item in items:
            self.settle(item)
        gonogo.open_poll(release, by=self.dana)
        for seat in release.seats.select_related("role"):
            holder = release.assignments.filter(role=seat.role).select_related("user").first()
            if holder is None or seat.role.slug == "qa-lead":
                continue
            said = "Plan and people are ready." if seat.required else "On-call is busy with Identity 2.8."
            gonogo.cast_ballot(release, seat, Choice.GO, by=holder.user, statement=said)

    def rolling_back(self) -> None:
        """Identity: deployed, then seen to fail; the rollback is being executed."""
        release = self.launched("ID-2.8", "Identity 2.8", self.eli)
        row = rollback.trigger(release, "Log-ins fail for 4 % of users since the deployment", by=self.eli)
        rollback.record_severity(row, Severity.CRITICAL, Path.ROLLBACK, by=self.eli, note="No fix in sight")
        ticking.write_note(release, "Error rate 4 %, first seen on the EU shards.", by=self.eli, rollback=row)

    def closed(self) -> None:
        """Website: went out and was closed."""
        release = self.launched("WEB-5.7", "Website 5.7", self.ana)
        for item in Item.objects.of(release).filter(phase__stage=Stage.PRODUCTION):
            if item.kind == Kind.WATCH:
                ticking.waive(item, "A static site; there are no metrics to watch", by=release.coordinator)
            else:
                self.settle(item)
        workflow.finish_deployment(release, by=release.coordinator)
        for item in Item.objects.of(release).filter(phase__stage=Stage.POST_DEPLOYMENT).exclude(kind=Kind.CLOSE):
            self.settle(item)
        workflow.close(release, by=release.coordinator)

    def launched(self, key: str, title: str, coordinator: User) -> Release:
        """A release that got its GO and started, as early as the demo allows."""
        release = self.create(key, title, self.now + timedelta(minutes=30), coordinator)
        for item in Item.objects.of(release).gate():
            self.settle(item)
        gonogo.open_poll(release, by=coordinator)
        for seat in release.seats.select_related("role"):
            for holder in release.assignments.filter(role=seat.role).select_related("user")[:1]:
                gonogo.cast_ballot(release, seat, Choice.GO, by=holder.user)
        gonogo.decide(release, Call.GO, by=coordinator, rationale="Everything that must hold does.")
        return workflow.start_deployment(release, by=coordinator, override="Demo: started before its window")

    def create(self, key: str, title: str, t_zero: datetime, coordinator: User) -> Release:
        name = title.split(maxsplit=1)[0]
        product, _ = Product.objects.get_or_create(slug=name.lower(), defaults={"name": name})
        named: dict[Role, list[User]] = {}
        for person, duty in PEOPLE.items():
            role = Role.objects.filter(name=duty).first()
            if role is not None:
                named.setdefault(role, []).append(self.people[person])
        return birth.create_release(
            self.version,
            by=coordinator,
            key=key,
            title=title,
            product=product,
            coordinator=coordinator,
            window=Window(t_zero, t_zero + timedelta(hours=2), ZONE),
            holders=named,
            demo=True,
        )

    def settle(self, item: Item) -> None:
        """Settle `item` as its holder would; conditional ones are answered."""
        held = item.release.assignments.filter(role=item.role).select_related("user")
        row = held.first() if item.role else None
        by = row.user if row else item.release.coordinator
        if item.conditional and item.title.startswith("Rollback"):
            ticking.mark_not_applicable(item, "No schema change; the previous version runs on this one", by=by)
            return
        ticking.set_done(item, True, by=by, proof=ticking.Proof(label="Checked in the demo"))
