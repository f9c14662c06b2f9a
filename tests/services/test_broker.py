"""Redis absent for the whole run: every mail leaves on time by the second driver (RELIABILITY: "Two drivers")."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from releases import workflow
from releases.management.commands import reminders
from releases.models import Reminder
from tests.provision import free_port
from tests.reliability import load
from tests.reliability.kills import Program
from tests.smtp import sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

PATIENCE = 90  # seconds, on a busy machine
EVERY = 2  # seconds between the looks of the second driver, here; 30 in production

# The command as it is, only that it looks more often: what it does between two looks stays the same.
LOOP = f"""
import django
django.setup()
from django.core.management import execute_from_command_line
from releases.management.commands import reminders
reminders.EVERY = {EVERY}
execute_from_command_line(["manage.py", "reminders", "--loop"])
"""


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_without_redis_every_mail_leaves_by_the_second_driver(
    service_environment: dict[str, str], settings: Any, tmp_path: Path
) -> None:
    releases = load.due_within(12, timezone.now(), seconds=0)
    marks = Reminder.objects.filter(kind="mark", mark="T-4h")
    with sink(settings) as smtp, (tmp_path / "log").open("w") as log:
        absent = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        environment = service_environment | absent | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
        programs = [Program(command, environment, log) for command in (*load.BY_CELERY, [sys.executable, "-c", LOOP])]
        try:
            for program in programs:
                program.start()
            wait_until(lambda: marks.filter(state="sent").count() == 12)
            told = [workflow.hold(release, "incident elsewhere", by=release.coordinator) for release in releases]
            wait_until(lambda: Reminder.objects.filter(kind="held", state="sent").count() == 12)
            assert [program for program in programs if not program.is_running] == [], "nor does it end the others"
        finally:
            for program in programs:
                program.kill()
    delays = [late(row) for row in Reminder.objects.filter(kind="held")]
    assert len(told) == 2
    assert max(delays) < 10 * EVERY + 10, "the next look sends it"
    assert len(smtp.taken) == len(set(smtp.ids())) == 24
    assert reminders.EVERY <= 30, "what the rules promise of a dead Redis"


def late(row: Reminder) -> float:
    sent: datetime | None = row.sent_at
    assert sent is not None
    return (sent - row.due_at).total_seconds()
