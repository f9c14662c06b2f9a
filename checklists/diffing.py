"""What differs between two plans, in the words of people who keep checklists. Pure; compares values, not texts.

Items are known by their title: first in the same phase, then anywhere (moved), then by likeness (renamed).
`diff(a, b).changes` is empty exactly when the plans are equal.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage, slug

LIKE: Final = 0.6  # titles at least this alike are one item renamed
MOST_WEAVING: Final = 4000  # words before times words after, between what both begin and end with

LABELS: Final = {
    "opens": "opens",
    "due": "due",
    "bound_to_window": "reopens when the window moves",
    "evidence_wanted": "wants evidence",
    "watch_min": "watch at least, minutes",
    "watch_max": "ask for the verdict after, minutes",
    "group": "sub-heading",
    "closing": "closing words",
}

Plan = TypeVar("Plan", PhasePlan, ItemPlan, RolePlan, SeatPlan)
Pairs = dict[int, int]  # index in the new -> index in the old


class How(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    CHANGED = "changed"


class Word(NamedTuple):
    """A run of text: kept, or only before, or only after."""

    text: str
    before: bool
    after: bool


@dataclass(frozen=True)
class Detail:
    """One field, before and after, as text."""

    label: str
    before: str
    after: str

    @property
    def words(self) -> list[Word]:
        """The texts woven into one, for <del> and <ins>."""
        return [word for word in _weave(_words(self.before), _words(self.after)) if word.text]


@dataclass(frozen=True)
class Change:
    how: How
    what: str  # phase, item, role, seat, text
    title: str
    place: str = ""  # the phase an item is in, or was in when it is removed
    was: str = ""  # where a moved item was
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class Diff:
    changes: tuple[Change, ...]
    same: int  # items that stayed as they were

    def __bool__(self) -> bool:
        return bool(self.changes)

    @cached_property
    def summary(self) -> str:
        """Return "1 added, 2 changed, 26 items the same"."""
        counts = [(sum(change.how is how for change in self.changes), how.value) for how in How]
        said = [f"{count} {word}" for count, word in counts if count]
        return ", ".join([*said, f"{self.same} item{'' if self.same == 1 else 's'} the same"])


def diff(old: Blueprint, new: Blueprint) -> Diff:
    """Return what `new` changes, in the reading order of `new`, removals where they were missed."""
    phases = _pair_phases(old.phases, new.phases)
    items = _Items(old, new, phases)
    changes = [
        *_texts(old, new),
        *_rows("phase", old.phases, new.phases, phases, lambda phase: phase.name, skip=("items",)),
        *items.changes(),
        *_named("role", old.roles, new.roles, lambda role: role.name),
        *_named("seat", old.seats, new.seats, lambda seat: seat.role),
    ]
    return Diff(tuple(changes), len(new.items) - items.touched)


def _texts(old: Blueprint, new: Blueprint) -> Iterator[Change]:
    for name in ("name", "description", "closing"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            label = LABELS.get(name, name)
            yield Change(How.CHANGED, "text", label, details=(Detail(label, before, after),))


def _named(what: str, old: Sequence[Plan], new: Sequence[Plan], title: Callable[[Plan], str]) -> Iterator[Change]:
    pairs = _by_key([slug(title(plan)) for plan in old], [slug(title(plan)) for plan in new])
    return _rows(what, old, new, pairs, title)


def _rows(
    what: str,
    old: Sequence[Plan],
    new: Sequence[Plan],
    pairs: Pairs,
    title: Callable[[Plan], str],
    skip: tuple[str, ...] = (),
) -> Iterator[Change]:
    moved = _out_of_order([pairs.get(index) for index in range(len(new))])
    for index, plan in enumerate(new):
        if index not in pairs:
            yield Change(How.ADDED, what, title(plan), details=_details(None, plan, skip) if what != "phase" else ())
            continue
        details = _details(old[pairs[index]], plan, skip)
        if index in moved:
            yield Change(How.MOVED, what, title(plan), was=f"place {pairs[index] + 1}", details=details)
        elif details:
            yield Change(How.CHANGED, what, title(plan), details=details)
    for index in sorted(set(range(len(old))) - set(pairs.values())):
        yield Change(How.REMOVED, what, title(old[index]))


# Items -----------------------------------------------------------------------------------------------------------


class _Items:
    """Finds for each new item the old one it was. An item's address is (phase, place), both from 0."""

    def __init__(self, old: Blueprint, new: Blueprint, phases: Pairs) -> None:
        self.old, self.new, self.phases = old, new, phases
        self.was: dict[tuple[int, int], tuple[int, int]] = {}
        self.touched = 0
        self._same_phase(_by_key)
        self._anywhere()
        self._same_phase(_by_likeness)

    def _free(self, plan: Blueprint, taken: set[tuple[int, int]], phase: int) -> list[int]:
        return [index for index in range(len(plan.phases[phase].items)) if (phase, index) not in taken]

    def _same_phase(self, pair: Callable[[list[str], list[str]], Pairs]) -> None:
        for new_phase, old_phase in self.phases.items():
            olds = self._free(self.old, set(self.was.values()), old_phase)
            news = self._free(self.new, set(self.was), new_phase)
            old_keys = [slug(self.old.phases[old_phase].items[index].title) for index in olds]
            new_keys = [slug(self.new.phases[new_phase].items[index].title) for index in news]
            for new_index, old_index in pair(old_keys, new_keys).items():
                self.was[new_phase, news[new_index]] = (old_phase, olds[old_index])

    def _anywhere(self) -> None:
        taken = set(self.was.values())
        olds = [(p, i) for p in range(len(self.old.phases)) for i in self._free(self.old, taken, p)]
        news = [(p, i) for p in range(len(self.new.phases)) for i in self._free(self.new, set(self.was), p)]
        old_keys = [slug(self.old.phases[p].items[i].title) for p, i in olds]
        new_keys = [slug(self.new.phases[p].items[i].title) for p, i in news]
        for new_index, old_index in _by_key(old_keys, new_keys).items():
            self.was[news[new_index]] = olds[old_index]

    def changes(self) -> Iterator[Change]:
        for p, phase in enumerate(self.new.phases):
            yield from self._in_phase(p, phase)
            if p in self.phases:
                yield from self._removed_from(self.phases[p])
        for p in sorted(set(range(len(self.old.phases))) - set(self.phases.values())):
            yield from self._removed_from(p)

    def _in_phase(self, p: int, phase: PhasePlan) -> Iterator[Change]:
        home = self.phases.get(p)
        sources = [self.was.get((p, index)) for index in range(len(phase.items))]
        shuffled = _out_of_order([source[1] if source and source[0] == home else None for source in sources])
        for index, (item, source) in enumerate(zip(phase.items, sources, strict=True)):
            change = self._item(item, source, phase.name, source is not None and source[0] != home, index in shuffled)
            if change:
                self.touched += 1
                yield change

    def _item(
        self, item: ItemPlan, source: tuple[int, int] | None, place: str, elsewhere: bool, shuffled: bool
    ) -> Change | None:
        if source is None:
            return Change(How.ADDED, "item", item.title, place, details=_details(None, item, ("title",)))
        origin = self.old.phases[source[0]]
        details = _details(origin.items[source[1]], item)
        if elsewhere or shuffled:
            was = origin.name if elsewhere else f"place {source[1] + 1}"
            return Change(How.MOVED, "item", item.title, place, was, details)
        return Change(How.CHANGED, "item", item.title, place, details=details) if details else None

    def _removed_from(self, p: int) -> Iterator[Change]:
        for index in self._free(self.old, set(self.was.values()), p):
            yield Change(How.REMOVED, "item", self.old.phases[p].items[index].title, self.old.phases[p].name)


