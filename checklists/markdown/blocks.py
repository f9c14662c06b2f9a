"""Cut Markdown into headings, list entries and text, in one pass over its lines; knows nothing of checklists.

Every line keeps its 1-based number. List entries keep what is nested below them as plain lines. Comments are taken out
of the text and kept beside the block they belong to. The work grows with the length of the text and nothing else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum

REGIONS = ("description", "note", "closing", "log")  # `<!-- note -->` ... `<!-- end of note -->`: text as it stands
TAB = 4
NESTED = 2  # columns further right than an entry makes a line part of it


@dataclass(frozen=True)
class Line:
    number: int
    text: str


@dataclass(frozen=True)
class Comment:
    text: str
    first: int
    last: int


class Marker(StrEnum):
    CHECK = "check"  # - [ ]
    ORDERED = "ordered"  # 1.
    BULLET = "bullet"  # -


@dataclass
class Heading:
    level: int
    text: str
    line: int
    last: int  # the underline of a heading that has one
    comments: list[Comment] = field(default_factory=list)


@dataclass
class Entry:
    marker: Marker
    text: str
    line: int
    indent: int = 0
    body: list[Line] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.body[-1].number if self.body else self.line

    @property
    def numbers(self) -> list[int]:
        return [self.line, *(line.number for line in self.body)]


@dataclass
class Passage:
    """Text that is neither heading nor list: paragraphs, tables, quotations, code."""

    lines: list[Line]

    @property
    def first(self) -> int:
        return self.lines[0].number

    @property
    def last(self) -> int:
        return self.lines[-1].number


@dataclass
class Rule:
    line: int


@dataclass
class Region:
    name: str
    lines: list[Line]
    first: int
    last: int

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


Block = Heading | Entry | Passage | Rule | Region


@dataclass
class Scan:
    """What `scan` found. `clean` is the text of each line without its comments, by number; None if none was left."""

    blocks: list[Block] = field(default_factory=list)
    front_matter: list[Line] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)  # before the first heading or entry
    clean: dict[int, str | None] = field(default_factory=dict)
    open_fence: int = 0  # the line of a code fence that is never closed

    def text(self, first: int, last: int) -> str:
        """Return the lines from `first` to `last` without comments and without the blank lines around them."""
        kept = (self.clean[number] for number in range(first, last + 1))
        return trimmed([line for line in kept if line is not None])


def scan(text: str) -> Scan:
    """Cut `text` into blocks. Never raises: what is no block of its own is a passage."""
    return _Scanner(split_lines(text)).run()


def split_lines(text: str) -> list[str]:
    """Return the lines of `text`, whatever ends them, without a byte order mark and without NUL."""
    plain = text.removeprefix("\ufeff").replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    return plain.split("\n")


def trimmed(lines: list[str]) -> str:
    """Join `lines`, leaving out the blank ones at both ends."""
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return "\n".join(lines[start:end])


def paragraphs(lines: list[Line]) -> list[list[Line]]:
    """Split lines at blank ones."""
    parts: list[list[Line]] = [[]]
    for line in lines:
        if line.text.strip():
            parts[-1].append(line)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def entries_of(lines: list[Line]) -> Scan:
    """Scan lines that were nested below an entry, keeping their numbers."""
    scanner = _Scanner([line.text for line in dedented(lines)], [line.number for line in lines])
    return scanner.run(nested=True)


def dedented(lines: list[Line]) -> list[Line]:
    """Take away the indentation all lines share; a line further left (a lazy continuation) stays as it is."""
    widths = [_width(line.text) for line in lines if line.text.strip() and _width(line.text)]
    shared = min(widths, default=0)
    return [Line(line.number, line.text[min(shared, _width(line.text)) :]) for line in lines]


def is_rule(text: str) -> bool:
    """Is this line a line drawn across the page?"""
    return bool(_RULE.fullmatch(text.strip()))


_ENTRY = re.compile(r"(?:[-*+]|(\d{1,9})[.)])(?:[ \t]+(.*))?")
_BOX = re.compile(r"\[[ xX]?\](?:[ \t]+(.*))?|\[ \]([^\s(].*)")
_RULE = re.compile(r"(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}")
_UNDERLINE = re.compile(r"=+|-+")
_FENCE = re.compile(r"(`{3,})[^`]*|(~{3,}).*")
_FRONT_KEY = re.compile(r"[A-Za-z][\w -]{0,40}:(?: .*)?")
_MAX_FRONT_MATTER = 100  # lines


class _Scanner:
    """The state of one pass."""

    def __init__(self, lines: list[str], numbers: list[int] | None = None) -> None:
        self.lines = [_expanded(line) for line in lines]
        self.numbers = numbers or list(range(1, len(lines) + 1))
        self.out = Scan()
        self.entry: Entry | None = None  # the list entry that is still open
        self.target: Heading | Entry | None = None  # what a comment on a line of its own belongs to
        self.heading: Heading | None = None
        self.blanks: list[Line] = []  # blank lines that may turn out to be inside a block
        self.fence = ""  # the marks that opened a code fence
        self.last_close = self._last_close()
        self.region_ends = {name: self._lines_that_are(f"<!-- end of {name} -->") for name in REGIONS}

    def run(self, *, nested: bool = False) -> Scan:
        at = 0 if nested else self._front_matter()
        while at < len(self.lines):
            at = self._step(at)
        return self.out

    def _lines_that_are(self, text: str) -> list[int]:
        return [at for at, line in enumerate(self.lines) if line == text]

    def _step(self, at: int) -> int:
        """Read the line at index `at`, and what it opens; return the index of the next."""
        if self.fence and self._in_fence(at):
            return at + 1
        if region := self._region(at):
            return region
        content, comments, following = self._without_comments(at)
        number = self.numbers[at]
        if comments:
            for index in range(at, following):
                self.out.clean[self.numbers[index]] = None
        self.out.clean[number] = content if content.strip() or not comments else None
        if not content.strip():
            self._loose(comments)
            if not comments:
                self.blanks.append(Line(number, ""))
            return following
        self._content(Line(number, content), comments)
        return following

    def _content(self, line: Line, comments: list[Comment]) -> None:
        width, text = _width(line.text), line.text.strip()
        if self.entry and (width >= self.entry.indent + NESTED or self._is_lazy(text)):
            self.entry.body += [*self.blanks, line]
            self.entry.comments += comments
            self._open_fence(line, text)
        else:
            self.entry = None
            self._block(line, width, text, comments)
        self.blanks = []

    def _block(self, line: Line, width: int, text: str, comments: list[Comment]) -> None:
        if self._open_fence(line, text):
            self._passage(line)
        elif width < TAB and (heading := _heading(text)):
            level, words = heading
            self._add_heading(Heading(level, words, line.number, line.number, comments))
            return
        elif not self.blanks and _UNDERLINE.fullmatch(text) and (above := self._single_line_above(line)):
            self.out.blocks.pop()
            comments = [*comments]
            level = 1 if text[0] == "=" else 2
            self._add_heading(Heading(level, above.text.strip(), above.number, line.number, comments))
            return
        elif _RULE.fullmatch(text):
            self.out.blocks.append(Rule(line.number))
        elif found := _ENTRY.fullmatch(text):
            self._add_entry(found, line, width, comments)
            return
        else:
            self._passage(line)
        self._loose(comments)

    def _add_heading(self, heading: Heading) -> None:
        self.out.blocks.append(heading)
        self.heading = self.target = heading

    def _add_entry(self, found: re.Match[str], line: Line, width: int, comments: list[Comment]) -> None:
        words = (found[2] or "").strip()
        marker = Marker.ORDERED if found[1] else Marker.BULLET
        if box := _BOX.fullmatch(words):
            marker, words = Marker.CHECK, (box[1] or box[2] or "").strip()
        self.entry = self.target = Entry(marker, words, line.number, width, comments=comments)
        self.out.blocks.append(self.entry)

    def _passage(self, line: Line) -> None:
        blocks = self.out.blocks
        if blocks and isinstance(blocks[-1], Passage):
            blocks[-1].lines += [*self.blanks, line]
        else:
            blocks.append(Passage([line]))
            self.target = self.heading

    def _loose(self, comments: list[Comment]) -> None:
        """Give comments on a line of their own to the entry or heading above them."""
        (self.target.comments if self.target else self.out.comments).extend(comments)

    def _is_lazy(self, text: str) -> bool:
        """A line without indentation goes on with the entry above, unless it starts something or follows a blank."""
        starts = text.startswith(("|", ">")) or _heading(text) or _FENCE.fullmatch(text)
        return not (self.blanks or starts or _ENTRY.fullmatch(text) or _RULE.fullmatch(text))

    def _single_line_above(self, line: Line) -> Line | None:
        """The paragraph of one line right above, which an underline makes a heading."""
        above = self.out.blocks[-1] if self.out.blocks else None
        if not isinstance(above, Passage) or len(above.lines) != 1 or above.lines[0].text.lstrip().startswith("|"):
            return None
        return above.lines[0] if above.lines[0].number == line.number - 1 else None

    # Code fences

    def _open_fence(self, line: Line, text: str) -> bool:
        if found := _FENCE.fullmatch(text):
            self.fence = found[1] or found[2]
            self.out.open_fence = line.number
        return bool(found)

    def _in_fence(self, at: int) -> bool:
        """Take the line as code; False if the entry that holds the fence ends here, and the fence with it."""
        raw = self.lines[at].rstrip()
        if self.entry and raw and _width(raw) < self.entry.indent + NESTED:
            self.fence, self.out.open_fence = "", 0
            return False
        line = Line(self.numbers[at], raw)
        self.out.clean[line.number] = raw
        if self.entry:
            self.entry.body.append(line)
        else:
            self._passage(line)
        closing = raw.strip()
        if closing.startswith(self.fence) and not closing.strip(self.fence[0]):
            self.fence, self.out.open_fence = "", 0
        return True

    # Comments

    def _last_close(self) -> tuple[int, int]:
        """Index and column of the last end of a comment; what opens behind it is text."""
        for at in range(len(self.lines) - 1, -1, -1):
            if (column := self.lines[at].rfind("-->")) >= 0:
                return at, column
        return -1, -1

    def _without_comments(self, at: int) -> tuple[str, list[Comment], int]:
        """Take the comments out of the line at `at`; one may reach over more lines. Return the index behind them."""
        kept: list[str] = []
        comments: list[Comment] = []
        first, rest, column = at, self.lines[at], 0
        while (start := _comment_start(rest, column)) >= 0 and (at, start + 4) <= self.last_close:
            kept.append(rest[column:start])
            opened, inside = at, []
            column = start + 4
            while (end := rest.find("-->", column)) < 0:
                inside.append(rest[column:])
                at, column = at + 1, 0
                rest = self.lines[at]
            inside.append(rest[column:end])
            comments.append(Comment("\n".join(inside), self.numbers[opened], self.numbers[at]))
            column = end + 3
        kept.append(rest[column:])
        if at > first and "".join(kept[-1:]).strip():  # text behind a long comment stays on its own line
            self.lines[at] = kept.pop()
            if at == self.last_close[0]:
                self.last_close = at, self.lines[at].rfind("-->")
            return "".join(kept).rstrip(), comments, at
        return "".join(kept).rstrip(), comments, at + 1

    def _region(self, at: int) -> int:
        """Take a region as it stands if one opens at `at`; return the index behind it, or 0."""
        opening = self.lines[at]
        name = opening[5:-4] if opening.startswith("<!-- ") and opening.endswith(" -->") else ""
        ends = self.region_ends.get(name, [])
        place = bisect_right(ends, at)
        if place == len(ends):
            return 0
        end = ends[place]
        lines = [Line(self.numbers[index], self.lines[index]) for index in range(at + 1, end)]
        for index in range(at, end + 1):
            self.out.clean[self.numbers[index]] = self.lines[index]
        self.entry = None
        self.blanks = []
        self.out.blocks.append(Region(name, lines, self.numbers[at], self.numbers[end]))
        return end + 1

    def _front_matter(self) -> int:
        """Take `key: value` lines between `---` at the very top; return the index behind them."""
        if len(self.lines) < 3 or self.lines[0].rstrip() != "---" or not _FRONT_KEY.fullmatch(self.lines[1].rstrip()):
            return 0
        for at in range(1, min(len(self.lines), _MAX_FRONT_MATTER)):
            if self.lines[at].rstrip() in ("---", "..."):
                self.out.front_matter = [Line(self.numbers[index], self.lines[index]) for index in range(1, at)]
                return at + 1
        return 0


def _heading(text: str) -> tuple[int, str] | None:
    """Level and words of a heading that starts with `#`, or None."""
    words = text.lstrip("#")
    level = len(text) - len(words)
    if not 1 <= level <= 6 or (words and words[0] not in " \t"):
        return None
    words = words.strip()
    if words.endswith("#"):
        open_end = words.rstrip("#")
        if not open_end or open_end[-1] in " \t":
            words = open_end.strip()
    return level, words


def _comment_start(text: str, column: int) -> int:
    """Column of the next `<!--` that no backslash takes the meaning from, or -1."""
    start = text.find("<!--", column)
    while start >= 0 and _backslashes(text, start) % 2:
        start = text.find("<!--", start + 4)
    return start


def _backslashes(text: str, end: int) -> int:
    start = end
    while start and text[start - 1] == "\\":
        start -= 1
    return end - start


def _expanded(line: str) -> str:
    """Turn the tabs of the indentation into spaces."""
    words = line.lstrip(" \t")
    return line[: len(line) - len(words)].expandtabs(TAB) + words


def _width(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
