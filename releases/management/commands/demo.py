"""`manage.py demo`: four releases around now, so that a newcomer sees every face of the product in five minutes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from checklists.blueprints import Kind, Stage
from checklists.models import Role, Template, TemplateVersion
from relcoord.models import User
from releases import birth, gonogo, items, rollback, ticking, workflow
from releases.models import Call, Choice, Item, Part, Path, Product, Release, Severity, Verdict
from releases.workflow import Window

STANDARD = "release-coordination-checklist"
ZONE = "Europe/Berlin"
RUNS = ("ci/cd", "smoke", "performance", "security", "health")  # items a pipeline would show

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
            with Clock() as clock:
                Builder(people, clock).build()
        self.stdout.write(f"Demo data: four releases and eight people. Everyone's password is {password}")
        for name, duty in (PEOPLE | {"Sam Staff": "staff, may use /admin/"}).items():
            self.stdout.write(f"  {_address(name):24}{name}, {duty}")


def _address(name: str) -> str:
    return name.split(maxsplit=1)[0].lower() + "@demo.example"


def _person(name: str, password: str, **rights: bool) -> User:
    return User.objects.create_user(_address(name), password, name=name, time_zone=ZONE, **rights)


def _version() -> TemplateVersion:
    template = Template.objects.in_use().filter(slug=STANDARD).first() or Template.objects.in_use().first()
    if template is None:
        raise CommandError("Import a checklist first: manage.py import_checklist checklists/standard.md")
    return template.current


class Clock:
    """While the demo is made, the present is what it says: so the verbs write a history as old as it looks.

    The command runs alone, before anything else is started; nothing else looks at the clock meanwhile.
    """

    def __init__(self) -> None:
        self.real = timezone.now
        self.present = self.real().replace(second=0, microsecond=0)
        self.moment = self.present

    def __enter__(self) -> Clock:
        timezone.now = lambda: self.moment
        return self

    def __exit__(self, *_: object) -> None:
        timezone.now = self.real

    def at(self, moment: datetime) -> None:
        """Be there; never after the real present."""
        self.moment = min(moment, self.present)

    def ago(self, **away: float) -> None:
        self.at(self.present - timedelta(**away))

    def later(self, minutes: float) -> None:
        self.at(self.moment + timedelta(minutes=minutes))


class Builder:
    """Builds the four releases by the verbs alone, as people would, each from its first day on."""

    def __init__(self, people: dict[str, User], clock: Clock) -> None:
        self.people, self.clock = people, clock
        self.ana, self.dana, self.eli = people["Ana Kovač"], people["Dana Ruiz"], people["Eli Tanaka"]
        self.now = clock.present
        self.version = _version()

    def build(self) -> None:
        self.closed()
        self.rolling_back()
        self.deciding()
        self.staging()

    def staging(self) -> None:
        """Payments: the first phase nearly done, one item blocked, staging about to open."""
        release = self.create("PAY-4.2", "Payments 4.2", self.now + timedelta(days=2, hours=4), self.ana, days=5)
        early = Item.objects.of(release).filter(phase__position=1)
        self.settle_all(early[:5], begin=self.now - timedelta(hours=19), every=timedelta(hours=3.5))
        self.clock.ago(hours=2)
        ticking.block(early[6], "The snapshot host is out of space; ticket with infrastructure", by=self.ana)
        ticking.write_note(
            release, "Finance asked for *no* change to invoices before Friday. Agreed with Dana.", by=self.ana
        )

    def deciding(self) -> None:
        """Search: everything before the decision holds, the poll is open, one vote is missing."""
        release = self.create("SRCH-9.1", "Search 9.1", self.now + timedelta(hours=3, minutes=40), self.dana, days=4)
        self.settle_gate(release)
        self.clock.ago(minutes=14)
        gonogo.open_poll(release, by=self.dana)
        for seat in release.seats.select_related("role"):
            holder = release.assignments.filter(role=seat.role).select_related("user").first()
            if holder is None or seat.role.slug == "qa-lead":
                continue
            self.clock.later(2)
            said = "Plan and people are ready." if seat.required else "On-call is busy with Identity 2.8."
            gonogo.cast_ballot(release, seat, Choice.GO, by=holder.user, statement=said)

    def rolling_back(self) -> None:
        """Identity: deployed, seen to fail while it was watched; the rollback is being executed."""
        release = self.launched("ID-2.8", "Identity 2.8", self.now - timedelta(hours=1, minutes=42), self.eli)
        self.deploy(release)
        self.clock.ago(minutes=16)
        seen = "Log-ins fail for 4 % of users since the deployment"
        row = rollback.trigger(release, seen, by=self.eli, noticed_at=self.now - timedelta(minutes=19))
        self.clock.later(2)
        step = row.current_step
        if step is not None and step.part != Part.ASSESS:
            rollback.complete_step(step, by=self.eli, note="Incident 3318; Ana and Dana are told")
        self.clock.later(3)
        ticking.write_note(release, "Error rate 4 %, first seen on the EU shards.", by=self.eli, rollback=row)
        self.clock.later(2)
        rollback.record_severity(row, Severity.CRITICAL, Path.ROLLBACK, by=self.eli, note="No fix in sight")
        rollback.promise_update(row, self.now + timedelta(minutes=11), by=self.eli)

    def closed(self) -> None:
        """Website: went out yesterday and was closed."""
        release = self.launched("WEB-5.7", "Website 5.7", self.now - timedelta(hours=20), self.ana)
        self.deploy(release)
        for item in Item.objects.of(release).filter(kind=Kind.WATCH):
            self.clock.later(31)
            items.end_watch(item, Verdict.HEALTHY, by=release.coordinator, note="p95 180 ms, no new errors")
        self.clock.later(3)
        workflow.finish_deployment(release, by=release.coordinator)
        after = Item.objects.of(release).filter(phase__stage=Stage.POST_DEPLOYMENT).exclude(kind=Kind.CLOSE)
        self.settle_all(after, begin=self.clock.moment + timedelta(minutes=12), every=timedelta(minutes=14))
        self.clock.later(8)
        workflow.close(release, by=release.coordinator)

    def launched(self, key: str, title: str, t_zero: datetime, coordinator: User) -> Release:
        """A release that got its GO three and a half hours before `t_zero` and was started at it."""
        release = self.create(key, title, t_zero, coordinator, days=6)
        self.settle_gate(release)
        self.clock.at(release.t_zero - timedelta(hours=3, minutes=52))
        gonogo.open_poll(release, by=coordinator)
        for seat in release.seats.select_related("role"):
            for holder in release.assignments.filter(role=seat.role).select_related("user")[:1]:
                self.clock.later(4)
                gonogo.cast_ballot(release, seat, Choice.GO, by=holder.user)
        self.clock.later(3)
        gonogo.decide(release, Call.GO, by=coordinator, rationale="Everything that must hold does.")
        self.clock.at(release.t_zero + timedelta(minutes=2))
        return workflow.start_deployment(release, by=coordinator)

    def deploy(self, release: Release) -> None:
        """Settle the deployment's items one after the other, and begin to watch."""
        production = Item.objects.of(release).filter(phase__stage=Stage.PRODUCTION)
        self.settle_all(
            production.exclude(kind=Kind.WATCH),
            begin=self.clock.moment + timedelta(minutes=3),
            every=timedelta(minutes=6),
        )
        for item in production.filter(kind=Kind.WATCH):
            self.clock.later(2)
            items.start_watch(item, by=release.coordinator)

    def create(self, key: str, title: str, t_zero: datetime, coordinator: User, *, days: int) -> Release:
        """Plan a release `days` before now."""
        self.clock.ago(days=days, hours=1)
        t_zero -= timedelta(minutes=t_zero.minute % 15)  # people plan in quarters of an hour
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

    def settle_gate(self, release: Release) -> None:
        """Settle all that stands before the GO, phase by phase: from when each opens, a little apart."""
        gate = Item.objects.of(release).gate()
        for moments in release.plan:
            due = [item for item in gate if item.phase_id == moments.phase.pk]
            if due and moments.opens_at:
                end = min(moments.due_at or release.t_zero, self.now)
                last = moments.opens_at + (end - moments.opens_at) / 2
                few = timedelta(minutes=1) if moments.phase.stage == Stage.DECISION else timedelta(hours=2)
                every = min((last - moments.opens_at) / len(due), few)
                self.settle_all(due, begin=moments.opens_at + every / 2, every=every)

    def settle_all(self, some: Iterable[Item], *, begin: datetime, every: timedelta) -> None:
        for number, item in enumerate(some):
            self.clock.at(begin + number * every)
            self.settle(item)

    def settle(self, item: Item) -> None:
        """Settle `item` as its holder would; conditional ones are answered."""
        held = item.release.assignments.filter(role=item.role).select_related("user")
        row = held.first() if item.role else None
        by = row.user if row else item.release.coordinator
        if item.conditional and item.title.startswith("Rollback"):
            ticking.mark_not_applicable(item, "No schema change; the previous version runs on this one", by=by)
            return
        wanted = item.evidence_wanted or any(word in item.title.casefold() for word in RUNS)
        run = 4700 + item.pk
        proof = ticking.Proof(label=f"Run {run}", url=f"https://ci.demo.example/runs/{run}") if wanted else None
        ticking.set_done(item, True, by=by, proof=proof)
