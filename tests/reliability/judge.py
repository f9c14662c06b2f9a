"""Compares what was sent with what the model says: lost, stale, out of order, double."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from tests.reliability.history import History
from tests.reliability.model import Account, Mark, Piece, Sent, marks, owed, pieces, wanted


@dataclass(frozen=True)
class Verdict:
    """What was wrong, a line each."""

    lost: tuple[str, ...]
    stale: tuple[str, ...]
    out_of_order: tuple[str, ...]
    double: tuple[str, ...]

    @property
    def wrong(self) -> list[str]:
        return [f"{name}: {line}" for name, lines in self.by_name.items() for line in lines]

    @property
    def by_name(self) -> dict[str, tuple[str, ...]]:
        return {field.name.replace("_", " "): getattr(self, field.name) for field in fields(self)}


def judge(history: History, account: Account) -> Verdict:
    world = pieces(history)
    return Verdict(
        lost=tuple(_lost(history, account)),
        stale=tuple(_said(sent) for sent in account.sent if not wanted(world, history, sent)),
        out_of_order=tuple(_out_of_order(history, world, account)),
        double=tuple(_double(history, world, account)),
    )


def _said(sent: Sent) -> str:
    return f"{sent.mark} to {sent.to} at +{str(sent.at).split('.')[0]}, {sent.message_id}"


def _lost(history: History, account: Account) -> Iterator[str]:
    for entry in owed(history, account):
        if not any(
            (sent.to, sent.mark) == (entry.to, entry.mark.name) and entry.since <= sent.at <= entry.until
            for sent in account.sent
        ):
            yield str(entry)


def _out_of_order(history: History, world: list[Piece], account: Account) -> Iterator[str]:
    """A mark of less rank after one of more, to one person in one version. A repeat after a death is no new mail."""
    highest: dict[tuple[str, int], int] = {}
    seen = set[str]()
    for sent in account.sent:
        piece = _at(world, sent.at)
        rank = _plan(history, piece)[sent.mark].rank
        before = highest.get((sent.to, piece.version), -1)
        if rank < before and sent.message_id not in seen:
            yield _said(sent)
        highest[sent.to, piece.version] = max(rank, before)
        seen.add(sent.message_id)


def _double(history: History, world: list[Piece], account: Account) -> Iterator[str]:
    """More copies of one mail than deaths explain; another mail of a mark the person had already."""
    excused = Counter(message_id for _, message_id in account.deaths if message_id)
    copies = Counter[str]()
    had: dict[tuple[str, str], Sent] = {}
    for sent in account.sent:
        copies[sent.message_id] += 1
        if copies[sent.message_id] > 1 + excused[sent.message_id]:
            yield _said(sent)
        first = had.get((sent.to, sent.mark))
        if first is not None and first.message_id != sent.message_id and not excused[first.message_id]:
            piece = _at(world, sent.at)
            if _at(world, first.at).version == piece.version or _was_past(history, world, piece, sent):
                yield f"{_said(sent)}, after {first.message_id}"
        had[sent.to, sent.mark] = sent


def _was_past(history: History, world: list[Piece], piece: Piece, sent: Sent) -> bool:
    """Was the mark past when the release moved, so that the notice of the move stood for it?

    Not when the clock was set back since and shows the mark as still to come: a mark comes by the clock on the wall.
    """
    since = [entry for entry in world if entry.version == piece.version and entry.start <= sent.at]
    due = _plan(history, piece)[sent.mark].due
    return all(due <= entry.clock + entry.start for entry in since)


def _at(world: list[Piece], moment: timedelta) -> Piece:
    return next(piece for piece in reversed(world) if piece.start <= moment)


def _plan(history: History, piece: Piece) -> dict[str, Mark]:
    return {mark.name: mark for mark in marks(history.start.zone, history.start.plan, piece.t_zero)}
