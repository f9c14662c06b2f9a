"""From a blueprint to Markdown that reads back as the same blueprint.

The text is written as a person would, read again, and marked where it reads differently, until it does not. What no
plain text can carry (a title with a line break, say) ends up in marks alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from checklists.blueprints import Blueprint, ItemPlan, PhasePlan, RolePlan, Stage
from checklists.markdown import inference, marks
from checklists.markdown.inline import escape
from checklists.markdown.reading import read
from checklists.tminus import Anchor, Offset

ROUNDS = 8  # a mark changes what is inferred beside it, so the text is read again after each few
LEADING = ("title", "guidance", "kind")  # what the rest of an item is inferred from
ROLES_HEADING = "Roles and Responsibilities"

Place = tuple[str | int, ...]  # ("document",), ("phase", 0), ("item", 0, 3), ("role", 2)
Values = dict[str, marks.Value | bool]


@dataclass(frozen=True)
class Progress:
    """What happened in a release, by phase and item, both counted from 0. `lines` are single lines of plain text."""

    done: frozenset[tuple[int, int]] = frozenset()
    lines: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)


@dataclass
class _Plan:
    """What has to be said explicitly, by place; `regions` are texts between two comments."""

    marks: dict[Place, Values] = field(default_factory=dict)
    regions: set[Place] = field(default_factory=set)
    bare: bool = False  # marks alone, no plain text

    def add(self, place: Place, values: Values) -> None:
        self.marks.setdefault(place, {}).update(values)


def write(blueprint: Blueprint, progress: Progress | None = None) -> str:
    """Return the most readable text that reads back as `blueprint`."""
    for plan in (_Plan(), _guarded(blueprint), _bare(blueprint)):
        if _settle(blueprint, plan):
            return _Writer(blueprint, plan, progress or Progress()).text()
    raise AssertionError("A blueprint in marks alone must read back.")


def _settle(blueprint: Blueprint, plan: _Plan) -> bool:
    """Add marks to `plan` until its text reads back; False if its sections do not even correspond."""
    for _ in range(ROUNDS):
        found = read(_Writer(blueprint, plan, Progress()).text(), limited=False).blueprint
        if found == blueprint:
            return True
        if not _compare(blueprint, found, plan):
            return False
    return False


def _guarded(blueprint: Blueprint) -> _Plan:
    """Every phase says that it is one, and texts that could be taken for something else stand between comments."""
    plan = _Plan()
    for at, phase in enumerate(blueprint.phases):
        plan.add(("phase", at), {"stage": phase.stage.value})
        if phase.note:
            plan.regions.add(("phase", at))
    plan.regions |= {(key,) for key in ("description", "closing") if getattr(blueprint, key)}
    return plan


def _bare(blueprint: Blueprint) -> _Plan:
    """Everything in marks."""
    plan = _Plan(bare=True)
    seats: list[object] = [[seat.role, seat.required] for seat in blueprint.seats]
    texts: Values = {key: getattr(blueprint, key) for key in ("name", "description", "closing")}
    plan.add(("document",), {**texts, "seats": seats, "roles": "as listed"})
    for at, phase in enumerate(blueprint.phases):
        plan.add(("phase", at), _phase_values(phase))
        for index, item in enumerate(phase.items):
            plan.add(("item", at, index), _item_values(item))
    for at, role in enumerate(blueprint.roles):
        plan.add(("role", at), _role_values(role))
    return plan


# What differs


def _compare(wanted: Blueprint, found: Blueprint, plan: _Plan) -> bool:
    """Mark what `found` has differently; False if phases, items or roles do not correspond one to one.

    What other things follow from is marked first, and the rest only when it still differs afterwards.
    """
    counts = [len(phase.items) for phase in wanted.phases]
    if counts != [len(phase.items) for phase in found.phases] or len(found.roles) < len(wanted.roles):
        return False
    if len(found.roles) > len(wanted.roles):
        plan.add(("document",), {"roles": "as listed"})
    _compare_texts(wanted, found, plan)
    pairs = list(zip(wanted.phases, found.phases, strict=True))
    leading: dict[Place, Values] = {}
    following: dict[Place, Values] = {}
    for at, (phase, other) in enumerate(pairs):
        leading["phase", at] = _phase_differences(at, phase, other, plan)
        for index, (item, other_item) in enumerate(zip(phase.items, other.items, strict=True)):
            differing = _differing(_item_values(item), _item_values(other_item))
            leading["item", at, index] = {key: differing.pop(key) for key in LEADING if key in differing}
            following["item", at, index] = differing
    roles: dict[Place, Values] = {
        ("role", at): _differing(_role_values(role), _role_values(other_role))
        for at, (role, other_role) in enumerate(zip(wanted.roles, found.roles, strict=False))
    }
    for differences in (leading, following, roles):
        if any(differences.values()):
            for place, values in differences.items():
                plan.add(place, values)
            break
    return True


def _phase_differences(at: int, phase: PhasePlan, found: PhasePlan, plan: _Plan) -> Values:
    differing = _differing(_phase_values(phase), _phase_values(found))
    if "note" in differing and ("phase", at) not in plan.regions and _fits_region(phase.note):
        plan.regions.add(("phase", at))
        del differing["note"]
    return differing


def _compare_texts(wanted: Blueprint, found: Blueprint, plan: _Plan) -> None:
    if wanted.name != found.name:
        plan.add(("document",), {"name": wanted.name})
    for key in ("description", "closing"):
        text = getattr(wanted, key)
        if text == getattr(found, key):
            continue
        if (key,) not in plan.regions and _fits_region(text):
            plan.regions.add((key,))
        else:
            plan.add(("document",), {key: text})
    if wanted.seats != found.seats:
        plan.add(("document",), {"seats": [[seat.role, seat.required] for seat in wanted.seats]})


def _differing(wanted: Values, found: Values) -> Values:
    return {key: value for key, value in wanted.items() if value != found[key]}


def _phase_values(phase: PhasePlan) -> Values:
    opens, due = ("stage" if offset is None else str(offset) for offset in (phase.opens, phase.due))
    return {"name": phase.name, "stage": phase.stage.value, "opens": opens, "due": due, "note": phase.note}


def _item_values(item: ItemPlan) -> Values:
    watch: list[object] = [item.watch_min, item.watch_max]
    return {
        "title": item.title,
        "guidance": item.guidance,
        "role": item.role,
        "kind": item.kind.value,
        "required": item.required,
        "condition": item.condition,
        "window": item.bound_to_window,
        "evidence": item.evidence_wanted,
        "watch": f"{item.watch_min}-{item.watch_max}" if 0 < item.watch_min <= item.watch_max <= 1440 else watch,
        "group": item.group,
    }


def _role_values(role: RolePlan) -> Values:
    return {"name": role.name, "responsibility": role.responsibility, "required": role.required}


# The text


class _Writer:
    """Writes one text; marks in the plan stand beside the words, or instead of them."""

    def __init__(self, blueprint: Blueprint, plan: _Plan, progress: Progress) -> None:
        self.blueprint = blueprint
        self.plan = plan
        self.progress = progress

    def text(self) -> str:
        return "\n\n".join(part for part in self._parts() if part) + "\n"

    def _parts(self) -> Iterator[str]:
        """The paragraphs of the document."""
        blueprint, document = self.blueprint, self.plan.marks.get(("document",), {})
        if blueprint.name.strip() and not self.plan.bare:
            yield f"# {_heading_words(blueprint.name)}"
        yield marks.write(document) if document else ""
        yield self._long_text("description", blueprint.description)
        seats_at = self._phase_of_seats()
        for at, phase in enumerate(blueprint.phases):
            yield from self._phase(at, phase, seats=at == seats_at)
        if blueprint.roles:
            yield f"## {ROLES_HEADING}"
            yield "\n".join(self._role(at, role) for at, role in enumerate(blueprint.roles))
        if closing := self._long_text("closing", blueprint.closing):
            yield "---"
            yield closing

    def _long_text(self, key: str, text: str) -> str:
        if key in self.plan.marks.get(("document",), {}) or not text:
            return ""
        return _region(key, text) if (key,) in self.plan.regions else text

    def _phase_of_seats(self) -> int:
        """The phase that lists the attendees, or -1 if marks do."""
        if "seats" in self.plan.marks.get(("document",), {}) or not self.blueprint.seats:
            return -1
        stages = [phase.stage for phase in self.blueprint.phases]
        return stages.index(Stage.DECISION) if Stage.DECISION in stages else -1

    def _phase(self, at: int, phase: PhasePlan, *, seats: bool) -> Iterator[str]:
        marked = self.plan.marks.get(("phase", at), {})
        words = "" if self.plan.bare else _heading_words(phase.name) + _moment_words(phase)
        yield f"## {words} {marks.write(marked) if marked else ''}".rstrip()
        if seats:
            yield f"Meeting attendees: {', '.join(self._seats())}"
        note = "" if "note" in marked else phase.note
        if note and ("phase", at) in self.plan.regions:
            note = _region("note", note)
        if phase.stage is Stage.CONTINGENCY or note.startswith("<!-- note -->"):
            yield note
            note = ""
        yield from self._items(at, phase)
        yield note

    def _items(self, at: int, phase: PhasePlan) -> Iterator[str]:
        """The items, in one block for each group."""
        block: list[str] = []
        group = ""
        for index, item in enumerate(phase.items):
            if item.group != group and item.group and not self.plan.bare:
                group = item.group
                yield "\n".join(block)
                yield f"### {_heading_words(group)}"
                block = []
            block.append(self._item((at, index), item, phase.stage))
        yield "\n".join(block)

    def _item(self, place: tuple[int, int], item: ItemPlan, stage: Stage) -> str:
        marked = dict(self.plan.marks.get(("item", *place), {}))
        if not item.title.strip():
            marked["title"] = item.title
        numbered = stage is Stage.CONTINGENCY
        tick = "x" if place in self.progress.done else " "
        box = f"{place[1] + 1}. " if numbered else f"- [{tick}] "
        title = "" if self.plan.bare or not item.title.strip() else f"**{escape(_one_line(item.title))}**"
        first, rest = ("", []) if "guidance" in marked else _guidance_lines(item.guidance)
        if not title:
            first, rest = "", [first, *rest] if first else rest
        words = " - ".join(filter(None, (title, first)))
        line = f"{box}{words} {marks.write(marked)}" if marked else f"{box}{words}"
        indent = " " * (len(box) if numbered else 2)
        logged = [f"- {escape(_one_line(text))} <!-- log: yes -->" for text in self.progress.lines.get(place, ())]
        return "\n".join([line, *(f"{indent}{text}" if text else "" for text in [*rest, *logged])])

    def _seats(self) -> Iterator[str]:
        for seat in self.blueprint.seats:
            yield f"{escape(_one_line(seat.role))}{'' if seat.required else ' (optional)'}"

    def _role(self, at: int, role: RolePlan) -> str:
        marked = self.plan.marks.get(("role", at), {})
        name = "" if self.plan.bare else f"**{escape(_one_line(role.name))}**"
        duty = "" if "responsibility" in marked else role.responsibility
        first, *rest = duty.split("\n")
        words = f"{name}: {first}" if first else name
        line = f"- {words} {marks.write(marked)}" if marked else f"- {words}"
        return "\n".join([line, *(f"  {text}" if text else "" for text in rest)])


def _heading_words(name: str) -> str:
    words = escape(_one_line(name))
    return f"{words[:-1]}\\#" if words.endswith("#") else words


def _moment_words(phase: PhasePlan) -> str:
    """What stands in brackets behind the name of a phase, if it does not go without saying."""
    if phase.stage is Stage.CONTINGENCY and phase.opens is None:
        return " (If needed)"
    if phase.opens == Offset(Anchor.DEPLOYED) and phase.due and phase.due.rank > phase.opens.rank:
        return f" ({phase.due.as_heading()})"
    if phase.opens is None or phase.opens == inference.opens_by_stage(phase.stage):
        return ""
    return f" ({phase.opens.as_heading()})"


_STARTS_A_BLOCK = re.compile(r"\s*(?:[-*+#>|]|\d{1,9}[.)]|```|~~~|$)")


def _guidance_lines(guidance: str) -> tuple[str, list[str]]:
    """What goes on the line of the title, and what goes below it."""
    first, *rest = guidance.split("\n")
    return ("", [first, *rest] if guidance else []) if _STARTS_A_BLOCK.match(first) else (first, rest)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _region(name: str, text: str) -> str:
    return f"<!-- {name} -->\n{text}\n<!-- end of {name} -->"


def _fits_region(text: str) -> bool:
    return bool(text) and "<!-- end of " not in text and "\r" not in text
