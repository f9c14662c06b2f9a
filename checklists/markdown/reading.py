"""From a text to a blueprint: every line ends up in it or in the report."""

from __future__ import annotations

from checklists.blueprints import Blueprint, PhasePlan, Reading, SeatPlan, Stage
from checklists.markdown import inference, inline, marks, outline
from checklists.markdown.blocks import Block, Entry, Line, Marker, Passage, Region, Scan, scan, split_lines
from checklists.markdown.items import ItemReader
from checklists.markdown.marking import Marking
from checklists.markdown.outline import Section, SectionKind
from checklists.markdown.people import People
from checklists.markdown.phases import PhaseReader, RawPhase
from checklists.markdown.report import LOG_LEFT_OUT, Report
from checklists.usable import lacks

FIRST_PHASE = "Preparation"  # what items without a heading of their own go to
MAX_ITEMS = 500
MAX_LINES = 20_000
MAX_ROLES = 100
NO_MARKS: frozenset[str] = frozenset()
NAME = frozenset(("name",))


class ChecklistTooLarge(ValueError):
    """The text is longer, or holds more items, than a checklist may; the message is a sentence for its author."""


def read(text: str, *, limited: bool = True) -> Reading:
    """Read a checklist. Raises ChecklistTooLarge for too many lines, items or roles, unless `limited` is False."""
    return _Reader(text, limited=limited).run()


