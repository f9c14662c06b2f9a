"""The quick form of the load: a hundred mails due at once, and what a tick over many future reminders reads.

The long form, `python3 dev.py chaos --load 1000`, measures a thousand mails due in one minute and 100 000 reminders.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases import ledger
from releases.models import Reminder
from tests.factories import ReleaseFactory, window
from tests.reliability import load
from tests.smtp import sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

MAILS = 100
ROWS = 20_000


def test_a_hundred_mails_due_at_once_are_with_the_server_soon(
    service_environment: dict[str, str], settings: Any, tmp_path: Path
) -> None:
    releases = load.due_within(MAILS, timezone.now(), seconds=0)
    with sink(settings) as smtp, (tmp_path / "log").open("w") as log:
        environment = service_environment | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
        result = load.handed_over(releases, environment, smtp, log, load.BY_LOOP)
    assert result.expected >= MAILS
    assert result.late == [], (tmp_path / "log").read_text()


def test_what_is_too_late_is_said() -> None:
    quick = load.Handed(delays=[float(number) for number in range(1, 101)], expected=100)
    assert (quick.quantile(0.5), quick.quantile(0.99), quick.quantile(1)) == (50, 99, 100)
    assert quick.late == []
    assert "p99 is 99.0 s" in quick.wrong[0]
    assert "100 came" in load.Handed(quick.delays, expected=101).late[0]
    assert "one took 121.0 s" in load.Handed([121.0], expected=1).late[0]


COPIES = """
    INSERT INTO releases_reminder (kind, release_id, recipient_id, about, mark, rank, schedule_version, data, due_at,
        not_after, state, reason, attempts, lease_token, subject, smtp_reply, created_at)
    SELECT kind, release_id, recipient_id, 'copy:' || n, mark, rank, schedule_version, data, due_at + n * interval '1 s',
        not_after + n * interval '1 s', state, reason, attempts, lease_token, subject, smtp_reply, created_at
    FROM releases_reminder, generate_series(1, %s) AS n WHERE id = %s
"""


@pytest.fixture
def many_to_come() -> datetime:
    """A ledger with very many rows, all of the future."""
    release = ReleaseFactory(window=window(timedelta(days=30)))
    now = timezone.now()
    ledger.plan(now)
    Reminder.objects.exclude(kind="mark").delete()
    row = release.reminders.filter(mark="T-4h")[0]
    with connection.cursor() as cursor:
        cursor.execute(COPIES, [ROWS, row.pk])
        cursor.execute("ANALYZE releases_reminder")
    return now


@pytest.mark.parametrize("step", [ledger.due, ledger.miss, ledger.free_leases])
def test_what_each_tick_looks_for_is_found_without_reading_the_whole_ledger(step: Any, many_to_come: datetime) -> None:
    with CaptureQueriesContext(connection) as asked:
        step(many_to_come)
    found = [query["sql"] for query in asked if "releases_reminder" in query["sql"]]
    with connection.cursor() as cursor:
        for sql in found:
            cursor.execute("EXPLAIN " + sql)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert not re.search(r"Seq Scan on releases_reminder", plan), f"{sql}\n{plan}"
    assert found


def test_a_tick_asks_as_often_with_many_releases_to_come_as_with_one(many_to_come: datetime) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            ledger.tick(many_to_come)
        return len(asked)

    ledger.tick(many_to_come)
    one = statements()
    load.planned_far_ahead(30 * load.EACH_ROWS)
    ledger.tick(many_to_come)
    assert Reminder.objects.planned().filter(due_at__gt=many_to_come).count() > ROWS + 30 * 18
    assert statements() == one
