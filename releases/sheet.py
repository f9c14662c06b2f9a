"""What the page of a release reads: its phases with their rows as `reader` may act on them, and the gate. Read only.

Everything comes from the rows `load` fetches, in a fixed number of queries; what a row may do is asked of the one
table in `permissions`, and what stands before a verb of `readiness`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.functional import cached_property

from checklists.blueprints import Kind, Stage
from releases import live, permissions, readiness, ticking
from releases.models import (
    Evidence,
    Item,
    Note,
    PhaseMoments,
    Release,
    State,
    Status,
    Watch,
    assignments_of,
    holders,
)
from releases.models.kept import Kept
from releases.permissions import Standing

if TYPE_CHECKING:
    from relcoord.models import User

TICKED = (Kind.CHECK, Kind.SIGN_OFF, Kind.ACKNOWLEDGE)
LOOKS = {"not_applicable": "na", "due_soon": "open", "late": "open", "watching": "active"}
BY_ITSELF = (Kind.COMPUTED, Kind.DECISION, Kind.CLOSE)  # settled by the others, the decision, the closing


def load(release: Release) -> Release:
    """Fetch what a page with all rows reads beyond `readiness.load`: evidence and notes, in two statements."""
    readiness.load(release)
    evidence(release)
    notes(release)
    return release


def load_lightly(release: Release) -> Release:
    """Fetch what one row and the parts around it read: for other rows only whether there is evidence or a note."""
    return readiness.load(readiness.load_rows(release))


def notes(release: Release) -> dict[int | None, list[Note]]:
    """The notes on the items of `release` by the item's id, those on the release itself under None. Read once."""
    known: dict[int | None, list[Note]] | None = release.__dict__.get("_notes")
    if known is None:
        known = release.__dict__["_notes"] = {}
        for note in _notes(release.pk):
            known.setdefault(note.item_id, []).append(note)
    return known


def evidence(release: Release) -> dict[int, list[Evidence]]:
    """The evidence for the items of `release`, by the item's id. Read once."""
    known: dict[int, list[Evidence]] | None = release.__dict__.get("_evidence")
    if known is None:
        known = release.__dict__["_evidence"] = {}
        for proof in _evidence(release.pk):
            known.setdefault(proof.item_id, []).append(proof)
    return known


_notes = Kept(lambda release: Note.objects.filter(release=release, rollback=None).select_related("by"), int)
_evidence = Kept(lambda release: Evidence.objects.filter(item__phase__release=release).select_related("by"), int)


def _items_url(release: Release) -> str:
    """Where the items of `release` have their pages; a row adds its id."""
    known: str | None = release.__dict__.get("_items_url")
    if known is None:
        known = release.__dict__["_items_url"] = reverse("releases:item", args=[release.key, 0]).removesuffix("0/")
    return known


def _held(release: Release, reader: User) -> frozenset[str]:
    """The roles `reader` holds, asked once for all rows."""
    known: dict[int, frozenset[str]] = release.__dict__.setdefault("_held", {})
    if reader.pk not in known:
        known[reader.pk] = permissions.roles_held(reader, release)
    return known[reader.pk]


def called(release: Release, person: User) -> str:
    """What `person` is called on the pages of `release`: the first name, or the whole where two share it."""
    first = person.get_short_name()
    people: dict[int, str] | None = release.__dict__.get("_first_names")
    if people is None:
        people = {row.user_id: row.user.get_short_name() for row in assignments_of(release)}
        release.__dict__["_first_names"] = people
    shared = any(name == first for pk, name in people.items() if pk != person.pk)
    return person.name if shared else first


@dataclass(frozen=True)
class Choice:
    """One line of a row's menu: the form it opens, its words, its key."""

    name: str
    words: str
    icon: str
    key: str = ""