# Pairing ---------------------------------------------------------------------------------------------------------


def _pair_phases(old: Sequence[PhasePlan], new: Sequence[PhasePlan]) -> Pairs:
    """By name; then, for a renamed phase, by the items it holds or its likeness."""
    pairs = _by_key([slug(phase.name) for phase in old], [slug(phase.name) for phase in new])
    for index in (index for index in range(len(new)) if index not in pairs):
        free = [candidate for candidate in range(len(old)) if candidate not in pairs.values()]
        scored = [(_kinship(old[candidate], new[index]), -candidate) for candidate in free]
        score, candidate = max(scored, default=(0.0, 0))
        if score >= 0.5:
            pairs[index] = -candidate
    return pairs


def _kinship(old: PhasePlan, new: PhasePlan) -> float:
    mine, theirs = ({slug(item.title) for item in phase.items} for phase in (old, new))
    shared = len(mine & theirs) / max(len(mine | theirs), 1)
    return max(shared, SequenceMatcher(None, slug(old.name), slug(new.name)).ratio() - 0.1)


def _by_key(old: Sequence[str], new: Sequence[str]) -> Pairs:
    """The first of a name with the first, the second with the second."""
    places: dict[str, list[int]] = {}
    for index, key in enumerate(old):
        places.setdefault(key, []).append(index)
    pairs: Pairs = {}
    for index, key in enumerate(new):
        if places.get(key):
            pairs[index] = places[key].pop(0)
    return pairs


