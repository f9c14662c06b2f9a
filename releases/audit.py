"""Is the history whole, and do the rows say what it says? What `verify_audit` and the record page ask.

The check itself is `verify_record.first_fault`: a server holds its own rows against its events in the same way in
which an auditor, years later, holds an exported record against a head hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from releases.models import Release
from releases.record import Record, as_data, build
from releases.verify_record import Finding, first_fault


@dataclass(frozen=True)
class Audit:
    """The answer for one release. `finding` is the first thing that is not as it should be."""

    key: str
    events: int
    head: str
    at: datetime
    finding: Finding | None

    @property
    def holds(self) -> bool:
        return self.finding is None

    def __str__(self) -> str:
        if self.finding is not None:
            return f"{self.key}: {self.finding}"
        return f"{self.key}: chain of {self.events} events verified, head {self.head}"


def audit(release: Release, record: Record | None = None) -> Audit:
    """Verify the chain of `release` and replay it against its rows; `record` spares building it again."""
    record = record or build(release)
    return Audit(release.key, len(record.events), record.head, timezone.now(), _fault(as_data(record)))


def _fault(data: dict[str, Any]) -> Finding | None:
    try:
        return first_fault(data)
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        return Finding(0, "an event that no verb writes", "fields as the verbs write them", repr(failure))
