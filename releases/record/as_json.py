"""The record as JSON: complete, with every event as it was hashed, so that `verify_record.py` can check it.

`schema` 1: the fields of `releases.record.values`, one object a value, beside `schema`, `what` and `head`.
Instants are UTC with microseconds (`2026-11-26T09:12:00.000000Z`), days `2026-11-26`. No number has a fraction.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from releases.events import stamp
from releases.record.values import Record
from releases.verify_record import SCHEMA

NOT_EXPORTED = "plan"  # the checklist as a blueprint: the phases say the same


def as_data(record: Record) -> dict[str, Any]:
    """Return `record` as what JSON can hold."""
    parts = {field.name: getattr(record, field.name) for field in fields(record) if field.name != NOT_EXPORTED}
    return {"schema": SCHEMA, "what": "relcoord release record"} | plain(parts)


def as_json(record: Record) -> str:
    return json.dumps(as_data(record), ensure_ascii=False, indent=1) + "\n"


def plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, datetime):
        return stamp(value)
    return value.isoformat() if isinstance(value, date) else value