def _by_likeness(old: Sequence[str], new: Sequence[str]) -> Pairs:
    if len(old) * len(new) > 2500:  # a rewritten list is not a list of renamings
        return {}
    scored = []
    for new_index, title in enumerate(new):
        matcher = SequenceMatcher(None, b=title)
        for old_index, was in enumerate(old):
            matcher.set_seq1(was)
            if matcher.real_quick_ratio() >= LIKE and matcher.quick_ratio() >= LIKE and matcher.ratio() >= LIKE:
                scored.append((-matcher.ratio(), new_index, old_index))
    pairs: Pairs = {}
    for _, new_index, old_index in sorted(scored):
        if new_index not in pairs and old_index not in pairs.values():
            pairs[new_index] = old_index
    return pairs


def _out_of_order(sources: Sequence[int | None]) -> set[int]:
    """Indexes whose source is not on the longest rising run: the fewest rows that must have moved."""
    tails: list[int] = []  # smallest last source of a run of each length
    ends: list[int] = []  # its index
    before: dict[int, int | None] = {}
    for index, source in enumerate(sources):
        if source is None:
            continue
        length = bisect_left(tails, source)
        before[index] = ends[length - 1] if length else None
        tails[length:] = [source, *tails[length + 1 :]]
        ends[length:] = [index, *ends[length + 1 :]]
    staying: set[int] = set()
    step = ends[-1] if ends else None
    while step is not None:
        staying.add(step)
        step = before[step]
    return {index for index, source in enumerate(sources) if source is not None} - staying


# Words -----------------------------------------------------------------------------------------------------------


def _details(old: Plan | None, new: Plan, skip: tuple[str, ...] = ()) -> tuple[Detail, ...]:
    """The fields that differ; for a new row (no `old`) those that say more than the default."""
    found = []
    for field in fields(new):
        after = getattr(new, field.name)
        before = getattr(old, field.name) if old is not None else field.default
        if field.name not in skip and before != after:
            found.append(Detail(_label(field.name), _text(before) if old is not None else "", _text(after)))
    return tuple(found)


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.value.replace("_", " ") if isinstance(value, Kind | Stage) else str(value)


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _weave(old: list[str], new: list[str]) -> Iterator[Word]:
    """Both texts in one. What they begin and end with is found first; a rewritten middle is shown whole."""
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    middle = old[start : len(old) - end], new[start : len(new) - end]
    yield Word("".join(old[:start]), True, True)
    if len(middle[0]) * len(middle[1]) > MOST_WEAVING:
        yield Word("".join(middle[0]), True, False)
        yield Word("".join(middle[1]), False, True)
    else:
        yield from _matched(*middle)
    yield Word("".join(old[len(old) - end :]), True, True)


def _shared(old: list[str], new: list[str]) -> int:
    """How many words both begin with."""
    pairs = zip(old, new, strict=False)
    return next((n for n, (before, after) in enumerate(pairs) if before != after), min(len(old), len(new)))


def _matched(old: list[str], new: list[str]) -> Iterator[Word]:
    for code, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if code == "equal":
            yield Word("".join(old[a:b]), True, True)
            continue
        if b > a:
            yield Word("".join(old[a:b]), True, False)
        if d > c:
            yield Word("".join(new[c:d]), False, True)
