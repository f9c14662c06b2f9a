"""Is everything at work that has to be? What probes, `manage.py doctor` and an operator's pages are told.

Each check says a finding in words that are safe for strangers; `detail`, what a part said of itself, is for consoles.
The canary is a task that beat sends each minute through the broker: only a worker that takes work can answer it, so a
worker that runs and takes nothing is seen by the age of its last answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F, Min, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from relcoord.lib import clock
from releases import reminders
from releases.models import Heartbeat, Reminder

LATE: Final = timedelta(seconds=120)
CANARY: Final = "worker"  # the heartbeat's name
STATE = Reminder.State


class Level(StrEnum):
    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it when it is not well."""

    name: str
    level: Level
    words: str
    todo: str = ""
    detail: str = ""


def ok(name: str, words: str, detail: str = "") -> Finding:
    return Finding(name, Level.OK, words, detail=detail)


# Heartbeats


def note_worker(now: datetime) -> None:
    """A worker took the canary."""
    Heartbeat.objects.update_or_create(name=CANARY, defaults={"at": now})


def heartbeats() -> dict[str, Heartbeat]:
    """The last look at the ledger ("reminders"), a worker's last answer ("worker"), the state of the mail ("mail")."""
    return Heartbeat.objects.in_bulk()


def silent_since(beats: Mapping[str, datetime], now: datetime) -> datetime | None:
    """Since when no worker answers although a driver looks at the ledger; None when all is well, or nothing is."""
    looked, answered = beats.get("reminders"), beats.get(CANARY)
    if looked is None or answered is None or now - looked >= LATE:
        return None
    return answered if now - answered >= LATE else None


def _age(name: str, row: Heartbeat | None, now: datetime, did: str, never: str, todo: str) -> Finding:
    """The heartbeat is fresh, late, never was, or lies ahead because a clock was set back."""
    if row is None:
        return Finding(name, Level.FAIL, never, todo)
    age = now - row.at
    if age < -LATE:
        return Finding(name, Level.FAIL, f"{did} {seconds(-age)} in the future", "A clock was set back; check them all")
    words = f"{did} {seconds(age)} ago"
    return Finding(name, Level.FAIL, words, todo) if age >= LATE else ok(name, words)


def seconds(age: timedelta) -> str:
    """`40 s`, and beyond ten minutes in a larger unit as well."""
    whole = max(0, int(age.total_seconds()))
    return f"{whole} s" + (f" ({clock.duration(whole)})" if whole >= 600 else "")


# Checks


def findings() -> list[Finding]:
    """All of them; when the database does not answer, that alone and what needs no database."""
    base = database()
    if base.level == Level.FAIL:
        return [base, broker()]
    schema = migrations()
    if schema.level == Level.FAIL:
        return [base, schema, broker()]
    queue = broker()
    return [base, schema, queue, *of_the_ledger(deaf=queue.level == Level.WARN)]


def of_the_ledger(*, deaf: bool) -> list[Finding]:
    """What the heartbeats and the rows say; `deaf`: the broker is away, so no worker can hear."""
    now = timezone.now()
    try:
        beats = heartbeats()
        looked = scheduler(now, beats.get("reminders"))
        heard = worker(now, beats.get(CANARY), excused=deaf and looked.level != Level.FAIL)
        return [looked, heard, waiting(now), mail(now)]
    except Error as failure:
        return [Finding("ledger", Level.FAIL, "cannot be read", "Look at the database", _one_line(failure))]


def database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error as failure:
        todo = "Start it, and check DATABASE_URL: host, port, name, password"
        return Finding("database", Level.FAIL, "does not answer", todo, _one_line(failure))
    version = ".".join(str(part) for part in connection.get_database_version())
    return ok("database", "answers", f"{connection.display_name} {version}")


