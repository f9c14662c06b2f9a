"""Markdown in, Markdown out: `parse` reads a checklist as people keep it, `dump` writes a blueprint down as one.

`parse(dump(blueprint)).blueprint == blueprint` for every blueprint. Pure: no Django.
"""

from __future__ import annotations

from checklists.blueprints import Blueprint, Reading
from checklists.markdown.reading import MAX_ITEMS, MAX_LINES, MAX_ROLES, ChecklistTooLarge, read
from checklists.markdown.writing import Progress, write

__all__ = ["ChecklistTooLarge", "Limits", "Progress", "dump", "parse"]


class Limits:
    """How much `parse` takes; beyond that it refuses before it works."""

    BYTES = 512 * 1024  # of UTF-8
    LINES = MAX_LINES
    ITEMS = MAX_ITEMS
    ROLES = MAX_ROLES


def parse(text: str) -> Reading:
    """Read a checklist. Every line is in the blueprint or in a problem with its line number.

    What is not understood is reported, never refused. Raises ChecklistTooLarge beyond `Limits`.
    """
    if len(text) > Limits.BYTES or len(text.encode(errors="replace")) > Limits.BYTES:
        raise ChecklistTooLarge(f"The text is longer than {Limits.BYTES // 1024} KiB. Split the checklist up.")
    return read(text)


def dump(blueprint: Blueprint, progress: Progress | None = None) -> str:
    """Write a blueprint as Markdown that `parse` reads back; explicit marks only where inference would differ.

    `progress` adds what happened in a release: ticks and lines below the items, which `parse` leaves out again.
    """
    return write(blueprint, progress)
