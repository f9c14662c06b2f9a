"""Explicit marks: comments such as `<!-- role: QA Lead; kind: sign_off -->` that say what inference cannot know.

A value is bare text up to the next semicolon, or JSON: a quoted text or a list. JSON can say anything, so that every
blueprint can be written down; bare text is for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | list[object]

ITEM = frozenset(
    ("title", "guidance", "role", "kind", "required", "condition", "window", "evidence", "watch", "group", "log")
)
PHASE = frozenset(("name", "stage", "opens", "due", "note"))
ROLE = frozenset(("name", "responsibility", "required", "seat"))
DOCUMENT = frozenset(("description", "closing", "seats", "roles"))  # may stand anywhere
KNOWN = ITEM | PHASE | ROLE | DOCUMENT
ORDER = (
    "name",
    "title",
    "stage",
    "opens",
    "due",
    "role",
    "kind",
    "watch",
    "required",
    "condition",
    "window",
    "evidence",
)
QUOTED_ONLY = frozenset(("description", "closing", "note", "guidance", "title", "name"))  # else an ordinary remark
ALIASES = {"bound_to_window": "window", "evidence_wanted": "evidence", "seat_for": "seat", "group_of": "group"}

_KEY = re.compile(r"\s*([A-Za-z][A-Za-z _]{1,20}?)\s?:\s*")
_decoder = json.JSONDecoder()


@dataclass
class Marks:
    """The marks of one comment: what was understood, and what was not."""

    values: dict[str, Value] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)


class Marked(dict[str, Value]):
    """The marks of one thing, gathered from its comments, with the line each stands in."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def read(comment: str) -> Marks | None:
    """Return the marks in `comment`, or None if it is an ordinary comment."""
    marks, at = Marks(), 0
    while found := _KEY.match(comment, at):
        key = found[1].casefold().replace(" ", "_")
        key = ALIASES.get(key, key)
        value, at = _value(comment, found.end())
        understood = key in KNOWN and (key not in QUOTED_ONLY or _is_quoted(comment, found.end()))
        if not marks.values and not understood:
            return None
        if understood:
            marks.values[key] = value
        else:
            marks.strange.append(f"{found[1]}: {value}")
    if not marks.values:
        return None
    if rest := comment[at:].strip():
        marks.strange.append(rest)
    return marks


def write(values: Mapping[str, Value | bool]) -> str:
    """Return the comment that `read` understands as `values`, in a fixed order; True and False become yes and no."""
    keys = sorted(values, key=lambda key: (ORDER.index(key) if key in ORDER else len(ORDER), key))
    return f"<!-- {'; '.join(f'{key}: {_written(key, values[key])}' for key in keys)} -->"


def text(value: Value | None, inferred: str) -> str:
    """Return a mark's text, or what was inferred where there is none."""
    return value if isinstance(value, str) else inferred


def yes(value: Value) -> bool | None:
    """Return what a mark such as `required: no` says; None if it is neither yes nor no."""
    word = value.casefold() if isinstance(value, str) else ""
    if word in ("yes", "true", "wanted", "required", "bound"):
        return True
    return False if word in ("no", "false", "none", "optional") else None


def _value(comment: str, at: int) -> tuple[Value, int]:
    """Read one value; return it with the index behind its semicolon."""
    if _is_quoted(comment, at):
        value, end = _decoder.raw_decode(comment, at)
        rest = re.compile(r"\s*;?").match(comment, end)
        return value, rest.end() if rest else end
    end = comment.find(";", at)
    end = len(comment) if end < 0 else end
    text = " ".join(comment[at:end].split())
    return "" if text.casefold() == "none" else text, end + 1


def _is_quoted(comment: str, at: int) -> bool:
    if comment[at : at + 1] not in ('"', "["):
        return False
    try:
        value, end = _decoder.raw_decode(comment, at)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, str | list) and comment[end:].lstrip()[:1] in ("", ";")


_BARE = re.compile(r"[^\W_][^;\"\[\]<>\n\r\t]*")


def _written(key: str, value: Value | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == "":
        return "none" if key not in QUOTED_ONLY else '""'
    if isinstance(value, str) and key not in QUOTED_ONLY and _is_plain(value):
        return value
    text = json.dumps(value, ensure_ascii=False)
    for char in ("<", ">", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff"):
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _is_plain(value: str) -> bool:
    return (
        bool(_BARE.fullmatch(value))
        and "--" not in value
        and value == " ".join(value.split())
        and value.casefold() != "none"
    )
