"""What happens inside a line: title and guidance apart, Markdown out of titles, and titles safe to write down again."""

from __future__ import annotations

import re
from typing import NamedTuple

PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
LONGEST_TITLE = 300  # characters a title may have before a dash still counts as its end
LONGEST_LINE = 10_000  # characters; a longer line is no title, and is left as it is

_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.){0,300})\]\(([^()\s]{0,1000})(?:\s+\"[^\"]{0,200}\")?\)")
_SEPARATOR = re.compile(r"\s*(?:[-\u2013\u2014]|:)(?:\s+|$)")
_DASH = re.compile(r"\s[-\u2013\u2014]\s")
_COLON = re.compile(r":\s")


class Words(NamedTuple):
    """A line of a list cut in two. `title` is plain text, `rest` is Markdown as it stands."""

    title: str
    rest: str


def cut(text: str, *, at_colon: bool = False) -> Words:
    """Split "**Title** - guidance" or "Title - guidance"; without either the whole text is the title.

    A dash may be a hyphen, an en or an em dash between spaces, or a colon behind bold text; `at_colon` lets a colon end
    a title that is not bold too. Links leave their words in the title and go to the front of the rest whole.
    """
    if len(text) > LONGEST_LINE:
        return Words(text, "")
    title, rest = _bold(text) or _plain_cut(text, at_colon=at_colon) or (text, "")
    words, links = plain(title)
    words = words.removesuffix(":").rstrip() if rest or not text.startswith("**") else words
    return Words(words, " ".join([*links, rest] if rest else links))


def plain(text: str) -> tuple[str, list[str]]:
    """Take emphasis, escapes and link targets out of `text`; return the words, and the links as they were."""
    if len(text) > LONGEST_LINE:
        return text, []
    out: list[str] = []
    links: list[str] = []
    opened: dict[str, int] = {}  # the marks of emphasis that wait for their partner, by their place in `out`
    code = _code_spans(text)
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in PUNCTUATION:
            out.append(text[at + 1])
            at += 2
        elif at in code:
            out.append(text[at : code[at]])
            at = code[at]
        elif char in "![" and (link := _LINK.match(text, at)):
            out.append(plain(link[1])[0] if "[" not in link[1] else link[1])
            links.append(link[0])
            at = link.end()
        elif char in "*_":
            at = _emphasis(text, at, out, opened)
        else:
            out.append(char)
            at += 1
    return "".join(out).strip(), links


def escape(text: str) -> str:
    """Return `text` so that `plain` gives it back: nothing in it is Markdown any more."""
    out = []
    for at, char in enumerate(text):
        inside_a_word = char == "_" and text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
        out.append(f"\\{char}" if char in "\\`*_[]<" and not inside_a_word else char)
    return "".join(out)


def excerpt(text: str, length: int = 100) -> str:
    """Return the beginning of `text` on one line, in quotation marks, for a message."""
    line = " ".join(text[: 4 * length].split())
    return f'"{line if len(line) <= length else line[: length - 1] + "…"}"'


def _bold(text: str) -> tuple[str, str] | None:
    """Cut behind a bold beginning if a separator or nothing follows it."""
    if not text.startswith("**"):
        return None
    end = text.find("**", 2)
    while end > 0 and _is_escaped(text, end):
        end = text.find("**", end + 1)
    if end <= 2:
        return None
    while text[end + 2 : end + 3] == "*":  # "***": the last two close
        end += 1
    inside, behind = text[2:end], text[end + 2 :]
    if not behind.strip() or inside.endswith(":"):
        return inside, behind.strip()
    found = _SEPARATOR.match(behind)
    return (inside, behind[found.end() :].strip()) if found else None


def _plain_cut(text: str, *, at_colon: bool) -> tuple[str, str] | None:
    places = [found for found in (_DASH.search(text), _COLON.search(text) if at_colon else None) if found]
    first = min(places, key=lambda found: found.start(), default=None)
    if first is None or not text[: first.start()].strip() or first.start() > LONGEST_TITLE:
        return None
    return text[: first.start()], text[first.end() :].strip()


def _is_escaped(text: str, at: int) -> bool:
    start = at
    while start and text[start - 1] == "\\":
        start -= 1
    return bool((at - start) % 2)


def _code_spans(text: str) -> dict[int, int]:
    """Where each code span may begin, and where it then ends: at the next run of as many backticks."""
    runs = [(found.start(), found.end()) for found in re.finditer("`+", text)]
    spans: dict[int, int] = {}
    later: dict[int, int] = {}  # the end of the next run of a length
    for start, end in reversed(runs):
        if end - start in later:
            spans[start] = later[end - start]
        later[end - start] = end
    return spans


def _emphasis(text: str, at: int, out: list[str], opened: dict[str, int]) -> int:
    """Put a mark of emphasis into `out`, or take it and its partner out of it. Return the index behind it."""
    mark = text[at : at + 2] if text[at : at + 2] in ("**", "__") else text[at]
    end = at + len(mark)
    before, behind = text[at - 1 : at] if at else "", text[end : end + 1]
    in_word = mark[0] == "_" and before.isalnum() and behind.isalnum()
    if mark in opened and before.strip() and not in_word and opened[mark] < len(out) - 1:
        out[opened.pop(mark)] = ""
        return end
    if behind.strip() and not in_word and not (mark[0] == "_" and before.isalnum()):
        opened[mark] = len(out)
    out.append(mark)
    return end
