"""Reminders: the scan for what is due over a ledger of many years, and how many mails one worker hands over a second.

The mail server is in a process of its own and answers at once; it shares the machine.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.benchmarks.servers import CELERY, ROOT, worker
from tests.reliability.load import PEOPLE, copied, due_within, with_items

# A ledger of many years

COPIES = """
    INSERT INTO releases_reminder (kind, release_id, recipient_id, about, mark, rank, schedule_version, data, due_at,
        not_after, state, reason, attempts, lease_token, subject, smtp_reply, created_at, sent_at, message_id)
    SELECT kind, release_id, recipient_id, %(state)s || n, mark, rank, schedule_version, data,
        due_at + (%(days)s + n * %(apart)s) * interval '1 day', not_after + (%(days)s + n * %(apart)s) * interval '1 day',
        %(state)s, reason, attempts, lease_token, subject, smtp_reply, created_at,
        CASE %(state)s WHEN 'sent' THEN due_at END, CASE %(state)s WHEN 'sent' THEN n || '@bench' END
    FROM releases_reminder, generate_series(1, %(count)s) AS n WHERE id = %(id)s
"""


@dataclass
class Scanned:
    future: int
    past: int
    by_client: dict[str, float] = field(default_factory=dict)  # median in ms, by what is looked for
    by_server: dict[str, float] = field(default_factory=dict)  # the same: planning and execution there

    def rows(self) -> list[tuple[str, str, str]]:
        found = []
        for name in self.by_server:
            wanted = "at most 1 ms" if name.startswith("due") else ""
            words = f"{name}, over {self.future} future and {self.past} past rows"
            found.append(
                (words, wanted, f"{self.by_server[name]:.2f} ms, {self.by_client[name]:.2f} ms with the client")
            )
        return found


def scanned(*, future: int = 100_000, past: int = 900_000, times: int = 51) -> Scanned:
    """What each look at the ledger asks first: what is due, what is late, whose lease is over."""
    from django.db import connection
    from django.utils import timezone

    from releases import ledger
    from releases.models import Reminder

    release = due_within(1, timezone.now() + timedelta(days=30), 0)[0]
    now = timezone.now()
    ledger.plan(now)
    row = Reminder.objects.filter(kind="mark", mark="T-4h", release=release)[0]
    to_come, gone_by = Scanned(future, past), 31 + 1000  # days from its moment to before now
    with connection.cursor() as cursor:
        given = {"id": row.pk, "count": future, "state": "planned", "days": 0, "apart": 300 / future}
        cursor.execute("SET statement_timeout = 0")  # a million rows at once take longer than any page may
        cursor.execute(COPIES, given)
        cursor.execute(COPIES, given | {"count": past, "state": "sent", "days": -gone_by, "apart": 1000 / past})
        cursor.execute("VACUUM ANALYZE releases_reminder")  # as autovacuum does by itself
    _look(to_come, "due scan, nothing due", ledger.due, now, times)
    _look(to_come, "scan for what is too late", ledger.miss, now, times)
    _look(to_come, "scan for leases that are over", ledger.free_leases, now, times)
    soonest = Reminder.objects.planned().order_by("due_at").values_list("due_at", flat=True)
    moment = soonest[min(60, future // 2)]  # as if so many had become due since
    _look(to_come, "due scan, more than a batch due", ledger.due, moment, times)
    return to_come


def _look(found: Scanned, name: str, step: Callable[[datetime], Any], now: datetime, times: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def client() -> float:
        began = time.perf_counter()
        step(now)
        return 1000 * (time.perf_counter() - began)

    with CaptureQueriesContext(connection) as asked:
        step(now)
    scan = next(query["sql"] for query in asked if "releases_reminder" in query["sql"])

    def server() -> float:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, TIMING OFF) " + scan.replace("%", "%%"), [])
            text = "\n".join(line for (line,) in cursor.fetchall())
        return sum(float(taken) for taken in re.findall(r"(?:Planning|Execution) Time: ([\d.]+) ms", text))

    found.by_client[name] = statistics.median(client() for _ in range(times))
    found.by_server[name] = statistics.median(server() for _ in range(times))


# Mails a second


@dataclass
class Mailed:
    due: int
    processes: int
    patience: float  # seconds
    came: int = 0
    copies: int = 0  # of a mail beyond the first
    sent: int = 0  # as the ledger says
    waiting: int = 0  # that were still owed when it was stopped, because it took too long
    otherwise: dict[str, int] = field(default_factory=dict)  # how many ended for which reason instead
    seconds: float = 0.0  # from the first mail that was handed over to the last

    @property
    def rate(self) -> float:
        return (self.sent - 1) / self.seconds if self.seconds else 0.0

    def rows(self) -> list[tuple[str, str, str]]:
        words = "one process" if self.processes == 1 else f"{self.processes} processes"
        return [
            (f"mails a second of one worker ({words}), {self.due} due", "at least 250", f"{self.rate:.0f}"),
            ("of these lost, sent twice", "0, 0", f"{self.due - self.came - self.waiting}, {self.copies}"),
            *[(f"not yet sent after {self.patience:.0f} s", "0", str(self.waiting))] * bool(self.waiting),
        ]


def due_at_once(mails: int) -> int:
    """So many T-4h mails are due now, and planned; the exact number."""
    from django.utils import timezone

    from releases import ledger
    from releases.models import Reminder

    now = timezone.now()
    first = due_within(1, now - timedelta(seconds=1), 0)[0]
    with_items(copied(first, -(-mails // PEOPLE), apart=timedelta(0)))
    ledger.plan(now)
    others = Reminder.objects.planned().exclude(kind="mark", mark="T-4h")
    others.update(state="sent", sent_at=now)  # about what is overdue; deleted ones would be planned anew
    return Reminder.objects.planned().filter(due_at__lte=now).count()


def mailed(environment: Mapping[str, str], *, mails: int = 1000, processes: int = 1, patience: float = 120) -> Mailed:
    """A worker as docker-compose.yml starts it, told to look at the ledger once for each of its processes."""
    from releases.models import Release, Reminder, Status
    from tests.smtp import sink_apart

    Release.objects.update(status=Status.CANCELLED)  # what was measured before is over
    Reminder.objects.planned().delete()
    before = Reminder.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    found = Mailed(due_at_once(mails), processes, patience)
    ours = Reminder.objects.filter(pk__gt=before, kind="mark", mark="T-4h")
    with sink_apart() as sink:
        own = {**environment, "EMAIL_URL": f"smtp+plain://127.0.0.1:{sink.port}"}
        with worker(own, concurrency=processes):
            end = time.monotonic() + patience
            while ours.filter(state="sent").count() < found.due and time.monotonic() < end:
                for _ in range(processes):
                    subprocess.run([*CELERY, "call", "releases.tasks.tick"], cwd=ROOT, env=own, check=True, stdout=-3)
                _wait(lambda: ours.filter(state="sent").count(), found.due, end)
        ids = Counter(str(message["Message-ID"]) for message in sink.taken)
    found.came, found.copies = len(ids), ids.total() - len(ids)
    moments = sorted(ours.filter(state="sent").values_list("sent_at", flat=True))
    found.sent, found.waiting = len(moments), ours.filter(state__in=("planned", "sending")).count()
    found.otherwise = Counter(ours.exclude(state__in=("planned", "sending", "sent")).values_list("reason", flat=True))
    found.seconds = (moments[-1] - moments[0]).total_seconds() if moments else 0.0
    return found


def _wait(sent: Callable[[], int], due: int, end: float) -> None:
    """Until all are sent, or nothing has happened for three seconds: a look ends by itself after a while."""
    before, quiet = -1, time.monotonic()
    while time.monotonic() < end and (now := sent()) < due:
        if now != before:
            before, quiet = now, time.monotonic()
        elif time.monotonic() - quiet > 3:
            return
        time.sleep(0.2)
