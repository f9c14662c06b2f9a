"""Put blocks under their headings, and say what each section is: phase, roles, seats, text, or a mere container."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

from checklists.blueprints import Stage
from checklists.markdown import inference, inline, marks
from checklists.markdown.blocks import (
    Block,
    Comment,
    Entry,
    Heading,
    Marker,
    Passage,
    Region,
    Rule,
    Scan,
    entries_of,
    trimmed,
)
from checklists.markdown.report import Report

DEEPEST_GROUP = 8  # levels of lists in lists that are searched for items


class SectionKind(Enum):
    PHASE = auto()
    ROLES = auto()
    SEATS = auto()
    TEXT = auto()
    CONTAINER = auto()


@dataclass(eq=False)
class Placed:
    """A block and the group it stands in: the words of the list entry above it. Compares by identity."""

    block: Block
    group: str = ""


@dataclass
class Section:
    """A heading with all up to the next one; `children` are the sections of deeper headings below it."""

    heading: Heading | None
    first: int
    last: int = 0
    blocks: list[Placed] = field(default_factory=list)
    children: list[Section] = field(default_factory=list)
    marked: bool = False  # an explicit mark says that it is a phase
    group_lines: list[Entry] = field(default_factory=list)  # list entries whose words became groups

    @property
    def level(self) -> int:
        return self.heading.level if self.heading else 0

    @cached_property
    def words(self) -> inference.HeadingWords:
        return inference.heading(self.heading.text if self.heading else "")

    @property
    def entries(self) -> list[Entry]:
        return [placed.block for placed in self.blocks if isinstance(placed.block, Entry)]

    @property
    def passages(self) -> list[Passage]:
        return [placed.block for placed in self.blocks if isinstance(placed.block, Passage)]

    @property
    def regions(self) -> list[Region]:
        return [placed.block for placed in self.blocks if isinstance(placed.block, Region)]

    def walk(self) -> Iterator[Section]:
        """This section and all below it, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.walk()

    @cached_property
    def markers(self) -> frozenset[Marker]:
        """The markers of all list entries in this section and below it."""
        own = {entry.marker for entry in self.entries}
        return frozenset(own.union(*(child.markers for child in self.children)))

    def has(self, marker: Marker) -> bool:
        return marker in self.markers

    def end(self) -> int:
        """The last line of this section and of all below it."""
        return self.children[-1].end() if self.children else self.last


def name_of(text: str) -> str:
    """Return the words of a heading or a role without Markdown; with a link in it, as they stand."""
    words, links = inline.plain(text)
    return text if links else words


def outline(scan: Scan, last_line: int, report: Report) -> Section:
    """Return the root: its blocks are what stands before the first heading, its children the top sections.

    List entries without words are reported and left out.
    """
    root = Section(None, 1)
    path = [root]
    for block in scan.blocks:
        if isinstance(block, Heading):
            path[-1].last = block.line - 1
            while len(path) > 1 and path[-1].level >= block.level:
                path.pop()
            section = Section(block, block.line, marked=_is_marked(block))
            path[-1].children.append(section)
            path.append(section)
        else:
            placed = _with_groups(block, path[-1], "", 0)
            path[-1].blocks += [each for each in placed if not _is_empty(each.block, report)]
    path[-1].last = last_line
    return root


def title_section(root: Section, *, named: bool) -> Section | None:
    """Return the section whose heading is the name of the checklist, if one is.

    That is the first heading when it is of level 1 and either the only one or without items below it. `named` says
    that the front matter names the checklist: then a deeper heading is never the title.
    """
    if not root.children:
        return None
    first, alone = root.children[0], len(root.children) == 1
    if first.marked or first.words.opens or _is_special(first) or (first.has(Marker.CHECK) and not alone):
        return None
    own_items = any(entry.marker is Marker.CHECK for entry in first.entries)
    if first.level == 1:
        return None if own_items and _is_stage(first) and not first.children else first
    return first if alone and not named and first.children and not own_items and not _is_stage(first) else None


def kinds_of(sections: Sequence[Section]) -> list[SectionKind]:
    """Say what each of some sections of one level is."""
    only = sum(section.has(Marker.CHECK) for section in sections) == 1
    return [_kind_of(section, only=only) for section in sections]


