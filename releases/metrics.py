"""What /metrics says, in Prometheus's text format: five statements, however much there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from relcoord.models import User
from releases import health
from releases.models import Heartbeat, Release, Reminder, Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Gauge:
    """One metric: a value, or one for each value of its label."""

    name: str
    help: str
    values: dict[str, float]
    label: str = ""

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} gauge"
        for word, value in self.values.items():
            yield (
                f'{self.name}{{{self.label}="{word}"}} {_number(value)}'
                if self.label
                else f"{self.name} {_number(value)}"
            )


def text() -> str:
    """Every gauge, at this moment."""
    return "".join(f"{line}\n" for gauge in gauges(timezone.now()) for line in gauge.lines())


def gauges(now: datetime) -> list[Gauge]:
    beats = health.heartbeats()
    due = health.due(now).aggregate(number=Count("pk"), since=Min("due_at"))
    since = beats["mail"].data.get("since") if "mail" in beats else None
    failing = (now - datetime.fromisoformat(since)).total_seconds() if since else 0
    found = [
        one("scheduler_age_seconds", "Since a driver looked at the ledger", _age(beats.get("reminders"), now)),
        one("worker_canary_age_seconds", "Since a worker answered the canary", _age(beats.get(health.CANARY), now)),
        one("reminders_due", "Mails owed by now that have not left", due["number"]),
        one(
            "reminders_oldest_due_seconds",
            "How long the oldest of them has been due",
            (now - due["since"]).total_seconds() if due["since"] else 0,
        ),
        one("mail_server_failing_seconds", "For how long the mail server has taken nothing, 0 while it does", failing),
        by("reminders", "Mails of the ledger by state", "state", Reminder.objects.all(), list(Reminder.State.values)),
        by("releases", "Releases by status", "status", Release.objects.all(), list(Status.values)),
        one("users", "People who may sign in", User.objects.filter(is_active=True).count()),
    ]
    if settings.REDIS_URL:
        found.append(one("redis_up", "Whether Redis answers", health.broker().level == health.Level.OK))
    return found


def one(name: str, help: str, value: float) -> Gauge:  # noqa: A002 - Prometheus's word
    return Gauge(f"relcoord_{name}", help, {"": value})


def by(name: str, help: str, field: str, rows: QuerySet[Any], words: list[str]) -> Gauge:  # noqa: A002
    """How many rows have each word; 0 where none has, so that a line never comes and goes."""
    known = dict(rows.order_by().values_list(field).annotate(number=Count("pk")))
    return Gauge(f"relcoord_{name}", help, {word: known.get(word, 0) for word in words}, field)


def _age(row: Heartbeat | None, now: datetime) -> float:
    """Without end where there never was one: whatever compares it with a limit finds it late."""
    return (now - row.at).total_seconds() if row else math.inf


def _number(value: float) -> str:
    return "+Inf" if math.isinf(value) else f"{float(value):.15g}"
