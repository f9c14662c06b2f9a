"""From a list entry to an item: title and guidance, and what marks or else inference say of it."""

from __future__ import annotations

from dataclasses import dataclass

from checklists.blueprints import ItemPlan, Kind, Stage
from checklists.markdown import inference, inline, marks
from checklists.markdown.blocks import Comment, Entry, Line, dedented, trimmed
from checklists.markdown.marking import Marking
from checklists.markdown.report import LOG_LEFT_OUT, Report


@dataclass
class RawItem:
    """A list entry that is an item, and the headings and list entries it stands below."""

    entry: Entry
    group: str


class ItemReader:
    """Understands items, once all roles are known."""

    def __init__(self, report: Report, marking: Marking, book: inference.RoleBook) -> None:
        self._report = report
        self._marking = marking
        self._book = book

    def item(self, raw: RawItem, stage: Stage) -> ItemPlan:
        entry = raw.entry
        marked = self._marking.read(entry.comments, marks.ITEM, of="an item")
        title, rest = inline.cut(entry.text)
        body = trimmed([line.text for line in dedented(self._without_log(entry))])
        title = marks.text(marked.get("title"), title or entry.text)
        guidance = marks.text(marked.get("guidance"), "\n".join(filter(None, (rest, body))))
        kind = self._marking.member(Kind, marked, "kind")
        found = inference.meaning(title, guidance, stage, self._book, kind)
        watch = self._marking.watch(marked, found.watch)
        return ItemPlan(
            title=title,
            guidance=guidance,
            role=marks.text(marked.get("role"), found.role),
            kind=kind or found.kind,
            required=self._marking.flag(marked, "required", found.required),
            condition=marks.text(marked.get("condition"), found.condition),
            bound_to_window=self._marking.flag(marked, "window", found.bound_to_window),
            evidence_wanted=self._marking.flag(marked, "evidence", _asks_for_a_link(entry.comments)),
            group=marks.text(marked.get("group"), raw.group),
            watch_min=watch[0],
            watch_max=watch[1],
        )

    def _without_log(self, entry: Entry) -> list[Line]:
        """The body without the lines a running release added: those with a mark `log`."""
        found = [(comment, marks.read(comment.text)) for comment in entry.comments]
        logged = {comment.first for comment, mark in found if mark and "log" in mark.values}
        for line in entry.body:
            if line.number in logged:
                self._report.left_out(line.number, line.text, LOG_LEFT_OUT)
        return [line for line in entry.body if line.number not in logged]


def _asks_for_a_link(comments: list[Comment]) -> bool:
    """A comment such as "Paste the link here" shows that the item wants evidence."""
    words = " ".join(comment.text.casefold()[:200] for comment in comments)
    return "paste" in words and any(word in words for word in ("link", "url", "output", "screenshot"))