def _kind_of(section: Section, *, only: bool) -> SectionKind:
    """Say what a section is; `only` tells that no other of its level holds items."""
    words = section.words
    if section.marked:
        return SectionKind.PHASE
    if section.has(Marker.CHECK):
        return SectionKind.CONTAINER if _is_container(section, only=only) else SectionKind.PHASE
    if _is_special(section):
        return SectionKind.ROLES if inference.ROLES_HEADING.search(words.name) else SectionKind.SEATS
    if words.opens or (_is_stage(section) and _has_steps(section)):
        return SectionKind.PHASE
    if any(kind is not SectionKind.TEXT for kind in kinds_of(section.children)):
        return SectionKind.CONTAINER
    return SectionKind.TEXT


def closing_blocks(scan: Scan) -> list[Block]:
    """Take the passages behind the last rule out of `scan` if nothing but text follows that rule."""
    blocks = scan.blocks
    at = len(blocks)
    while at and isinstance(blocks[at - 1], Passage | Rule):
        at -= 1
    rule = max((index for index in range(at, len(blocks)) if isinstance(blocks[index], Rule)), default=-1)
    if not at or rule < 0:
        return []
    tail = blocks[rule + 1 :]
    del blocks[rule:]
    return tail


def _is_empty(block: Block, report: Report) -> bool:
    """An entry without words, which no mark gives a title or a name either, is nothing."""
    if not isinstance(block, Entry) or block.text:
        return False
    if any(mark and {"title", "name"} & mark.values.keys() for mark in (marks.read(c.text) for c in block.comments)):
        return False
    words = trimmed([line.text for line in block.body]) or "".join(comment.text for comment in block.comments)
    last = max([block.last, *(comment.last for comment in block.comments)])
    report.left_out(block.line, words or "- [ ]", "A list entry without words was left out", last)
    return True


def _is_marked(heading: Heading) -> bool:
    found = [marks.read(comment.text) for comment in heading.comments]
    return any(mark and marks.PHASE & mark.values.keys() - {"name"} for mark in found)


def _is_special(section: Section) -> bool:
    """Roles and seats are lists or tables under a heading that says so, without boxes to tick."""
    name = section.words.name
    if section.has(Marker.CHECK):
        return False
    anything = any(part.entries or part.passages for part in section.walk())
    return anything and bool(inference.ROLES_HEADING.search(name) or inference.SEATS_HEADING.search(name))


def _is_stage(section: Section) -> bool:
    return inference.names_a_stage(section.words.name)


def _has_steps(section: Section) -> bool:
    """A stage without boxes is a phase if it has numbered steps, contingency bullets, or attendees."""
    stage = inference.stage_of(section.words.name, None, if_needed=False, before=None)
    if section.has(Marker.ORDERED) or (stage is Stage.CONTINGENCY and section.has(Marker.BULLET)):
        return True
    lines = (line.text for passage in section.passages for line in passage.lines)
    return stage is Stage.DECISION and any(inference.attendees(line) for line in lines)


def _is_container(section: Section, *, only: bool) -> bool:
    """Without items of its own, and what is below it are the phases: most have an offset, or it is the only one."""
    kids = [child for child in section.children if child.marked or child.words.opens or child.has(Marker.CHECK)]
    if section.words.opens or any(entry.marker is Marker.CHECK for entry in section.entries) or len(kids) < 2:
        return False
    timed = [child for child in kids if child.marked or child.words.opens]
    if 2 * len(timed) >= len(kids):
        return True
    return only and not _is_stage(section) and any(_is_stage(child) for child in kids)


def _with_groups(block: Block, section: Section, group: str, depth: int) -> list[Placed]:
    """Open a plain list entry that only holds items: its words become their group."""
    if not isinstance(block, Entry) or block.marker is Marker.CHECK or depth >= DEEPEST_GROUP:
        return [Placed(block, group)]
    if not any("[" in line.text for line in block.body):
        return [Placed(block, group)]
    nested = entries_of(block.body)
    words = name_of(block.text)
    inner = f"{group} / {words}" if group and words else words or group
    parts = [part for nested_block in nested.blocks for part in _with_groups(nested_block, section, inner, depth + 1)]
    if not any(isinstance(part.block, Entry) and part.block.marker is Marker.CHECK for part in parts):
        return [Placed(block, group)]
    _hand_down_comments(block, [part.block for part in parts])
    section.group_lines.append(block)
    return parts


def _hand_down_comments(outer: Entry, blocks: list[Block]) -> None:
    """Give the comments of an opened entry to the nested entry they stand in."""
    entries = [block for block in blocks if isinstance(block, Entry)]
    starts = [entry.line for entry in entries]
    kept: list[Comment] = []
    for comment in outer.comments:
        above = bisect_right(starts, comment.first)
        (entries[above - 1].comments if above else kept).append(comment)
    outer.comments = kept