class _Reader:
    """One reading: the sections are walked once, then items are understood with all roles known."""

    def __init__(self, text: str, *, limited: bool) -> None:
        self.limited = limited
        self.lines = split_lines(text)
        self._at_most(MAX_LINES, len(self.lines), "lines")
        self.scan: Scan = scan(text)
        self.report = Report()
        self.marking = Marking(self.report)
        self.people = People(self.report)
        self.phases = PhaseReader(self.scan, self.report, self.marking, self.people)
        self.before: list[str] = []  # Markdown before the first phase
        self.after: list[str] = []  # Markdown behind it that belongs to no phase

    def run(self) -> Reading:
        self._take_regions()
        self.marking.read(self.scan.comments, NAME, of="the document")
        closing = outline.closing_blocks(self.scan)
        root = outline.outline(self.scan, len(self.lines), self.report)
        checks = (entry.marker is Marker.CHECK for section in root.walk() for entry in section.entries)
        self._at_most(MAX_ITEMS, sum(checks), "items")
        name = self._name(root)
        self._place(root.children)
        for block in closing:
            self._keep_block(self.after, block)
        return self._reading(name)

    # The document

    def _name(self, root: Section) -> str:
        """Return the name of the checklist, and take what stands before its first section."""
        named, about = self._front_matter()
        title = outline.title_section(root, named=named is not None)
        self._unheaded(root)
        if title and title.heading:
            found = self.marking.read(title.heading.comments, NAME, of="the title")
            self.marking.document.update(found)
            self.report.use(title.heading.line, title.heading.last)
            self._unheaded(title)
            root.children[:1] = title.children
        if about:
            self.before.append(about.text)
            self.report.use(about.number)
        if title and title.heading:
            if named:
                why = "The title names the checklist; the name in the front matter was left out"
                self.report.left_out(named.number, named.text, why)
            return outline.name_of(title.heading.text)
        if named:
            self.report.use(named.number)
        return named.text if named else ""

    def _front_matter(self) -> tuple[Line | None, Line | None]:
        """Return the name and the description of the front matter; the rest is reported."""
        keys = {"name": "name", "title": "name", "description": "about", "about": "about"}
        found: dict[str, Line] = {}
        for line in self.scan.front_matter:
            key, _, value = line.text.partition(":")
            value = value.strip().strip("\"'")
            wanted = keys.get(key.strip().casefold(), "")
            if wanted and wanted not in found and value not in ("", "|", ">"):
                found[wanted] = Line(line.number, value)
            elif line.text.strip():
                self.report.left_out(line.number, line.text, "Front matter that a checklist has no place for")
        return found.get("name"), found.get("about")

    def _take_regions(self) -> None:
        """Take description, closing and logs out; a note stays where it is, for its phase."""
        for block in [block for block in self.scan.blocks if isinstance(block, Region)]:
            for number in range(block.first, block.last + 1):
                self.scan.clean[number] = None
            if block.name == "log":
                self.report.left_out(block.first, block.text, LOG_LEFT_OUT, block.last)
            elif block.name != "note":
                self._keep_block(self.after if block.name == "closing" else self.before, block)
            if block.name != "note":
                self.scan.blocks.remove(block)

    def _reading(self, name: str) -> Reading:
        document = self.marking.document
        self._seats_of_document()
        self._at_most(MAX_ROLES, max(len(self.people.roles), len(self.people.seats)), "roles or seats")
        book = inference.RoleBook(self.people.roles, self.people.seats)
        items = ItemReader(self.report, self.marking, book)
        phases = tuple(self._plan(raw, items) for raw in self.phases.found)
        self._at_most(MAX_ITEMS, sum(len(phase.items) for phase in phases), "items")
        roles, seats = self.people.settle(phases, book, listed_only=document.get("roles") == "as listed")
        blueprint = Blueprint(
            name=marks.text(document.get("name"), name),
            description=_joined(marks.text(document.get("description"), ""), *self.before),
            phases=phases,
            roles=roles,
            seats=seats,
            closing=_joined(marks.text(document.get("closing"), ""), *self.after),
        )
        if self.scan.open_fence:
            self.report.note(self.scan.open_fence, "This code fence is never closed; all that follows counts as code.")
        self.report.finish(self.lines)
        missing = lacks(blueprint, phase_lines=[raw.line for raw in self.phases.found])
        return Reading(blueprint, (*self.report.problems, *missing), frozenset(self.report.used))

    def _plan(self, raw: RawPhase, reader: ItemReader) -> PhasePlan:
        items = (reader.item(item, raw.stage) for item in raw.items)
        return PhasePlan(raw.name, raw.stage, raw.opens, raw.due, raw.note, tuple(items))

    def _seats_of_document(self) -> None:
        """A mark names the seats of the whole document, in place of those found in it."""
        self.people.respell_seats()
        document = self.marking.document
        if "seats" not in document:
            return
        if self.people.seats:
            names = ", ".join(seat.role for seat in self.people.seats)
            self.report.left_out(document.lines["seats"], names, "This mark names the seats; others were left out")
        self.people.seats = _seats(document["seats"])

    def _at_most(self, limit: int, count: int, what: str) -> None:
        if self.limited and count > limit:
            raise ChecklistTooLarge(f"The text has {count} {what}; a checklist holds at most {limit}. Split it up.")

    # Sections

    def _place(self, sections: list[Section]) -> None:
        for section, kind in zip(sections, outline.kinds_of(sections), strict=True):
            if kind is SectionKind.PHASE:
                self.phases.read(section)
            elif kind is SectionKind.CONTAINER:
                self._keep_text(section, section.last)
                self._left_over(section)
                self._place(section.children)
            elif kind is SectionKind.TEXT:
                self._keep_text(section, section.end())
                for part in section.walk():
                    self._left_over(part)
            else:
                self._people(section, seats=kind is SectionKind.SEATS)

    @property
    def _texts(self) -> list[str]:
        """Where text without items goes: before the first phase to the description, later to the closing."""
        return self.after if self.phases.found else self.before

    def _keep_text(self, section: Section, last: int) -> None:
        """Keep a section as Markdown, heading and all."""
        self._texts.append(self.scan.text(section.first, last))
        self.report.use(section.first, last)
        if self.phases.found and section.heading:
            shown = inline.excerpt(section.heading.text)
            self.report.note(section.first, f"The section {shown} has no items; it was kept as text at the end.", last)

    def _left_over(self, section: Section) -> None:
        """Take what is no plain text out of a section that is kept as text: notes, and comments."""
        for region in section.regions:
            self._keep_block(self._texts, region)
        for owner in (section.heading, *section.entries, *section.group_lines):
            if owner:
                self.marking.read(owner.comments, NO_MARKS, of="a text without items")

    def _keep_block(self, texts: list[str], block: Block) -> None:
        """Keep a block as Markdown."""
        if isinstance(block, Region):
            texts.append(block.text)
            self.report.use(block.first, block.last)
        elif isinstance(block, Passage | Entry):
            first, last = (block.line, block.last) if isinstance(block, Entry) else (block.first, block.last)
            texts.append(self.scan.text(first, last))
            self.report.use(first, last)

    def _unheaded(self, section: Section) -> None:
        """Take what stands before the first section: text describes the checklist, items make a phase of their own."""
        items = [each for each in section.blocks if isinstance(each.block, Entry) and each.block.marker is Marker.CHECK]
        for each in section.blocks:
            if each not in items:
                self._keep_block(self.before, each.block)
                if isinstance(each.block, Entry):
                    self.marking.read(each.block.comments, NO_MARKS, of="a text without items")
        for entry in section.group_lines:
            self.marking.read(entry.comments, NO_MARKS, of="a group")
        if items:
            phase = RawPhase(FIRST_PHASE, Stage.PREPARATION)
            self.phases.take_items(phase, items)
            self.report.use_all(entry.line for entry in section.group_lines)
            phase.line = phase.items[0].entry.line
            what = f'These items have no heading of their own; they went to a phase "{FIRST_PHASE}".'
            self.report.note(phase.line, what)
            self.phases.found.append(phase)

    def _people(self, section: Section, *, seats: bool) -> None:
        """Take a section of roles or seats; a heading inside it with text below is a role too."""

        def read_marks(entry: Entry) -> marks.Marked:
            return self.marking.read(entry.comments, marks.ROLE, of="a role or a seat")

        for part in section.walk():
            if part.heading:
                self.marking.read(part.heading.comments, NO_MARKS, of="this heading")
                self.report.use(part.heading.line, part.heading.last)
            for region in part.regions:
                self._keep_block(self._texts, region)
            if part is section or seats or part.entries:
                self.people.section(part, read_marks, seats=seats)
            else:
                self.people.headed(part, self.scan.text(part.heading.last + 1 if part.heading else 0, part.last))


def _seats(value: marks.Value) -> list[SeatPlan]:
    """Read "A, B (optional)", or pairs of a name and whether it is required."""
    if isinstance(value, str):
        return [SeatPlan(name, required) for name, required in inference.seat_names(value)]
    pairs = [pair for pair in value if isinstance(pair, list) and len(pair) == 2]
    return [SeatPlan(str(role), bool(required)) for role, required in pairs]


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