@dataclass(frozen=True)
class Row:
    """An item as its row shows it to `reader` at `now`."""

    item: Item
    moments: PhaseMoments
    now: datetime
    reader: User

    @property
    def release(self) -> Release:
        return self.moments.phase.release

    @cached_property
    def url(self) -> str:
        return f"{_items_url(self.release)}{self.item.pk}/"

    @cached_property
    def state(self) -> str:
        """The word whose shape the row shows: done, not_applicable, waived, blocked, locked, late, due_soon, ..."""
        if self.item.settled:
            return self.item.state
        if self.watch:
            return "watching"
        if self.item.is_locked:
            return "locked"
        if self.item.state == State.BLOCKED:
            return "blocked"
        if self.moments.is_late(self.item, self.now):
            return "late"
        return "due_soon" if self._due_soon else "open"

    @property
    def look(self) -> str:
        """The row's `data-state`, for the style sheet."""
        return LOOKS.get(self.state, self.state)

    @property
    def _due_soon(self) -> bool:
        begins = live.soon_at(self.moments, self.item)
        return begins is not None and begins <= self.now and not self.release.clock_stopped

    @property
    def due_at(self) -> datetime | None:
        return self.moments.due_of(self.item)

    @cached_property
    def watch(self) -> Watch | None:
        """The watch that runs on this item, if it is one and the release is where it may run."""
        if self.item.kind != Kind.WATCH or self.item.settled or self.release.status not in ("deploying", "deployed"):
            return None
        return self.item.running_watch()

    @property
    def watched(self) -> int:
        """Whole minutes the running watch has lasted."""
        return int((self.now - self.watch.started_at).total_seconds() // 60) if self.watch else 0

    @cached_property
    def holders(self) -> list[User]:
        return holders(self.release, self.item.role)

    @cached_property
    def evidence(self) -> list[Evidence]:
        known: dict[int, list[Evidence]] | None = self.release.__dict__.get("_evidence")
        if known is not None:
            return known.get(self.item.pk, [])
        return list(self.item.evidence.all()) if getattr(self.item, "has_evidence", True) else []

    @cached_property
    def notes(self) -> list[Note]:
        known = self.release.__dict__.get("_notes")
        if known is not None:
            return known.get(self.item.pk, [])
        return list(self.item.notes.all()) if getattr(self.item, "has_notes", True) else []

    @property
    def mine(self) -> bool:
        return Standing.HOLDER in self.standings

    # What the reader may do

    @cached_property
    def standings(self) -> frozenset[Standing]:
        """The same for all items of a role."""
        known: dict[tuple[int, int | None], frozenset[Standing]] = self.release.__dict__.setdefault("_standings", {})
        key = (self.reader.pk, self.item.role_id)
        if key not in known:
            held = _held(self.release, self.reader)
            known[key] = permissions.standings(self.reader, self.release, self.item, held)
        return known[key]

    def may(self, verb: str) -> bool:
        return bool(permissions.TABLE[verb] & self.standings)

    @cached_property
    def ticks(self) -> str:
        """What the row's own button asks for: "done", "open", or "" where there is no button."""
        item = self.item
        if item.is_locked or item.kind not in TICKED:
            return ""
        if item.is_done:
            return "open" if self.may("reopen") else ""
        if item.settled:
            return ""
        return "done" if self.may("sign_off" if item.kind == Kind.SIGN_OFF else "tick") else ""

    @property
    def starts_watch(self) -> bool:
        """May the reader start the watch now?"""
        item = self.item
        return item.kind == Kind.WATCH and not (item.settled or item.is_locked or self.watch) and self.may("tick")

    @property
    def ends_watch(self) -> bool:
        """Is a watch running that the reader may end?"""
        return bool(self.watch) and self.may("tick")

    @property
    def closes(self) -> bool:
        """May the reader close the release here?"""
        return self.item.kind == Kind.CLOSE and not self.item.is_locked and self.may("close")

    @cached_property
    def for_whom(self) -> str:
        """Those the reader would act for; "" for the reader's own items."""
        return "" if self.mine else ", ".join(called(self.release, person) for person in self.holders)

    @cached_property
    def choices(self) -> list[Choice]:
        """The lines of the row's menu, those the reader may choose in this state."""
        item = self.item
        found = []
        changes = not item.is_locked and item.kind not in BY_ITSELF
        if changes and item.settled and self.may("waive" if item.state == State.WAIVED else "reopen"):
            found.append(Choice("reopen", "Mark not done…" if item.is_done else "Open again…", "undo"))
        if changes and not item.settled:
            found += self._answers()
        if not self.release.is_final and self.may("add_evidence"):
            found.append(Choice("evidence", "Add evidence…", "link", "e"))
        if self.may("note"):
            found.append(Choice("note", "Write a note…", "note", "n"))
        if not self.release.is_final and self.may("edit_items"):
            found.append(Choice("edit", "Edit, move, give to…", "edit", "a"))
        return found

    def _answers(self) -> list[Choice]:
        item, found = self.item, []
        if self.may("block"):
            blocked = item.state == State.BLOCKED
            found += [Choice("reopen", "No longer blocked", "undo")] if blocked else []
            found.append(Choice("block", "Change the reason…" if blocked else "Mark blocked…", "x", "b"))
        if self.may("not_applicable") and ticking.may_be_not_applicable(item):
            found.append(Choice("not_applicable", "Not applicable…", "filter"))
        if self.may("waive") and item.required:
            found.append(Choice("waive", "Waive…", "note"))
        return found

    @property
    def locked_because(self) -> str:
        """Why a locked item waits, in a few words; "" when it does not."""
        if not self.item.is_locked or self.item.settled:
            return ""
        if self.release.is_final or self.release.status == Status.ROLLING_BACK:
            return f"stays {self.item.get_state_display()}"
        waits = {Stage.PRODUCTION: "after the start", Stage.POST_DEPLOYMENT: "after the deployment"}
        over = self.item.phase.stage in (Stage.PREPARATION, Stage.DECISION) or self.release.status == Status.DEPLOYED
        return "no longer changes" if over else waits[Stage(self.item.phase.stage)]


@dataclass(frozen=True)
class Section:
    """A phase with its rows."""

    moments: PhaseMoments
    rows: list[Row]
    number: int
    is_current: bool
    now: datetime

    @property
    def phase_name(self) -> str:
        return self.moments.phase.name

    @property
    def anchor(self) -> str:
        return self.moments.phase.anchor

    @cached_property
    def settled(self) -> int:
        return sum(row.item.settled for row in self.rows)

    @property
    def total(self) -> int:
        return len(self.rows)

    @cached_property
    def late(self) -> int:
        return sum(row.state == "late" for row in self.rows)

    @cached_property
    def blocked(self) -> int:
        return sum(row.state == "blocked" for row in self.rows)

    @cached_property
    def is_locked(self) -> bool:
        return bool(self.rows) and all(row.item.is_locked for row in self.rows) and not self.is_over

    @property
    def opens_later(self) -> bool:
        """Is it still to open, by the clock and not by an early start?"""
        opens = self.moments.opens_at
        running = self.moments.phase.stage == Stage.PRODUCTION and not self.is_locked
        return opens is not None and opens > self.now and not running

    @cached_property
    def is_over(self) -> bool:
        """Is everything settled, or can nothing change any more?"""
        release = self.moments.phase.release
        early = self.moments.phase.stage in (Stage.PREPARATION, Stage.DECISION)
        return release.is_final or bool(release.started_at and early) or self.settled == self.total

    @cached_property
    def state(self) -> str:
        """The word whose shape the rail shows."""
        if self.settled == self.total and self.total:
            return "done"
        if self.blocked:
            return "blocked"
        if self.late:
            return "late"
        if self.is_current:
            return "active"
        return "locked" if self.is_locked else "open"

    @property
    def share(self) -> int:
        """Settled, in percent."""
        return round(100 * self.settled / self.total) if self.total else 0

    @cached_property
    def clock_at(self) -> int | None:
        """Where the clock stands between this phase's opening and its due moment, in percent; None when elsewhere."""
        opens, due = self.moments.opens_at, self.moments.due_at
        if opens is None or due is None or not opens <= self.now < due:
            return None
        return round(100 * ((self.now - opens) / (due - opens)))

    @property
    def unfolded(self) -> bool:
        """Is it shown open: the current phase, and earlier ones that still hold something up?"""
        if self.moments.phase.release.is_final:
            return False
        waits = any(not row.item.settled and not row.item.is_locked and row.item.required for row in self.rows)
        return self.is_current or (waits and self.moments.has_opened(self.now))


@dataclass(frozen=True)
class Sheet:
    """All phases of a release as `reader` sees them at `now`."""

    release: Release
    reader: User
    now: datetime
    sections: list[Section] = field(default_factory=list)

    @property
    def current(self) -> Section | None:
        return next((section for section in self.sections if section.is_current), None)

    @cached_property
    def rows(self) -> dict[int, Row]:
        return {row.item.pk: row for section in self.sections for row in section.rows}

    def section_of(self, row: Row) -> Section:
        return next(section for section in self.sections if section.moments.phase.pk == row.moments.phase.pk)


def sheet(release: Release, reader: User, now: datetime) -> Sheet:
    """Read the phases and rows of `release`; `load` it first when all rows are shown."""
    readiness.load(release)
    current = current_phase(release, now)
    found = Sheet(release, reader, now)
    for number, moments in enumerate(release.plan, start=1):
        rows = [Row(item, moments, now, reader) for item in moments.phase.items.all()]
        found.sections.append(Section(moments, rows, number, moments == current, now))
    return found


def current_phase(release: Release, now: datetime) -> PhaseMoments | None:
    """The phase whose hour it is: by what was started, and before that by the clock. None at the end."""
    if release.is_final or release.status == Status.ROLLING_BACK:
        return None
    running = {Status.DEPLOYING: Stage.PRODUCTION, Status.DEPLOYED: Stage.POST_DEPLOYMENT}.get(release.state)
    if running:
        return next((moments for moments in release.plan if moments.phase.stage == running), None)
    early = [m for m in release.plan if m.phase.stage in (Stage.PREPARATION, Stage.DECISION)]
    opened = [moments for moments in early if moments.has_opened(now)]
    return opened[-1] if opened else next(iter(early), None)
