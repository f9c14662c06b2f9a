"""The plan of a checklist as plain values: read by the importer, stored by a template, brought to life by a release.

Pure: no Django, no clock, no database. Everything is frozen and compares by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from checklists.tminus import Offset


class Kind(StrEnum):
    """What settling an item means (see `releases.items`)."""

    CHECK = "check"  # somebody of the role ticks it
    SIGN_OFF = "sign_off"  # formal approval, only by the role's holder or dated deputy, in person
    ACKNOWLEDGE = "acknowledge"  # the holder confirms for themselves
    COMPUTED = "computed"  # follows from the earlier phases; nobody ticks it
    DECISION = "decision"  # settled by recording the decision and by nothing else
    WATCH = "watch"  # starts, cannot end before its minimum, ends with a verdict
    STEP = "step"  # one step of a strictly ordered contingency
    CLOSE = "close"  # settling it closes the release


class Stage(StrEnum):
    """Where in a release's life a phase stands; decides in which release states its items may be ticked."""

    PREPARATION = "preparation"  # before the decision; ticking early is fine
    DECISION = "decision"  # the go/no-go phase; ticking early is fine
    PRODUCTION = "production"  # needs `deploying`
    POST_DEPLOYMENT = "post_deployment"  # needs `deployed`
    CONTINGENCY = "contingency"  # rollback steps, copied each time a rollback is triggered


@dataclass(frozen=True)
class ItemPlan:
    title: str
    guidance: str = ""  # Markdown
    role: str = ""  # name of a role of the blueprint; "" leaves the item to the coordinator
    kind: Kind = Kind.CHECK
    required: bool = True
    condition: str = ""  # "if applicable", "if needed", ...: not applicable is then an answer
    bound_to_window: bool = False  # reopens when the window moves
    evidence_wanted: bool = False  # cannot be done without a link or a note
    group: str = ""  # sub-heading inside the phase
    watch_min: int = 0  # minutes a watch lasts at least; 0 unless kind is WATCH
    watch_max: int = 0  # minutes after which the watch asks for its verdict

    @property
    def conditional(self) -> bool:
        return bool(self.condition)


@dataclass(frozen=True)
class PhasePlan:
    name: str
    stage: Stage = Stage.PREPARATION
    opens: Offset | None = None  # None: with the stage (deployment started, deployment finished, rollback triggered)
    due: Offset | None = None  # None: when the next phase opens
    note: str = ""  # Markdown, the lines of the phase that are no items
    items: tuple[ItemPlan, ...] = ()


@dataclass(frozen=True)
class RolePlan:
    name: str
    responsibility: str = ""
    required: bool = False  # a release without a holder for it alarms from creation

    @property
    def slug(self) -> str:
        return slug(self.name)


@dataclass(frozen=True)
class SeatPlan:
    """A role's place in the go/no-go poll. An optional seat never blocks."""

    role: str
    required: bool = True


@dataclass(frozen=True)
class Blueprint:
    name: str
    description: str = ""  # Markdown before the first phase
    phases: tuple[PhasePlan, ...] = ()
    roles: tuple[RolePlan, ...] = ()
    seats: tuple[SeatPlan, ...] = ()
    closing: str = ""  # Markdown after the last section ("Last updated: ...")

    @property
    def items(self) -> tuple[ItemPlan, ...]:
        return tuple(item for phase in self.phases for item in phase.items)

    def role(self, name: str) -> RolePlan | None:
        return next((role for role in self.roles if role.slug == slug(name)), None)


@dataclass(frozen=True)
class Problem:
    """Something the importer did not understand, or a usable template still lacks.

    `line` is 1-based in the source; 0 when the problem is of the whole document. `last_line` is set when the problem
    is about more than one line (a long comment). A `blocking` one keeps a release from being made of the template.
    """

    line: int
    message: str
    blocking: bool = False
    last_line: int = 0

    @property
    def lines(self) -> range:
        """Every source line the problem is about; empty for the whole document."""
        return range(self.line, max(self.line, self.last_line) + 1) if self.line else range(0)


@dataclass(frozen=True)
class Reading:
    """What `markdown.parse` returns: the blueprint, every line it could not place, and where each line went."""

    blueprint: Blueprint
    problems: tuple[Problem, ...] = ()
    lines_used: frozenset[int] = field(default_factory=frozenset)  # 1-based lines that ended up in the blueprint

    @property
    def usable(self) -> bool:
        return not any(problem.blocking for problem in self.problems)


def slug(name: str) -> str:
    """Return the identity of a role name: lower case, words joined by hyphens ("QA Lead" -> "qa-lead")."""
    words = "".join(char if char.isalnum() else " " for char in name.casefold()).split()
    return "-".join(words)
