"""What the marks of a heading or an item say, with a sentence for each that says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from checklists.blueprints import Kind, Stage
from checklists.markdown import inference, marks
from checklists.markdown.blocks import Comment
from checklists.markdown.report import Report
from checklists.tminus import Offset

Member = TypeVar("Member", Kind, Stage)


class Marking:
    """Reads comments; marks about the whole document are gathered in `document`, wherever they stand."""

    def __init__(self, report: Report) -> None:
        self.document = marks.Marked()
        self._report = report

    def read(self, comments: Iterable[Comment], allowed: frozenset[str], *, of: str) -> marks.Marked:
        """Return the marks in `comments`; what is no mark, or none of these, is reported."""
        result = marks.Marked()
        for comment in comments:
            found = marks.read(comment.text)
            if found is None:
                if comment.text.strip():
                    self._report.left_out(comment.first, comment.text, "A comment was left out", comment.last)
                continue
            self._report.use(comment.first, comment.last)
            for key, value in found.values.items():
                place = self.document if key in marks.DOCUMENT else result
                if key not in allowed and place is result:
                    found.strange.append(f"{key}: {value}")
                elif key in place:
                    self._report.left_out(comment.first, f"{key}: {value}", "A mark that says it again", comment.last)
                else:
                    place[key] = value
                    place.lines[key] = comment.first
            for strange in found.strange:
                self._report.left_out(comment.first, strange, f"A mark that says nothing about {of}", comment.last)
        if "name" in result and of in ("the document", "the title"):
            self.document["name"] = result["name"]
        return result

    def flag(self, marked: marks.Marked, key: str, inferred: bool) -> bool:
        if key not in marked:
            return inferred
        if (said := marks.yes(marked[key])) is None:
            self._not_understood(marked, key, f"The mark {key} is yes or no")
            return inferred
        return said

    def offset(self, marked: marks.Marked, key: str, inferred: Offset | None) -> Offset | None:
        if key not in marked:
            return inferred
        value = str(marked[key])
        if value in ("", "stage"):
            return None
        try:
            return Offset.parse(value)
        except ValueError as failure:
            self._not_understood(marked, key, str(failure).removesuffix("."))
            return inferred

    def member(self, enum: type[Member], marked: marks.Marked, key: str) -> Member | None:
        """Return the member of `enum` that a mark names, however it is spelled."""
        if key not in marked:
            return None
        word = str(marked[key]).casefold().replace("-", "_").replace(" ", "_")
        found = next((member for member in enum if member.value == word), None)
        if found is None:
            self._not_understood(marked, key, f"A {key} is one of {', '.join(member.value for member in enum)}")
        return found

    def _not_understood(self, marked: marks.Marked, key: str, rule: str) -> None:
        self._report.left_out(marked.lines[key], f"{key}: {marked[key]}", f"{rule}; this was left out")

    def watch(self, marked: marks.Marked, inferred: tuple[int, int]) -> tuple[int, int]:
        value = marked.get("watch", "")
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, int) for part in value):
            return int(str(value[0])), int(str(value[1]))
        if "watch" not in marked:
            return inferred
        found = inference.minutes(str(value)) or inference.minutes(f"{value} minutes")
        if not found:
            self._not_understood(marked, "watch", "A watch is given in minutes, like 15-30")
        return found or inferred
