"""From a section to a phase: its heading, its items, and as its note all that is neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from checklists.blueprints import Stage
from checklists.markdown import inference, marks, outline
from checklists.markdown.blocks import Entry, Heading, Line, Marker, Passage, Region, Rule, Scan, paragraphs
from checklists.markdown.items import RawItem
from checklists.markdown.marking import Marking
from checklists.markdown.outline import Placed, Section
from checklists.markdown.people import People
from checklists.markdown.report import Report
from checklists.tminus import Offset


@dataclass
class RawPhase:
    """A phase whose items are not understood yet."""

    name: str
    stage: Stage
    opens: Offset | None = None
    due: Offset | None = None
    note: str = ""
    line: int = 0
    items: list[RawItem] = field(default_factory=list)


class PhaseReader:
    """Reads phases in the order of the text; attendees it meets get their seats."""

    def __init__(self, scan: Scan, report: Report, marking: Marking, people: People) -> None:
        self._scan = scan
        self._report = report
        self._marking = marking
        self._people = people
        self.found: list[RawPhase] = []

    def read(self, section: Section) -> None:
        """Read one phase into `found`."""
        heading = section.heading
        assert heading is not None  # noqa: S101  # only a heading makes a phase
        self._report.use(heading.line, heading.last)
        marked = self._marking.read(heading.comments, marks.PHASE, of="a phase")
        words = section.words
        before = self.found[-1].stage if self.found else None
        stage = inference.stage_of(words.name, words.opens, if_needed=bool(words.if_needed), before=before)
        stage = self._marking.member(Stage, marked, "stage") or stage
        written = words.name if stage is Stage.CONTINGENCY or not words.if_needed else f"{words.name} {words.if_needed}"
        opens = words.opens or inference.opens_by_stage(stage)
        phase = RawPhase(outline.name_of(written), stage, opens, words.due, line=heading.line)
        phase.name = marks.text(marked.get("name"), phase.name)
        phase.opens = self._marking.offset(marked, "opens", phase.opens)
        phase.due = self._marking.offset(marked, "due", phase.due)
        self._fill(phase, section, marks.text(marked.get("note"), ""))
        self.found.append(phase)

    def _fill(self, phase: RawPhase, section: Section, note: str) -> None:
        """Give the phase its items and its note: all that is under its heading."""
        promoted = self._promoted(phase, section)
        notes = _Notes(note)
        for part, path in _with_paths(section):
            self._report.use_all(entry.line for entry in part.group_lines)
            for entry in part.group_lines:
                self._marking.read(entry.comments, frozenset(), of="a group")
            if part is not section and part.heading:
                self._sub_heading(part.heading, notes, holds_items=bool(part.markers & promoted))
            self._blocks(phase, part, path, promoted, notes)
        for first, last in notes.ranges:
            self._report.use(first, last)
        phase.note = "\n\n".join(filter(None, [*notes.explicit, *(self._scan.text(*lines) for lines in notes.ranges)]))

    def _sub_heading(self, heading: Heading, notes: _Notes, *, holds_items: bool) -> None:
        """A heading inside a phase is the group of the items below it, or else part of the note."""
        self._marking.read(heading.comments, frozenset(), of="a heading inside a phase")
        self._report.use(heading.line, heading.last)
        notes.close()
        if not holds_items:
            notes.add(heading.line, heading.last)

    def _blocks(self, phase: RawPhase, part: Section, path: str, promoted: set[Marker], notes: _Notes) -> None:
        """Take one section's blocks: items, seats, and for the note all else."""
        attendees_follow = False
        for placed in part.blocks:
            block = placed.block
            if isinstance(block, Region):
                notes.explicit.append(block.text)
                self._report.use(block.first, block.last)
            elif isinstance(block, Entry) and block.marker in promoted:
                self.take_items(phase, [Placed(block, " / ".join(filter(None, (path, placed.group))))])
                notes.close()
            elif isinstance(block, Entry) and attendees_follow:
                self._people.seat_entry(block, self._marking.read(block.comments, marks.ROLE, of="a seat"))
            elif isinstance(block, Entry):
                notes.add(block.line, block.last)
                self._marking.read(block.comments, frozenset(), of="a text without items")
            elif isinstance(block, Rule):
                notes.close()
            elif isinstance(block, Passage):
                attendees_follow = self._passage(phase, block, notes)

    def _promoted(self, phase: RawPhase, section: Section) -> set[Marker]:
        """Which list entries are items: boxes; numbered steps in a contingency, or where there are no boxes."""
        if phase.stage is Stage.CONTINGENCY and section.has(Marker.ORDERED):
            return {Marker.CHECK, Marker.ORDERED}
        if section.has(Marker.CHECK):
            return {Marker.CHECK}
        if section.has(Marker.ORDERED):
            return {Marker.ORDERED}
        return {Marker.BULLET} if phase.stage is Stage.CONTINGENCY or section.words.opens else set()

    def _passage(self, phase: RawPhase, passage: Passage, notes: _Notes) -> bool:
        """Take a passage into the note, its attendees into the poll. True if a list of attendees is to follow."""
        deciding = phase.stage is Stage.DECISION
        expecting = False
        for line in self._without_tables(passage) if deciding else passage.lines:
            found = inference.attendees(line.text) if deciding else None
            if found:
                self._people.seat_line(*found, line.number)
                notes.close()
                expecting = not found[1]
            elif line.text.strip():
                notes.add(line.number, line.number)
                expecting = False
        return expecting

    def _without_tables(self, passage: Passage) -> Iterator[Line]:
        """The lines of a passage, its tables of attendees taken out."""
        for part in paragraphs(passage.lines):
            if not self._people.table(part, seats=True):
                yield from part

    def take_items(self, phase: RawPhase, placed: Iterable[Placed]) -> None:
        """Add items to a phase; their lines count as used."""
        for each in placed:
            if isinstance(each.block, Entry):
                phase.items.append(RawItem(each.block, each.group))
                self._report.use_all(each.block.numbers)


def _with_paths(phase: Section) -> Iterator[tuple[Section, str]]:
    """The phase and all below it, each with the headings in between joined."""
    yield phase, ""
    for child in phase.children:
        name = outline.name_of(child.heading.text) if child.heading else ""
        for part, path in _with_paths(child):
            yield part, f"{name} / {path}" if path else name


class _Notes:
    """The lines of a phase that are no items, gathered as ranges so that blank lines between them survive."""

    def __init__(self, explicit: str) -> None:
        self.explicit = [explicit] if explicit else []
        self.ranges: list[tuple[int, int]] = []
        self._open = False

    def add(self, first: int, last: int) -> None:
        if self._open:
            self.ranges[-1] = (self.ranges[-1][0], last)
        else:
            self.ranges.append((first, last))
        self._open = True

    def close(self) -> None:
        """Something else stands here: the next lines are a paragraph of their own."""
        self._open = False
