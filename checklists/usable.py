"""What a checklist still lacks before a release may be made from it; for the importer, forms and `birth` alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from checklists.blueprints import Blueprint, Kind, PhasePlan, Problem, Stage, slug
from checklists.tminus import Anchor, Offset

TITLE_LENGTH = 300  # characters
NAME_LENGTH = 200  # of a phase, a group or a checklist
ROLE_LENGTH = 80
CONDITION_LENGTH = 120

_ORDER = {Stage.PREPARATION: 0, Stage.DECISION: 1, Stage.PRODUCTION: 2, Stage.POST_DEPLOYMENT: 3}
_EARLY = (Stage.PREPARATION, Stage.DECISION)


def lacks(blueprint: Blueprint, *, phase_lines: Sequence[int] = ()) -> tuple[Problem, ...]:
    """Return what is missing or contradicts itself, each with a sentence that says what would be right.

    Blocking is what a release could not live with: a gate with nothing to check, a poll without a seat, a moment that
    is unknown or out of order, a text too long to store. `phase_lines` are the source lines of the phases' headings.
    """
    if not blueprint.phases:
        sentence = (
            'The checklist has no phases. Give it headings with items below them, such as "- [ ] Run smoke tests".'
        )
        return (Problem(0, sentence, blocking=True),)
    return (
        *_whole(blueprint),
        *_gates(blueprint),
        *_people(blueprint),
        *_moments(blueprint, phase_lines),
        *_items(blueprint, phase_lines),
    )


def _whole(blueprint: Blueprint) -> Iterator[Problem]:
    if not blueprint.name.strip():
        yield _note("The checklist has no name. Give it one.")
    if len(blueprint.name) > NAME_LENGTH:
        yield _blocking(f"The name of the checklist is longer than {NAME_LENGTH} characters. Shorten it.")


def _gates(blueprint: Blueprint) -> Iterator[Problem]:
    """Each gate needs something to check: the decision, the end of the deployment, and closing."""
    stages = {phase.stage for phase in blueprint.phases}
    if Stage.DECISION not in stages:
        yield _blocking('No phase holds the go/no-go decision. Add one, such as "Go/No-Go Decision (T-minus 4 hours)".')
    decisions = sum(item.kind is Kind.DECISION for item in blueprint.items)
    if not decisions and Stage.DECISION in stages:
        yield _blocking('No item records the decision. Add one to the go/no-go phase, such as "Decision made".')
    if decisions > 1:
        yield _note(f"{decisions} items record the decision; one decision settles them all.")
    early = [item for phase in blueprint.phases if phase.stage in _EARLY for item in phase.items]
    if not any(item.kind not in (Kind.DECISION, Kind.COMPUTED) for item in early):
        yield _blocking("Nothing is checked before the decision, so a GO would rest on nothing. Add items before it.")
    for stage, where, verb in (
        (Stage.PRODUCTION, "production deployment", "finished"),
        (Stage.POST_DEPLOYMENT, "post-deployment", "closed"),
    ):
        if not any(phase.items for phase in blueprint.phases if phase.stage is stage):
            yield _blocking(f"No {where} phase has items, so nothing shows that a release may be {verb}. Add one.")
    if not any(item.kind is Kind.CLOSE for item in blueprint.items):
        yield _note("No item closes the release; its coordinator closes it by hand.")
    if Stage.CONTINGENCY not in stages:
        yield _note('There are no rollback steps. Add a phase such as "Rollback Procedure (If needed)".')


def _people(blueprint: Blueprint) -> Iterator[Problem]:
    if not blueprint.seats:
        yield _blocking('Nobody has a seat in the go/no-go poll. Name them, such as "Attendees: QA Lead, Developers".')
    elif not any(seat.required for seat in blueprint.seats):
        yield _note("Every seat in the poll is optional, so a GO needs nobody's vote.")
    for what, names in (
        ("roles are called", [role.name for role in blueprint.roles]),
        ("seats belong to", [seat.role for seat in blueprint.seats]),
    ):
        counted = Counter(slug(name) for name in names)
        for name in {slug(name): name for name in names if counted[slug(name)] > 1}.values():
            yield _blocking(f"Two {what} {name}. Keep one.")
    used = [role.name for role in blueprint.roles] + [seat.role for seat in blueprint.seats]
    for name in dict.fromkeys([*used, *(item.role for item in blueprint.items if item.role)]):
        if not slug(name):
            yield _blocking(f'The role "{name}" needs a letter or a digit in its name.')
        elif len(name) > ROLE_LENGTH:
            yield _blocking(f'The role name "{name[:40]}…" is longer than {ROLE_LENGTH} characters. Shorten it.')


def _moments(blueprint: Blueprint, lines: Sequence[int]) -> Iterator[Problem]:
    """Phases open in their order, and all up to the decision before T-0."""
    before: PhasePlan | None = None
    later = next((phase for phase in blueprint.phases if phase.stage is Stage.PRODUCTION), None)
    for at, phase in enumerate(blueprint.phases):
        if phase.stage is Stage.CONTINGENCY:
            continue
        line = lines[at] if at < len(lines) else 0
        name = f'"{phase.name}"'
        early = phase.stage in _EARLY
        if early and phase.opens is None:
            yield _blocking(
                f"{name} does not say when it opens. Add it to the heading, such as (T-minus 3 days).", line
            )
        elif early and phase.opens and not _is_before_t_zero(phase.opens):
            start = f'"{later.name}" starts' if later else "production starts"
            yield _blocking(f"{name} opens after {start} (T-0). Move it before T-0.", line)
        if phase.opens and phase.due and phase.due.rank < phase.opens.rank:
            yield _blocking(f"{name} is due ({phase.due}) before it opens ({phase.opens}). Move one of them.", line)
        if before:
            yield from _in_order(before, phase, line)
        before = phase


def _in_order(before: PhasePlan, phase: PhasePlan, line: int) -> Iterator[Problem]:
    name, other = f'"{phase.name}"', f'"{before.name}"'
    if _ORDER[phase.stage] < _ORDER[before.stage]:
        first, second = (stage.replace("_", "-") for stage in (phase.stage.value, before.stage.value))
        yield _blocking(f"{name} ({first}) stands behind {other} ({second}). Move it in front.", line)
    elif phase.opens and before.opens and phase.opens.rank < before.opens.rank:
        moments = f"({phase.opens}) before {other} ({before.opens})"
        yield _blocking(f"{name} opens {moments}, which it stands behind. Swap them or move one.", line)


def _is_before_t_zero(offset: Offset) -> bool:
    return offset.anchor is Anchor.T_ZERO and offset.is_before


def _items(blueprint: Blueprint, lines: Sequence[int]) -> Iterator[Problem]:
    for at, phase in enumerate(blueprint.phases):
        line = lines[at] if at < len(lines) else 0
        yield from _texts(phase, line)
        if not phase.items:
            yield _note(f'"{phase.name}" has no items.', line)
        for item in phase.items:
            title = f'"{item.title[:60]}" in "{phase.name}"'
            if item.kind is Kind.DECISION and phase.stage is not Stage.DECISION:
                yield _blocking(f"{title} records the decision outside the go/no-go phase. Move it there.", line)
            if item.kind in (Kind.SIGN_OFF, Kind.ACKNOWLEDGE) and not item.role:
                yield _note(f"{title} has no role, so nobody can give it until someone is assigned.", line)
            if item.kind is Kind.WATCH and not 0 < item.watch_min <= item.watch_max:
                yield _note(f"{title} does not say how many minutes to watch, such as 15-30 minutes.", line)


def _texts(phase: PhasePlan, line: int) -> Iterator[Problem]:
    """Nothing is empty that people must read, nothing longer than can be stored."""
    if not phase.name.strip():
        yield _blocking("A phase has no name. Give it one.", line)
    if len(phase.name) > NAME_LENGTH:
        yield _blocking(f'The phase "{phase.name[:40]}…" is longer than {NAME_LENGTH} characters. Shorten it.', line)
    for item in phase.items:
        if not item.title.strip():
            yield _blocking(f'An item of "{phase.name[:60]}" has no title. Give it one.', line)
        for text, what, length in (
            (item.title, "title", TITLE_LENGTH),
            (item.group, "group", NAME_LENGTH),
            (item.condition, "condition", CONDITION_LENGTH),
        ):
            if len(text) > length:
                yield _blocking(f'The {what} "{text[:40]}…" is longer than {length} characters. Shorten it.', line)


def _blocking(sentence: str, line: int = 0) -> Problem:
    return Problem(line, sentence, blocking=True)


def _note(sentence: str, line: int = 0) -> Problem:
    return Problem(line, sentence)
