"""A checklist while it is being edited: whatever was typed, right or wrong, as one value that travels in the form.

Nothing here touches the database: a draft is saved by `editing.save_template` or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage, slug
from checklists.editing import Fault, faults
from checklists.tminus import Offset


class DraftError(Exception):
    """The posted draft cannot be read."""


@dataclass
class ItemDraft:
    title: str = ""
    guidance: str = ""
    role: str = ""
    kind: str = Kind.CHECK.value
    required: bool = True
    condition: str = ""
    bound_to_window: bool = False
    evidence_wanted: bool = False
    group: str = ""
    watch_min: str = ""  # minutes, as typed
    watch_max: str = ""


@dataclass
class PhaseDraft:
    name: str = ""
    stage: str = Stage.PREPARATION.value
    opens: str = ""
    due: str = ""
    note: str = ""
    items: list[ItemDraft] = field(default_factory=list)


@dataclass
class RoleDraft:
    name: str = ""
    responsibility: str = ""
    required: bool = False


@dataclass
class SeatDraft:
    role: str = ""
    required: bool = True


Row = ItemDraft | PhaseDraft | RoleDraft | SeatDraft
R = TypeVar("R", ItemDraft, PhaseDraft, RoleDraft, SeatDraft)
ROWS: Final[dict[str, type[Row]]] = {"phases": PhaseDraft, "items": ItemDraft, "roles": RoleDraft, "seats": SeatDraft}


@dataclass
class Draft:
    name: str = ""
    description: str = ""
    closing: str = ""
    phases: list[PhaseDraft] = field(default_factory=list)
    roles: list[RoleDraft] = field(default_factory=list)
    seats: list[SeatDraft] = field(default_factory=list)
    removed: list[tuple[str, Row]] = field(default_factory=list)  # newest last, so removing can be undone

    # Rows: `phases`, `phases.2`, `phases.2.items`, `phases.2.items.3`, `roles.0`, `seats.1`

    def rows(self, path: str) -> list[Any]:
        """The list at `path`. KeyError, IndexError or ValueError when there is none."""
        steps = path.split(".")
        if len(steps) == 3 and (steps[0], steps[2]) == ("phases", "items"):
            return self.phases[_index(steps[1])].items
        lists: dict[str, list[Any]] = {"phases": self.phases, "roles": self.roles, "seats": self.seats}
        return lists[path]

    def add(self, path: str) -> str:
        """Append an empty row to the list at `path`; return the row's path."""
        rows = self.rows(path)
        rows.append(ROWS[path.rpartition(".")[2]]())
        return f"{path}.{len(rows) - 1}"

    def remove(self, path: str) -> str:
        rows, index, parent = self._at(path)
        self.removed = [*self.removed, (path, rows.pop(index))][-20:]
        return f"{parent}.{min(index, len(rows) - 1)}" if rows else parent

    def undo(self) -> str:
        """Put the row removed last back where it was."""
        path, row = self.removed.pop()
        parent, _, index = path.rpartition(".")
        try:
            rows = self.rows(parent)
        except (IndexError, KeyError):  # its phase is gone too
            parent, rows = "phases.0.items", self.phases[0].items
        rows.insert(int(index), row)
        return f"{parent}.{min(int(index), len(rows) - 1)}"

    def move(self, path: str, by: int) -> str:
        """Move a row up (-1) or down (1); an item at the edge goes over into the neighbouring phase."""
        rows, index, parent = self._at(path)
        if 0 <= index + by < len(rows):
            rows[index], rows[index + by] = rows[index + by], rows[index]
            return f"{parent}.{index + by}"
        steps = path.split(".")
        if len(steps) == 4 and 0 <= _index(steps[1]) + by < len(self.phases):
            target = _index(steps[1]) + by
            there = self.phases[target].items
            place = len(there) if by < 0 else 0
            there.insert(place, rows.pop(index))
            return f"phases.{target}.items.{place}"
        return path

    def _at(self, path: str) -> tuple[list[Any], int, str]:
        parent, _, last = path.rpartition(".")
        rows, index = self.rows(parent), _index(last)
        if index >= len(rows):
            raise IndexError(path)
        return rows, index, parent

    def rename_role(self, old: str, new: str) -> None:
        """Follow a role's new name in items and seats."""
        rows: list[ItemDraft | SeatDraft] = [item for phase in self.phases for item in phase.items]
        for row in [*rows, *self.seats]:
            if old and slug(row.role) == slug(old):
                row.role = new

    # In and out

    @classmethod
    def of(cls, plan: Blueprint) -> Draft:
        phases = [
            PhaseDraft(
                name=phase.name,
                stage=phase.stage.value,
                opens=str(phase.opens or ""),
                due=str(phase.due or ""),
                note=phase.note,
                items=[ItemDraft(**_typed(item)) for item in phase.items],
            )
            for phase in plan.phases
        ]
        return cls(
            name=plan.name,
            description=plan.description,
            closing=plan.closing,
            phases=phases,
            roles=[RoleDraft(**_typed(role)) for role in plan.roles],
            seats=[SeatDraft(**_typed(seat)) for seat in plan.seats],
        )

    def dumps(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Draft:
        """Read what `dumps` wrote. DraftError for anything else: a form can be tampered with."""
        try:
            data = json.loads(text)
            phases = [_row(PhaseDraft, {**row, "items": []}) for row in data["phases"]]
            for phase, row in zip(phases, data["phases"], strict=True):
                phase.items = [_row(ItemDraft, item) for item in row["items"]]
            return cls(
                **{name: _string(data[name]) for name in ("name", "description", "closing")},
                phases=phases,
                roles=[_row(RoleDraft, row) for row in data["roles"]],
                seats=[_row(SeatDraft, row) for row in data["seats"]],
                removed=[_gone(path, row) for path, row in data["removed"]],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as failure:
            raise DraftError("The draft in this form cannot be read. Nothing was saved.") from failure

    def read(self) -> tuple[Blueprint, list[Fault]]:
        """Return the plan and everything that is wrong with it; what cannot be read is left out of the plan."""
        found: list[Fault] = []
        phases = tuple(self._phase(phase, f"phases.{p}", found) for p, phase in enumerate(self.phases))
        plan = Blueprint(
            name=self.name,
            description=self.description,
            phases=phases,
            roles=tuple(RolePlan(**asdict(role)) for role in self.roles),
            seats=tuple(SeatPlan(**asdict(seat)) for seat in self.seats),
            closing=self.closing,
        )
        return plan, [*found, *faults(plan)]

    def _phase(self, phase: PhaseDraft, path: str, found: list[Fault]) -> PhasePlan:
        return PhasePlan(
            name=phase.name,
            stage=_choice(Stage, phase.stage, path, "stage", found),
            opens=_offset(phase.opens, path, "opens", found),
            due=_offset(phase.due, path, "due", found),
            note=phase.note,
            items=tuple(_item(item, f"{path}.items.{i}", found) for i, item in enumerate(phase.items)),
        )


def _item(item: ItemDraft, path: str, found: list[Fault]) -> ItemPlan:
    values = asdict(item) | {
        "kind": _choice(Kind, item.kind, path, "kind", found),
        "watch_min": _minutes(item.watch_min, path, "watch_min", found),
        "watch_max": _minutes(item.watch_max, path, "watch_max", found),
    }
    return ItemPlan(**values)


E = TypeVar("E", Kind, Stage)


def _choice(enum: type[E], value: str, path: str, name: str, found: list[Fault]) -> E:
    try:
        return enum(value)
    except ValueError:
        found.append(Fault(path, name, f"There is no {name} “{value[:40]}”."))
        return next(iter(enum))


def _offset(text: str, path: str, name: str, found: list[Fault]) -> Offset | None:
    try:
        return Offset.parse(text) if text.strip() else None
    except ValueError as failure:
        found.append(Fault(path, name, str(failure)))
        return None


def _minutes(text: str, path: str, name: str, found: list[Fault]) -> int:
    if not text.strip():
        return 0
    if text.strip().isdecimal() and len(text.strip()) <= 6:
        return int(text)
    found.append(Fault(path, name, f"“{text[:40]}” is no number of minutes. Write 15, for example."))
    return 0


def _typed(plan: ItemPlan | RolePlan | SeatPlan) -> dict[str, Any]:
    """The values as somebody would type them."""
    values = asdict(plan)
    for name in ("watch_min", "watch_max"):
        if name in values:
            values[name] = str(values[name] or "")
    return values | ({"kind": plan.kind.value} if isinstance(plan, ItemPlan) else {})


def _index(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ValueError(text)
    return int(text)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _row(kind: type[R], data: Mapping[str, Any]) -> R:
    row = kind()
    for spec in fields(row):
        value = data[spec.name]
        if type(value) is not type(getattr(row, spec.name)):
            raise TypeError(spec.name)
        setattr(row, spec.name, value)
    return row


def _gone(path: object, data: Mapping[str, Any]) -> tuple[str, Row]:
    path = _string(path)
    name = path.split(".")[-2]
    _index(path.split(".")[-1])
    if name == "phases":
        phase = _row(PhaseDraft, {**data, "items": []})
        phase.items = [_row(ItemDraft, item) for item in data["items"]]
        return path, phase
    return path, _row(ROWS[name], data)  # type: ignore[type-var]
