"""From sections to a blueprint: every line ends up in it or in the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, Reading, SeatPlan, Stage
from checklists.markdown import inference, inline, marks, outline
from checklists.markdown.blocks import (
    Block,
    Comment,
    Entry,
    Line,
    Marker,
    Passage,
    Region,
    Rule,
    Scan,
    dedented,
    paragraphs,
    scan,
    split_lines,
    trimmed,
)
from checklists.markdown.outline import Placed, Section, SectionKind
from checklists.markdown.people import People
from checklists.markdown.report import Report
from checklists.tminus import Offset
from checklists.usable import lacks

Member = TypeVar("Member", Kind, Stage)

FIRST_PHASE = "Preparation"  # what items without a heading of their own go to
MAX_ITEMS = 500
MAX_LINES = 20_000
MAX_ROLES = 100
LOG_LEFT_OUT = "What happened in a release is no part of a template"


class ChecklistTooLarge(ValueError):
    """The text is longer, or holds more items, than a checklist may; the message is a sentence for its author."""


@dataclass
class _RawItem:
    entry: Entry
    group: str


@dataclass
class _RawPhase:
    name: str
    stage: Stage
    opens: Offset | None = None
    due: Offset | None = None
    note: str = ""
    line: int = 0
    items: list[_RawItem] = field(default_factory=list)


def read(text: str, *, limited: bool = True) -> Reading:
    """Read a checklist. Raises ChecklistTooLarge for too many items or roles, unless `limited` is False."""
    return _Reader(text, limited=limited).run()


class _Reader:
    """One reading: the sections are walked once, then items are understood with all roles known."""

    def __init__(self, text: str, *, limited: bool) -> None:
        self.lines = split_lines(text)
        if limited and len(self.lines) > MAX_LINES:
            raise ChecklistTooLarge(f"The text has {len(self.lines)} lines; at most {MAX_LINES} are read. Split it up.")
        self.scan: Scan = scan(text)
        self.limited = limited
        self.report = Report()
        self.people = People(self.report)
        self.phases: list[_RawPhase] = []
        self.before: list[str] = []  # Markdown before the first phase
        self.after: list[str] = []  # Markdown behind it that belongs to no phase
        self.document: dict[str, marks.Value] = {}
        self.regions: dict[str, str] = {}

    def run(self) -> Reading:
        name, description = self._front_matter()
        self._take_regions()
        self._marks(self.scan.comments, frozenset(("name",)), of="the document")
        closing = outline.closing_blocks(self.scan)
        root = outline.outline(self.scan, len(self.lines))
        self._check_size(root)
        title = outline.title_section(root, named=bool(name))
        if title and title.heading:
            self._marks(title.heading.comments, frozenset(("name",)), of="the title")
            self.report.use(title.heading.line, title.heading.last)
            if name:
                self.report.left_out(2, f"name: {name}", "The title names the checklist; the front matter was left out")
            name = outline.name_of(title.heading.text)
        self._unheaded(root)
        if title:
            self._unheaded(title)
            root.children[:1] = title.children
        if description:
            self.before.append(description)
        self._place(root.children)
        for block in closing:
            if isinstance(block, Passage):
                self._keep(self.after, block.lines[0].number, block.lines[-1].number)
        return self._finish(name)

    # The document

    def _front_matter(self) -> tuple[str, str]:
        """Return the name and the description of the front matter; the rest is reported."""
        found = {"name": "", "description": ""}
        keys = {"name": "name", "title": "name", "description": "description", "about": "description"}
        for line in self.scan.front_matter:
            key, _, value = line.text.partition(":")
            value = value.strip().strip("\"'")
            wanted = keys.get(key.strip().casefold(), "")
            if wanted and value and not found[wanted] and value not in ("|", ">"):
                found[wanted] = value
                self.report.use(line.number)
            elif line.text.strip():
                self.report.left_out(line.number, line.text, "Front matter that a checklist has no place for")
        return found["name"], found["description"]

    def _take_regions(self) -> None:
        """Take description, closing and logs out; a note stays where it is, for its phase."""
        for block in self.scan.blocks:
            if not isinstance(block, Region):
                continue
            for number in range(block.first, block.last + 1):
                self.scan.clean[number] = None
            if block.name == "log":
                self.report.left_out(block.first, "a log", LOG_LEFT_OUT, block.last)
                continue
            self.report.use(block.first, block.last)
            if block.name != "note":
                self.regions[block.name] = "\n".join(line.text for line in block.lines)
        kept = (block for block in self.scan.blocks if not isinstance(block, Region) or block.name == "note")
        self.scan.blocks = list(kept)

    def _check_size(self, root: Section) -> None:
        entries = [entry for section in root.walk() for entry in section.entries if entry.marker is not Marker.BULLET]
        checks = sum(entry.marker is Marker.CHECK for entry in entries)
        if self.limited and checks > MAX_ITEMS:
            raise ChecklistTooLarge(f"The text has {checks} items; a checklist holds at most {MAX_ITEMS}. Split it up.")

    def _finish(self, name: str) -> Reading:
        self._seats_of_document()
        count = max(len(self.people.roles), len(self.people.seats))
        if self.limited and count > MAX_ROLES:
            raise ChecklistTooLarge(f"The text has {count} roles or seats; a checklist holds at most {MAX_ROLES}.")
        book = inference.RoleBook(self.people.roles, self.people.seats)
        phases = tuple(self._phase_plan(raw, book) for raw in self.phases)
        if self.limited and (count := sum(len(phase.items) for phase in phases)) > MAX_ITEMS:
            raise ChecklistTooLarge(f"The text has {count} items; a checklist holds at most {MAX_ITEMS}. Split it up.")
        listed_only = self.document.get("roles") == "as listed"
        roles, seats = self.people.settle(phases, book, listed_only=listed_only)
        blueprint = Blueprint(
            name=self._text("name", name),
            description=self._joined("description", self.before),
            phases=phases,
            roles=roles,
            seats=seats,
            closing=self._joined("closing", self.after),
        )
        if self.scan.open_fence:
            self.report.note(self.scan.open_fence, "This code fence is never closed; all that follows counts as code.")
        self.report.finish(self.lines)
        missing = lacks(blueprint, phase_lines=[raw.line for raw in self.phases])
        return Reading(blueprint, (*self.report.problems, *missing), frozenset(self.report.used))

    def _seats_of_document(self) -> None:
        self.people.respell_seats()
        seats = self.document.get("seats")
        if isinstance(seats, str):
            self.people.seats = [SeatPlan(name, required) for name, required in inference.seat_names(seats)]
        elif seats is not None:
            pairs = [pair for pair in seats if isinstance(pair, list) and len(pair) == 2]
            self.people.seats = [SeatPlan(str(role), bool(required)) for role, required in pairs]

    def _text(self, key: str, inferred: str) -> str:
        value = self.document.get(key, inferred)
        return value if isinstance(value, str) else inferred

    def _joined(self, key: str, parts: list[str]) -> str:
        explicit = [self.regions[key]] if key in self.regions else []
        value = self.document.get(key)
        explicit += [value] if isinstance(value, str) else []
        return "\n\n".join([*explicit, *(part for part in parts if part)])

    def _keep(self, parts: list[str], first: int, last: int) -> None:
        """Keep the lines as Markdown text."""
        parts.append(self.scan.text(first, last))
        self.report.use(first, last)

    # Sections

    def _place(self, sections: list[Section]) -> None:
        for section, kind in zip(sections, outline.kinds_of(sections), strict=True):
            if kind is SectionKind.PHASE:
                self._phase(section)
            elif kind is SectionKind.CONTAINER:
                self._keep_text(section, section.last)
                self._comments_of(section)
                self._place(section.children)
            elif kind is SectionKind.TEXT:
                self._keep_text(section, section.end())
                for part in section.walk():
                    self._comments_of(part)
            else:
                for part in section.walk():
                    self._people_section(part, seats=kind is SectionKind.SEATS)

    def _keep_text(self, section: Section, last: int) -> None:
        self._keep(self.after if self.phases else self.before, section.first, last)
        if self.phases and section.heading:
            shown = inline.excerpt(section.heading.text)
            self.report.note(section.first, f"The section {shown} has no items; it was kept as text at the end.", last)

    def _comments_of(self, section: Section) -> None:
        """Report the comments of a section that is kept as text."""
        for owner in (section.heading, *section.entries):
            if owner:
                self._marks(owner.comments, frozenset(), of="a text without items")

    def _unheaded(self, section: Section) -> None:
        """Take what stands before the first section: text describes the checklist, items make a phase of their own."""
        items = [placed for placed in section.blocks if _is_check(placed.block)]
        for placed in section.blocks:
            if isinstance(placed.block, Passage):
                self._keep(self.before, placed.block.lines[0].number, placed.block.lines[-1].number)
            elif isinstance(placed.block, Entry) and not _is_check(placed.block):
                self._keep(self.before, placed.block.line, placed.block.last)
                self._marks(placed.block.comments, frozenset(), of="a text without items")
        if items:
            first = items[0].block.line if isinstance(items[0].block, Entry) else 0
            self.report.note(first, f'These items have no heading of their own; they went to a phase "{FIRST_PHASE}".')
            phase = _RawPhase(FIRST_PHASE, Stage.PREPARATION, line=first)
            self._take_items(phase, items)
            self.report.use_all(entry.line for entry in section.group_lines)
            self.phases.append(phase)

    def _people_section(self, section: Section, *, seats: bool) -> None:
        def read_marks(entry: Entry) -> dict[str, marks.Value]:
            return self._marks(entry.comments, marks.ROLE, of="a role")

        if section.heading:
            self._marks(section.heading.comments, frozenset(), of="this heading")
            self.report.use(section.heading.line, section.heading.last)
        self.people.section(section, read_marks, seats=seats)

    # Phases

    def _phase(self, section: Section) -> None:
        heading = section.heading
        assert heading is not None  # noqa: S101  # only a heading makes a phase
        self.report.use(heading.line, heading.last)
        marked = self._marks(heading.comments, marks.PHASE, of="a phase")
        words = section.words
        before = self.phases[-1].stage if self.phases else None
        stage = inference.stage_of(words.name, words.opens, if_needed=bool(words.if_needed), before=before)
        stage = self._member(Stage, marked.get("stage"), heading.line) or stage
        written = words.name if stage is Stage.CONTINGENCY or not words.if_needed else f"{words.name} {words.if_needed}"
        opens = words.opens or inference.opens_by_stage(stage)
        phase = _RawPhase(outline.name_of(written), stage, opens, words.due, line=heading.line)
        phase.name = _string(marked.get("name"), phase.name)
        phase.opens = self._offset(marked, "opens", phase.opens, heading.line)
        phase.due = self._offset(marked, "due", phase.due, heading.line)
        self._fill(phase, section, _string(marked.get("note"), ""))
        self.phases.append(phase)

    def _fill(self, phase: _RawPhase, section: Section, note: str) -> None:
        """Give the phase its items and its note: all that is under its heading."""
        promoted = self._promoted(phase, section)
        notes = _Notes(note)
        for part, path in _with_paths(section):
            self.report.use_all(entry.line for entry in part.group_lines)
            has_items = any(isinstance(b.block, Entry) and b.block.marker in promoted for b in part.blocks)
            if part is not section and part.heading:
                self._marks(part.heading.comments, frozenset(), of="a heading inside a phase")
                self.report.use(part.heading.line, part.heading.last)
                if not has_items and not any(kid.has(Marker.CHECK) for kid in part.children):
                    notes.add(part.heading.line, part.heading.last)
                else:
                    notes.close()
            items = []
            expecting_seats = False
            for placed in part.blocks:
                block = placed.block
                if isinstance(block, Region):
                    notes.explicit.append("\n".join(line.text for line in block.lines))
                elif isinstance(block, Entry) and block.marker in promoted:
                    items.append(Placed(block, " / ".join(filter(None, (path, placed.group)))))
                    notes.close()
                elif isinstance(block, Entry) and expecting_seats:
                    self.people.seat_entry(block, self._marks(block.comments, marks.ROLE, of="a seat"))
                elif isinstance(block, Entry):
                    notes.add(block.line, block.last)
                    self._marks(block.comments, frozenset(), of="a text without items")
                elif isinstance(block, Rule):
                    notes.close()
                elif isinstance(block, Passage):
                    expecting_seats = self._passage(phase, block, notes)
            self._take_items(phase, items)
        for first, last in notes.ranges:
            self.report.use(first, last)
        phase.note = "\n\n".join(filter(None, [*notes.explicit, *(self.scan.text(*lines) for lines in notes.ranges)]))

    def _promoted(self, phase: _RawPhase, section: Section) -> set[Marker]:
        """Which list entries are items: boxes; numbered steps in a contingency, or where there are no boxes."""
        if phase.stage is Stage.CONTINGENCY and section.has(Marker.ORDERED):
            return {Marker.CHECK, Marker.ORDERED}
        if section.has(Marker.CHECK):
            return {Marker.CHECK}
        if section.has(Marker.ORDERED):
            return {Marker.ORDERED}
        return {Marker.BULLET} if phase.stage is Stage.CONTINGENCY or section.words.opens else set()

    def _passage(self, phase: _RawPhase, passage: Passage, notes: _Notes) -> bool:
        """Take a passage into the note, its attendees into the poll. True if a list of attendees is to follow."""
        deciding = phase.stage is Stage.DECISION
        expecting = False
        parts = paragraphs(passage.lines)
        tables = [part for part in parts if deciding and self.people.table(part, seats=True)]
        for line in (line for part in parts if part not in tables for line in part):
            found = inference.attendees(line.text) if deciding else None
            if found:
                self.people.seat_line(*found, line.number)
                notes.close()
                expecting = not found[1]
            elif line.text.strip():
                notes.add(line.number, line.number)
                expecting = False
        return expecting

    def _take_items(self, phase: _RawPhase, placed: Iterable[Placed]) -> None:
        for each in placed:
            if isinstance(each.block, Entry):
                phase.items.append(_RawItem(each.block, each.group))
                self.report.use_all(each.block.numbers)

    def _phase_plan(self, raw: _RawPhase, book: inference.RoleBook) -> PhasePlan:
        items = (self._item(item, raw.stage, book) for item in raw.items)
        return PhasePlan(raw.name, raw.stage, raw.opens, raw.due, raw.note, tuple(item for item in items if item))

    # Items

    def _item(self, raw: _RawItem, stage: Stage, book: inference.RoleBook) -> ItemPlan | None:
        entry = raw.entry
        marked = self._marks(entry.comments, marks.ITEM, of="an item")
        title, rest = inline.cut(entry.text)
        body = trimmed([line.text for line in dedented(self._without_log(entry))])
        title = _string(marked.get("title"), title)
        guidance = _string(marked.get("guidance"), "\n".join(filter(None, (rest, body))))
        if not title and "title" not in marked:
            self.report.left_out(entry.line, entry.text or body or "- [ ]", "An item without a title", entry.last)
            return None
        kind = self._member(Kind, marked.get("kind"), entry.line)
        found = inference.meaning(title, guidance, stage, book, kind)
        watch = self._watch(marked.get("watch"), found.watch, entry.line)
        return ItemPlan(
            title=title,
            guidance=guidance,
            role=_string(marked.get("role"), found.role),
            kind=kind or found.kind,
            required=self._flag(marked, "required", found.required, entry.line),
            condition=_string(marked.get("condition"), found.condition),
            bound_to_window=self._flag(marked, "window", found.bound_to_window, entry.line),
            evidence_wanted=self._flag(marked, "evidence", _asks_for_a_link(entry.comments), entry.line),
            group=_string(marked.get("group"), raw.group),
            watch_min=watch[0],
            watch_max=watch[1],
        )

    def _without_log(self, entry: Entry) -> list[Line]:
        """The body without the lines a running release added: those with a mark `log`."""
        found = [(comment, marks.read(comment.text)) for comment in entry.comments]
        logged = {comment.first for comment, mark in found if mark and "log" in mark.values}
        for line in entry.body:
            if line.number in logged:
                self.report.left_out(line.number, line.text, LOG_LEFT_OUT)
        return [line for line in entry.body if line.number not in logged]

    def _watch(self, value: marks.Value | None, inferred: tuple[int, int], line: int) -> tuple[int, int]:
        if value is None:
            return inferred
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, int) for part in value):
            least, most = value
            return int(str(least)), int(str(most))
        text = str(value)
        found = inference.minutes(text) or inference.minutes(f"{text} minutes")
        if not found:
            self.report.note(line, f"A watch is given in minutes, like 15-30; {inline.excerpt(text)} is not.")
        return found or inferred

    # Marks

    def _marks(self, comments: list[Comment], allowed: frozenset[str], *, of: str) -> dict[str, marks.Value]:
        """Return the marks in `comments`; what is no mark, or none of these, is reported."""
        result: dict[str, marks.Value] = {}
        for comment in comments:
            found = marks.read(comment.text)
            if found is None:
                if comment.text.strip():
                    self.report.left_out(comment.first, comment.text, "A comment was left out", comment.last)
                continue
            self.report.use(comment.first, comment.last)
            for key, value in found.values.items():
                if key in marks.DOCUMENT:
                    self.document[key] = value
                elif key in allowed:
                    result[key] = value
                else:
                    found.strange.append(f"{key}: {value}")
            for strange in found.strange:
                self.report.left_out(comment.first, strange, f"A mark that says nothing about {of}", comment.last)
        if "name" in result and of in ("the document", "the title"):
            self.document["name"] = result["name"]
        return result

    def _flag(self, marked: dict[str, marks.Value], key: str, inferred: bool, line: int) -> bool:
        if key not in marked:
            return inferred
        if (said := marks.yes(marked[key])) is None:
            self.report.note(line, f"The mark {key} is yes or no, not {inline.excerpt(str(marked[key]))}.")
            return inferred
        return said

    def _offset(self, marked: dict[str, marks.Value], key: str, inferred: Offset | None, line: int) -> Offset | None:
        if key not in marked:
            return inferred
        value = str(marked[key])
        if value in ("", "stage"):
            return None
        try:
            return Offset.parse(value)
        except ValueError as failure:
            self.report.note(line, str(failure))
            return inferred

    def _member(self, enum: type[Member], value: marks.Value | None, line: int) -> Member | None:
        """Return the member of `enum` that a mark names, however it is spelled."""
        if value is None:
            return None
        word = str(value).casefold().replace("-", "_").replace(" ", "_")
        found = next((member for member in enum if member.value == word), None)
        if found is None:
            choices = ", ".join(member.value for member in enum)
            self.report.note(line, f"{inline.excerpt(str(value))} is none of {choices}.")
        return found


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


def _is_check(block: Block) -> bool:
    return isinstance(block, Entry) and block.marker is Marker.CHECK


def _string(value: marks.Value | None, inferred: str) -> str:
    return value if isinstance(value, str) else inferred


def _asks_for_a_link(comments: list[Comment]) -> bool:
    """A comment such as "Paste the link here" shows that the item wants evidence."""
    words = " ".join(comment.text.casefold()[:200] for comment in comments)
    return "paste" in words and any(word in words for word in ("link", "url", "output", "screenshot"))
