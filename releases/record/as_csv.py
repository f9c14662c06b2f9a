"""The record as CSV for spreadsheets: one row an item or rollback step.

UTF-8 with a byte order mark, or Excel takes it for something else. A cell that a spreadsheet would run as a formula
begins with an apostrophe instead.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from io import StringIO

from releases.models import RollbackStep
from releases.record.values import ItemRecord, Record

HEADINGS = (
    *("Release", "Phase", "Item", "Role", "Kind", "Required", "State", "By", "For", "At (UTC)", "Due (UTC)"),
    *("Reason or note", "Evidence", "Commit"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_csv(record: Record) -> str:
    out = StringIO()
    sheet = csv.writer(out, lineterminator="\r\n")
    sheet.writerow(HEADINGS)
    sheet.writerows([safe(cell) for cell in row] for row in _rows(record))
    return "\ufeff" + out.getvalue()


def safe(cell: str) -> str:
    """Return `cell` so that no spreadsheet takes it for a formula, whatever blanks stand before it."""
    return f"'{cell}" if cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA) else cell


def _rows(record: Record) -> Iterator[list[str]]:
    key = record.release.key
    for phase in record.phases:
        yield from ([key, phase.name, *_item(item)] for item in phase.items)
    for rollback in record.rollbacks:
        for step in rollback.steps:
            state = str(RollbackStep.State(step.state).label)
            who = step.by.name if step.by else ""
            row = [key, f"Rollback {rollback.number}", f"{step.position}. {step.title}", "", "step", "yes", state, who]
            yield [*row, "", _utc(step.at), "", step.note, "", ""]


def _item(item: ItemRecord) -> list[str]:
    return [
        *(item.title, item.role, item.kind, "yes" if item.required else "no", item.label),
        *(item.by.name if item.by else "", item.acted_for, _utc(item.at), _utc(item.due_at), item.reason),
        "; ".join(" ".join(dict.fromkeys(filter(None, (proof.label, proof.url)))) for proof in item.evidence),
        "; ".join(proof.commit for proof in item.evidence if proof.commit),
    ]


def _utc(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
