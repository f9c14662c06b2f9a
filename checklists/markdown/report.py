"""The account of a reading: which lines were used, and a sentence for all others."""

from __future__ import annotations

from collections.abc import Iterable

from checklists.blueprints import Problem
from checklists.markdown import inline
from checklists.markdown.blocks import is_rule

LOG_LEFT_OUT = "What happened in a release is no part of a template"


class Report:
    """Gathers problems and used lines."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.used: set[int] = set()

    def use(self, first: int, last: int = 0) -> None:
        """Say that the lines from `first` to `last` are found in the blueprint."""
        self.used.update(range(first, max(first, last) + 1))

    def use_all(self, lines: Iterable[int]) -> None:
        self.used.update(lines)

    def note(self, line: int, sentence: str, last: int = 0) -> None:
        self.problems.append(Problem(line, sentence, last_line=last if last > line else 0))

    def left_out(self, line: int, text: str, why: str, last: int = 0) -> None:
        """Report text that is not in the blueprint, with its beginning."""
        self.note(line, f"{why}: {inline.excerpt(text)}.", last)

    def finish(self, lines: list[str]) -> None:
        """Report what nobody took, neighbouring lines together, and sort by line."""
        reported = {number for problem in self.problems for number in problem.lines}
        start = 0
        for number, text in enumerate([*lines, ""], start=1):
            open_line = number <= len(lines) and number not in self.used and number not in reported
            lost = open_line and bool(text.strip()) and not is_rule(text)
            if lost and not start:
                start = number
            elif not lost and start:
                self.left_out(start, lines[start - 1], "This was not understood and left out", number - 1)
                start = 0
        self.problems.sort(key=lambda problem: problem.line)
