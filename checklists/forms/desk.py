"""The desk a draft lies on: the draft, the place of it that is on the page, and the buttons that act on it.

One post carries all of it, so a page works without script and nothing typed is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.utils.functional import cached_property

from checklists.blueprints import Blueprint, Problem
from checklists.editing import Fault, place
from checklists.forms.draft import Draft, PhaseDraft
from checklists.forms.fields import AboutForm, ItemForm, PhaseForm, RoleForm, RowForm, SeatForm, fold
from checklists.tminus import Offset
from checklists.usable import lacks

SLICE: Final = 40  # items on one page: a form may not have more than 1000 fields
ABOUT: Final = "about"
PEOPLE: Final = "people"


@dataclass
class Desk:
    """`at` is `about`, `people` or `phases.2`; `start` the first item shown of that phase; `focus` the row acted on."""

    draft: Draft
    at: str = ABOUT
    start: int = 0
    seen: int | None = None  # the version the draft was made of
    change_note: str = ""
    focus: str = ""
    button: str = ""  # the verb of the last button
    said: str = ""  # what it did, in words
    checked: bool = field(default=False)  # show faults of what nobody has finished typing only when asked

    @classmethod
    def of(cls, plan: Blueprint, seen: int | None = None) -> Desk:
        return cls(Draft.of(plan), at="phases.0" if plan.phases else ABOUT, seen=seen)

    @classmethod
    def posted(cls, post: Mapping[str, str]) -> Desk:
        """Read the draft and write into it what was typed on the page. DraftError when there is no draft."""
        draft = Draft.loads(post.get("draft", ""))
        seen, start = post.get("seen", ""), post.get("start", "0")
        desk = cls(
            draft,
            start=int(start) if start.isdecimal() and len(start) < 6 else 0,
            seen=int(seen) if seen.isdecimal() and len(seen) < 9 else None,
            change_note=post.get("change_note", "").strip(),
            checked=post.get("checked") == "yes",
        )
        desk.at = desk._nearest(post.get("at", ABOUT))
        desk._fold(post)
        return desk

    def act(self, button: str) -> None:
        """Carry out a button such as `add:phases.2.items`; an unknown one does nothing."""
        verb, _, path = button.partition(":")
        self.button = verb
        acts: dict[str, Callable[[], None]] = {
            "add": lambda: self._look_at(self.draft.add(path)),
            "up": lambda: self._look_at(self.draft.move(path, -1)),
            "down": lambda: self._look_at(self.draft.move(path, +1)),
            "remove": lambda: self._remove(path),
            "undo": lambda: self._look_at(self.draft.undo()),
            "show": lambda: self._go(path),
            "from": lambda: self._slice(path),
        }
        try:
            acts.get(verb, lambda: None)()
        except (IndexError, KeyError, ValueError):
            self.said = "That row is no longer there."
        self.checked = self.checked or verb == "check"

    def _remove(self, path: str) -> None:
        name = _name(self.draft, path)
        self._look_at(self.draft.remove(path))
        self.said = f"Removed {name}."

    def _slice(self, start: str) -> None:
        self.start = int(start)

    def _go(self, path: str) -> None:
        shown = self._nearest(path)
        self.start = self.start if shown == self.at else 0
        self.at = shown

    def _nearest(self, path: str) -> str:
        """The place of the draft at `path`, or the nearest one when it is not there."""
        kind, _, index = path.partition(".")
        if kind == "phases" and index.isdecimal() and len(index) < 6 and self.draft.phases:
            return f"phases.{min(int(index), len(self.draft.phases) - 1)}"
        return PEOPLE if kind == PEOPLE else ABOUT

    def _look_at(self, path: str) -> None:
        """Show the place a row is in, and remember the row."""
        steps = path.split(".")
        self._go(PEOPLE if steps[0] in ("roles", "seats") else ".".join(steps[:2]))
        self.focus = path
        if len(steps) == 4:
            self.start = int(steps[3]) // SLICE * SLICE

    def _fold(self, post: Mapping[str, str]) -> None:
        fold(self.draft, post, "about")
        if self.phase:
            fold(self.phase, post, "phase")
            for index, item in enumerate(self.phase.items):
                fold(item, post, f"item{index}")
                item.title = " ".join(item.title.split())
        for index, seat in enumerate(self.draft.seats):
            fold(seat, post, f"seat{index}")
        for index, role in enumerate(self.draft.roles):  # last: items and seats still say the name it had
            was = role.name
            fold(role, post, f"role{index}")
            if role.name != was:
                self.draft.rename_role(was, role.name)

    # What the page shows

    @property
    def phase(self) -> PhaseDraft | None:
        return self.draft.phases[self.number] if self.at.startswith("phases.") else None

    @property
    def number(self) -> int:
        return int(self.at.partition(".")[2] or 0)

    @cached_property
    def reading(self) -> tuple[Blueprint, list[Fault]]:
        return self.draft.read()

    @property
    def plan(self) -> Blueprint:
        return self.reading[0]

    @property
    def faults(self) -> list[Fault]:
        return self.reading[1]

    @property
    def shown_faults(self) -> list[Fault]:
        """All once asked for; before that only what was typed wrong, not what is still empty."""
        return self.faults if self.checked else [fault for fault in self.faults if "needs a" not in fault.sentence]

    @property
    def missing(self) -> tuple[Problem, ...]:
        return lacks(self.plan)

    @property
    def fault_links(self) -> list[tuple[str, str]]:
        """Each fault as a sentence and the place it is in."""
        return [(str(fault), _place_of(fault.path)) for fault in self.shown_faults]

    @property
    def places(self) -> list[dict[str, object]]:
        """The list of phases beside the form."""
        return [
            {
                "path": f"phases.{index}",
                "name": phase.name or "Phase without a name",
                "count": len(phase.items),
                "moment": _moment(phase),
                "faulty": any(_place_of(fault.path) == f"phases.{index}" for fault in self.shown_faults),
            }
            for index, phase in enumerate(self.draft.phases)
        ]

    @property
    def forms(self) -> dict[str, object]:
        """The forms of the place that is shown."""
        show, roles = self.shown_faults, [role.name for role in self.draft.roles]
        if self.at == ABOUT:
            return {"about": AboutForm.showing(self.draft, "about", "", show)}
        if self.at == PEOPLE:
            rows = [RoleForm.showing(r, f"role{n}", f"roles.{n}", show) for n, r in enumerate(self.draft.roles)]
            seats = [
                SeatForm.showing(s, f"seat{n}", f"seats.{n}", show, roles=roles) for n, s in enumerate(self.draft.seats)
            ]
            self._focus_new([*rows, *seats])
            return {"roles": _ends(rows), "seats": _ends(seats)}
        phase = PhaseForm.showing(self.phase, "phase", self.at, show)
        items = self._item_forms(show, roles)
        self._focus_new([phase, *items])
        return {"phase": phase, "items": items}

    def _focus_new(self, rows: Sequence[RowForm]) -> None:
        for row in rows:
            if self.button == "add" and row.path == self.focus:
                row.take_focus()

    def _item_forms(self, show: list[Fault], roles: list[str]) -> list[RowForm]:
        items = list(enumerate(self.phase.items if self.phase else []))[self.start : self.start + SLICE]
        forms = [
            ItemForm.showing(item, f"item{index}", f"{self.at}.items.{index}", show, roles=roles)
            for index, item in items
        ]
        for form, (index, _) in zip(forms, items, strict=True):
            form.is_first = self.is_first and index == 0
            form.is_last = self.is_last and self.phase is not None and index == len(self.phase.items) - 1
        return list(forms)

    @property
    def slices(self) -> list[tuple[int, int, int]]:
        """First and last item of each page of a long phase, counted from 1, and its start; empty for one page."""
        count = len(self.phase.items) if self.phase else 0
        return [(n + 1, min(n + SLICE, count), n) for n in range(0, count, SLICE)] if count > SLICE else []

    @property
    def dumped(self) -> str:
        return self.draft.dumps()

    @property
    def is_first(self) -> bool:
        return self.number == 0

    @property
    def is_last(self) -> bool:
        return self.number == len(self.draft.phases) - 1

    @property
    def opens_words(self) -> str:
        return _words(self.phase.opens) if self.phase else ""

    @property
    def due_words(self) -> str:
        return _words(self.phase.due) if self.phase else ""


def _place_of(path: str) -> str:
    steps = path.split(".")
    if steps[0] in ("roles", "seats"):
        return PEOPLE
    return ".".join(steps[:2]) if steps[0] == "phases" else ABOUT


def _name(draft: Draft, path: str) -> str:
    parent, _, index = path.rpartition(".")
    row = draft.rows(parent)[int(index)]
    text = getattr(row, "title", "") or getattr(row, "name", "") or getattr(row, "role", "")
    return f"“{text}”" if text else place(path).lower()


def _ends(rows: Sequence[RowForm]) -> list[RowForm]:
    """Say of the first and the last row that they are."""
    for index, row in enumerate(rows):
        row.is_first, row.is_last = index == 0, index == len(rows) - 1
    return list(rows)


def _words(offset: str) -> str:
    """Return "3 days before T-0"; empty for what cannot be read, which is said as a fault."""
    try:
        return Offset.parse(offset).in_words() if offset.strip() else ""
    except ValueError:
        return ""


def _moment(phase: PhaseDraft) -> str:
    """Say when a phase opens and is due: "opens T-3d, due T-1d"."""
    moments = (("opens", phase.opens), ("due", phase.due))
    return ", ".join(f"{word} {text}" for word, text in moments if text.strip())
