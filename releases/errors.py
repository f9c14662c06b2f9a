"""What a verb says when it refuses: a sentence for the reader. When one is raised nothing was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releases.models import Item
    from releases.readiness import Readiness


class DomainError(Exception):
    """The rules say no. `str(error)` says why, and what would be right."""


class Refused(DomainError):
    """The person may not do this. The sentence names who may. Pages answer 403."""


class NotReady(DomainError):
    """A gate does not hold; `readiness` says what is open. An override with its reason would be needed."""

    def __init__(self, sentence: str, readiness: Readiness) -> None:
        super().__init__(sentence)
        self.readiness = readiness


class ReasonNeeded(DomainError):
    """The act is allowed but has a consequence; it needs a reason given on a page that names it."""

    def __init__(self, sentence: str, consequence: str) -> None:
        super().__init__(sentence)
        self.consequence = consequence


class EvidenceNeeded(DomainError):
    """The item wants a link or a note before it can be done. Pages answer 422 with the evidence form open."""


class Conflict(DomainError):
    """Somebody else changed the item since it was read. Pages answer 409 with the fresh row."""

    def __init__(self, sentence: str, item: Item) -> None:
        super().__init__(sentence)
        self.item = item
