"""The roles of a checklist and their seats in the poll: from lists, lines, tables and headings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from checklists.blueprints import ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, slug
from checklists.markdown import inference, inline, marks
from checklists.markdown.blocks import Entry, Line, dedented, paragraphs, trimmed
from checklists.markdown.outline import Section, name_of
from checklists.markdown.report import Report

_TABLE_OF_ROLES = re.compile(r"\W*(?:role|attendee|seat|voter|participant|who)", re.IGNORECASE)
_USUAL_HEADING = re.compile(
    r"(?:(?:the|release|team|roles?|raci|and|&|responsibilities|poll|go/no-go|meeting|attendees|voters|seats|participants"
    r"|final|sign-?offs?|approvals|approvers)(?: +|(?=:?$)))+:?",
    re.IGNORECASE,
)
_DIVIDER = re.compile(r":?-+:?")
_DUTY = re.compile(r"\W*(?:responsib|dut|task|what)", re.IGNORECASE)
_TO_SIGN = re.compile(r"\*\*(?P<name>[^*]{1,100})\*\*(?P<colon>:?)\s*_{3,}.*")
_BEHIND_NAME = re.compile(r"\s*\(([^()]{1,80})\)$")
_OPTIONAL_WORDS = ("optional", "no")
_PLAIN_WORDS = ("", "required", "yes", "go/no-go", "vote", "voter", *_OPTIONAL_WORDS)


@dataclass
class _Listed:
    name: str
    responsibility: str
    required: bool | None  # None: inferred when all is known


class People:
    """Gathers roles and seats while the sections are walked; `settle` then says which roles are required."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._listed: list[_Listed] = []
        self._spelled: dict[str, str] = {}  # the names of roles by slug, as the list has them
        self._seated: set[str] = set()
        self.seats: list[SeatPlan] = []

    @property
    def roles(self) -> list[RolePlan]:
        return [RolePlan(role.name, role.responsibility) for role in self._listed]

    def settle(
        self, phases: Iterable[PhasePlan], book: inference.RoleBook, *, listed_only: bool
    ) -> tuple[tuple[RolePlan, ...], tuple[SeatPlan, ...]]:
        """Return roles and seats. Roles that only a seat or an item names come behind the listed ones.

        Required are the coordinator, whoever has a required seat, and who must sign off or acknowledge something.
        """
        items = [item for phase in phases for item in phase.items]
        listed = list(self._listed)
        if not listed_only:
            known = {slug(role.name) for role in listed}
            for name in [seat.role for seat in self.seats] + [item.role for item in items]:
                if slug(name) and slug(name) not in known:
                    known.add(slug(name))
                    listed.append(_Listed(name, "", None))
        needed = {slug(name) for name in self._needed(items, book)} - {""}
        required = [slug(role.name) in needed if role.required is None else role.required for role in listed]
        plans = [RolePlan(role.name, role.responsibility, need) for role, need in zip(listed, required, strict=True)]
        return tuple(plans), tuple(self.seats)

    def _needed(self, items: Iterable[ItemPlan], book: inference.RoleBook) -> Iterable[str]:
        yield book.coordinator()
        yield from (seat.role for seat in self.seats if seat.required)
        in_person = (Kind.SIGN_OFF, Kind.ACKNOWLEDGE)
        yield from (item.role for item in items if item.required and item.kind in in_person)

    # Roles

    def section(self, section: Section, read_marks: Callable[[Entry], marks.Marked], *, seats: bool) -> None:
        """Take a section of roles, or of seats."""
        if section.heading and not _USUAL_HEADING.fullmatch(section.heading.text.strip()):
            self._report.left_out(section.first, section.heading.text, "Roles and seats have no place for this heading")
        for entry in section.entries:
            marked = read_marks(entry)
            if seats:
                self.seat_entry(entry, marked)
            else:
                self._role_entry(entry, marked)
        for lines in (part for passage in section.passages for part in paragraphs(passage.lines)):
            if self.table(lines, seats=seats):
                continue
            for line in lines:
                (self._seats_line if seats else self._role_line)(line)

    def headed(self, section: Section, text: str) -> None:
        """Take a heading as the name of a role, and the text below it as the responsibility."""
        if section.heading:
            self._report.use(section.first, section.last)
            self._add(name_of(section.heading.text), text, marks.Marked(), section.first)

    def _role_entry(self, entry: Entry, marked: marks.Marked) -> None:
        words = inline.cut(entry.text, at_colon=True)
        body = trimmed([line.text for line in dedented(entry.body)])
        name, duty = marked.get("name", words.title), marked.get("responsibility")
        if duty is None:
            duty = "\n".join(filter(None, (words.rest, body)))
        self._report.use_all(entry.numbers)
        self._add(str(name), str(duty), marked, entry.line, named="name" in marked)

    def _role_line(self, line: Line) -> None:
        """A line of a paragraph is a role if its name is bold; other lines are left to the report."""
        words = inline.cut(line.text.strip())
        if line.text.lstrip().startswith("**") and words.rest:
            self._report.use(line.number)
            self._add(words.title, words.rest, marks.Marked(), line.number)

    def _add(self, name: str, responsibility: str, marked: marks.Marked, line: int, *, named: bool = False) -> None:
        if not named and slug(name) in self._spelled:
            self._report.left_out(line, f"{name} {responsibility}", "A role listed twice; the second was left out")
            return
        if not named and not slug(name):
            self._report.left_out(line, f"{name} {responsibility}", "A role without a name was left out")
            return
        self._spelled.setdefault(slug(name), name)
        self._listed.append(_Listed(name, responsibility, marks.yes(marked.get("required", []))))
        if "seat" in marked:
            self._seat([(name, marks.yes(marked["seat"]) is not False)], line)

    # Seats

    def seat_line(self, required: bool, names: str, line: int) -> None:
        """Take "A, B, C (optional)"."""
        self._report.use(line)
        self._seat([(name_of(name), required and needed) for name, needed in inference.seat_names(names)], line)

    def seat_entry(self, entry: Entry, marked: marks.Marked) -> None:
        """Take "- QA Lead (optional)"; what follows a dash is said of the seat and has no place."""
        words = inline.cut(entry.text)
        self._report.use(entry.line)
        said = marks.yes(marked.get("required", marked.get("seat", [])))
        names = inference.seat_names(words.title)
        self._seat([(name, required if said is None else said) for name, required in names], entry.line)
        behind = " ".join([words.rest, *(line.text for line in entry.body)]).strip()
        if behind:
            self._report.left_out(entry.line, behind, "A seat has no place for this text", entry.last)

    def _seats_line(self, line: Line) -> None:
        text = line.text.strip()
        if attendees := inference.attendees(text):
            self.seat_line(*attendees, line.number)
        elif found := _TO_SIGN.fullmatch(text):
            name = found["name"].strip().removesuffix(":")
            behind = _BEHIND_NAME.search(name)
            name = name[: behind.start()] if behind else name
            self._report.use(line.number)
            self._seat([(name, behind is None)], line.number)
            self._report.left_out(line.number, text, "Read as a seat in the poll, without the blanks to fill in")

    def _seat(self, seats: Iterable[tuple[str, bool]], line: int) -> None:
        twice = []
        for name, required in seats:
            if slug(name) in self._seated:
                twice.append(name)
                continue
            self._seated.add(slug(name))
            self.seats.append(SeatPlan(name, required))
        if twice:
            self._report.left_out(line, ", ".join(twice), "A seat listed twice; the second was left out")

    def respell_seats(self) -> None:
        """Spell seats as the list of roles does, which may stand behind them."""
        self.seats = [SeatPlan(self._spelled.get(slug(seat.role), seat.role), seat.required) for seat in self.seats]

    # Tables

    def table(self, lines: list[Line], *, seats: bool) -> bool:
        """Take a table of roles or of seats; False if the lines are none."""
        if len(lines) < 2 or not all(line.text.lstrip().startswith("|") for line in lines):
            return False
        rows = [(line.number, _cells(line.text)) for line in lines]
        head, divider = rows[0][1], rows[1][1]
        if not all(_DIVIDER.fullmatch(cell) for cell in divider) or not _TABLE_OF_ROLES.match(head[0] if head else ""):
            return False
        self._report.use(rows[0][0], rows[1][0])
        for number, cells in rows[2:]:
            self._report.use(number)
            if cells:
                (self._seat_row if seats else self._role_row)(number, head, cells)
        return True

    def _role_row(self, number: int, head: list[str], cells: list[str]) -> None:
        """The column of duties is the responsibility; others follow it with their heading."""
        duty = next((at for at, title in enumerate(head) if at and _DUTY.match(title)), 1)
        texts = [cells[duty]] if duty < len(cells) and cells[duty] else []
        for at, cell in enumerate(cells):
            if at not in (0, duty) and cell:
                title = head[at] if at < len(head) else ""
                texts.append(f"{title}: {cell}" if title else cell)
        self._add(name_of(cells[0]), "; ".join(texts), marks.Marked(), number)

    def _seat_row(self, number: int, head: list[str], cells: list[str]) -> None:
        words = [cell.casefold() for cell in cells[1:]]
        optional = any(word in _OPTIONAL_WORDS for word in words)
        names = inference.seat_names(name_of(cells[0]))
        self._seat([(name, required and not optional) for name, required in names], number)
        more = [cell for cell in cells[1:] if cell.casefold() not in _PLAIN_WORDS]
        if more:
            self._report.left_out(number, " | ".join(more), "A seat has no place for this text")


def _cells(row: str) -> list[str]:
    text = row.strip().removeprefix("|")
    text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
    cells: list[str] = []
    cell: list[str] = []
    escaped = False
    for char in text:
        if char == "|" and not escaped:
            cells.append("".join(cell).strip())
            cell = []
            continue
        escaped = char == "\\" and not escaped
        cell.append(char)
    return [*cells, "".join(cell).strip()]
