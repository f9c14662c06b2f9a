"""Tickets of the event stream: who may listen to what, signed, for some minutes.

The page draws one, through its own authorised view, and the stream trusts the signature alone: it asks no database.
A ticket opens ids and revisions and nothing else, ends by itself, and no log keeps it (`relcoord.lib.masking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.core import signing

PATH = "/live/stream"
LIFE = 600  # seconds a ticket opens a stream, and a stream lives on it
SALT = "relcoord.live.stream"


@dataclass(frozen=True)
class Ticket:
    user: int
    release: int | None  # None: that anything changed anywhere, without saying what
    revision: int  # of that release, as the page shows it
    at: float  # when the page was drawn, in seconds since the epoch

    @property
    def ends(self) -> float:
        return self.at + LIFE


def address(user: int, release: int | None, revision: int, now: datetime) -> str:
    """Where a page drawn at `now` for `user` listens: the path with its ticket."""
    what = [user, release, revision, int(now.timestamp() * 1000)]
    return f"{PATH}?{urlencode({'ticket': signing.Signer(salt=SALT).sign_object(what)})}"


def read(text: str, now: float) -> Ticket | None:
    """The ticket that `text` holds; None for one that is forged, spoilt or over."""
    try:
        user, release, revision, at = signing.Signer(salt=SALT).unsign_object(text)
    except (signing.BadSignature, ValueError):
        return None
    ticket = Ticket(user, release, revision, at / 1000)
    return ticket if now < ticket.ends else None