def migrations() -> Finding:
    """Is the schema at least what this code needs? A newer one is fine: the previous code runs on it."""
    applied = set(MigrationRecorder(connection).applied_migrations())
    missing = [name for name, replaces in _needed().items() if name not in applied and not replaces <= applied]
    if not missing:
        return ok("migrations", "all applied")
    words = f"{len(missing)} {'is' if len(missing) == 1 else 'are'} not applied"
    first = ", ".join(".".join(name) for name in sorted(missing)[:3])
    return Finding("migrations", Level.FAIL, words, "Run manage.py migrate", first)


@cache
def _needed() -> dict[tuple[str, str], frozenset[tuple[str, str]]]:
    """The migrations this code brings, each with those it stands for; read from disk once a process."""
    found = MigrationLoader(None).disk_migrations
    # An empty set is a subset of any: what stands for nothing has to be there itself.
    nothing = frozenset({("", "")})
    return {name: frozenset(found[name].replaces) or nothing for name in found}


def broker() -> Finding:
    """Redis away alone is no failure: pages are slower, mails leave by the second driver."""
    if not settings.REDIS_URL:
        return ok("queue", "kept as files")
    try:
        redis_client().ping()
    except (redis.RedisError, OSError) as failure:
        words = "Redis does not answer: pages are slower and not live, workers hear nothing"
        return Finding("queue", Level.WARN, words, "Start Redis, and check REDIS_URL", _one_line(failure))
    return ok("queue", "Redis answers")


def redis_client() -> Any:
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def scheduler(now: datetime, row: Heartbeat | None) -> Finding:
    """By any driver: beat with a worker, or the second driver."""
    todo = "Start beat and a worker, or the second driver: manage.py reminders --loop"
    found = _age("scheduler", row, now, "looked at the ledger", "never looked at the ledger", todo)
    failed = row.data.get("failed") if row else None
    if found.level == Level.OK and failed:
        words = f"{found.words}, and could not {', '.join(failed)}"
        return Finding("scheduler", Level.WARN, words, "The log of the driver says why; the next look tries again")
    return found


def worker(now: datetime, row: Heartbeat | None, *, excused: bool = False) -> Finding:
    """`excused`: the broker is away, and a driver that needs none sends the mails."""
    todo = "Start beat and a worker; one that runs and takes nothing has to be restarted"
    found = _age("worker", row, now, "answered the canary", "never answered the canary", todo)
    if found.level == Level.FAIL and excused:
        return Finding("worker", Level.WARN, f"{found.words}; it cannot without Redis", "Start Redis")
    return found


def due(now: datetime) -> QuerySet[Reminder]:
    """Mails that are owed by now and have not left."""
    unsent = Q(state=STATE.PLANNED, not_after__gt=now) | Q(state=STATE.SENDING)
    return Reminder.objects.filter(unsent, due_at__lte=now)


def waiting(now: datetime) -> Finding:
    """Has a mail been left lying? One that waits for another try, since the server put it off, has not."""
    left = due(now).exclude(state=STATE.SENDING, lease_until__gt=now)
    since = left.aggregate(since=Min(Coalesce(F("next_attempt_at"), F("due_at"))))["since"]
    if since is not None and now - since >= LATE:
        todo = "Look at the scheduler and the mail server; what is due leaves with the next look"
        return Finding("reminders", Level.FAIL, f"the oldest has waited for {seconds(now - since)}", todo)
    put_off = due(now).filter(state=STATE.PLANNED, next_attempt_at__gt=now).count()
    if put_off:
        words = f"{put_off} put off by the mail server, tried again soon"
        return Finding("reminders", Level.WARN, words, "The Reminders page of the release says whose and why")
    return ok("reminders", "none has waited for long")


def mail(now: datetime) -> Finding:
    found = reminders.server_trouble()
    if found is None:
        return ok("delivery", "the mail server has made no trouble")
    level = Level.FAIL if now - found[0] >= LATE else Level.WARN
    words = f"the server has taken nothing for {seconds(now - found[0])}"
    return Finding("delivery", level, words, "Check EMAIL_URL and the server; nothing is lost meanwhile", found[1])


def _one_line(failure: Exception) -> str:
    return " ".join(str(failure).split()) or type(failure).__name__
