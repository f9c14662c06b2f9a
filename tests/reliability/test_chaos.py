"""The quick form of the chaos: real programs killed with `kill -9` while mails flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from releases.models import Reminder
from tests.reliability import kills
from tests.smtp import sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

KILLS = 6


def two_minutes_later() -> None:
    """As far as leases can tell."""
    Reminder.objects.filter(state="sending").update(lease_until=timezone.now())


def test_programs_killed_while_mails_flow_lose_nothing(
    service_environment: dict[str, str], settings: Any, tmp_path: Path
) -> None:
    with sink(settings) as smtp, (tmp_path / "log").open("w") as log:
        environment = service_environment | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
        result = kills.run(KILLS, environment, smtp, log, senders=2, patience=90, afterwards=two_minutes_later)
    assert result.wrong == [], (tmp_path / "log").read_text()
    assert result.kills.total() >= KILLS
    assert result.expected >= KILLS
