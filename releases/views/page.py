"""What the templates of the release page read, part by part: nothing is fetched for a part that is not drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from relcoord.models import User
from releases import events, permissions, sheet, story
from releases.models import Event, Note, Release
from releases.sheet import Row, Section, Sheet
from releases.story import Told
from releases.views import cards
from releases.views.base import who
from releases.views.frame import Head, frame

NOTES = 5  # notes beside the checklist


@dataclass
class Page:
    """The release page as `reader` sees it. Parts are named as in `releases.live`."""

    head: Head
    reader: User

    @property
    def release(self) -> Release:
        return self.head.release

    @cached_property
    def sheet(self) -> Sheet:
        return sheet.sheet(self.release, self.reader, self.head.now)

    @cached_property
    def sections(self) -> list[Section]:
        """The phases with all their rows, evidence and notes included."""
        sheet.load(self.release)
        return self.sheet.sections

    def row(self, pk: int) -> Row:
        return self.sheet.rows[pk]

    @cached_property
    def card(self) -> cards.Card:
        return cards.gate_card(self.head, self.sheet)

    @cached_property
    def team(self) -> list[cards.Holder]:
        return cards.team(self.sheet)

    @cached_property
    def unassigned(self) -> cards.Unassigned | None:
        """What the coordinator hears on top: only theirs to mend, so only theirs to read."""
        if self.release.is_final or not self.leads:
            return None
        return cards.unassigned(self.sheet, self.team) or None

    @property
    def leads(self) -> bool:
        """May the reader change the list?"""
        return permissions.may(self.reader, "edit_items", self.release) and not self.release.is_final

    @property
    def may_note(self) -> bool:
        return permissions.may(self.reader, "note", self.release)

    @property
    def may_edit(self) -> bool:
        return permissions.may(self.reader, "edit_release", self.release)

    @property
    def may_roll_back(self) -> bool:
        running = self.release.status in ("deploying", "deployed", "closed")
        return running and permissions.may(self.reader, "trigger_rollback", self.release)

    @cached_property
    def notes(self) -> list[Note]:
        """The newest notes on the release itself."""
        return sheet.notes(self.release).get(None, [])[: -NOTES - 1 : -1]

    @cached_property
    def latest(self) -> list[Event]:
        """The newest events, the newest first."""
        return events.latest(self.release)

    @property
    def activity(self) -> list[Told]:
        return [story.tell(event, self.release.zone) for event in self.latest]


def page_context(request: HttpRequest, release: Release, tab: str = "checklist") -> dict[str, Any]:
    """Context of the release page and of each of its parts: the frame's, and `page`."""
    context = frame(request, release, tab)
    return context | {"page": Page(context["head"], who(request))}


def row_context(request: HttpRequest, release: Release, pk: int) -> dict[str, Any]:
    """Context of one row alone; KeyError if the release has no such item."""
    now = timezone.now()
    return {"release": release, "now": now, "row": sheet.sheet(release, who(request), now).rows[pk]}
