"""What a checklist means without saying so: small tables of rules, each a pattern and what follows from it.

Every rule can be overruled by an explicit mark (see `marks`). Roles are inferred only where the text names one, or
where a role's responsibility names the duty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from checklists.blueprints import Kind, RolePlan, SeatPlan, Stage, slug
from checklists.tminus import Anchor, Offset

LONGEST_LIST = 5_000  # characters a line of attendees may have
READ_AHEAD = 600  # characters of a guidance that inference looks at

# Roles people commonly write about; looked for only in checklists without a list of roles.
COMMON_ROLES = (
    "Release Coordinator", "Release Manager", "Project Manager", "Product Manager", "Product Owner", "QA Lead",
    "Tech Lead", "Engineering Manager", "Security Champion", "Security Lead", "Risk Champion", "On-call Engineer",
    "Business Stakeholder", "Support Lead", "Incident Commander",
)  # fmt: skip
COORDINATORS = ("release-coordinator", "release-manager", "release-lead", "release-captain", "release-engineer")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


# Headings

ROLES_HEADING = _pattern(r"\b(?:roles|responsibilities|raci)\b")
SEATS_HEADING = _pattern(
    r"\b(?:attendees|voters|seats|participants)\b|^(?:final )?(?:sign-?offs?|approvals|approvers)$"
)
IF_NEEDED = _pattern(r"(?:only )?(?:if|when|as) (?:needed|necessary|required)")
_LAST_PARENTHESIS = re.compile(r"\(([^()]{1,80})\)$")
_LEADING_OFFSET = _pattern(r"(t ?[-+\u2010-\u2014\u2212] ?\d{1,5} ?[a-z]{1,7})[\s:,\u2013\u2014|-]+(\S.*)")

_STAGES: tuple[tuple[Stage, re.Pattern[str]], ...] = (
    (Stage.CONTINGENCY, _pattern(r"\broll(?:ing)?[- ]?back|\bback-?out\b|\bcontingency\b|\babort\b|\bthings go wrong")),
    (Stage.DECISION, _pattern(r"\bgo ?(?:/|-|or) ?no[- ]?go\b|\bdecision\b|\blaunch review\b")),
    (Stage.PREPARATION, _pattern(r"\bpre-?(?:release|deploy|flight|launch|prod)|\bprepar|\breadiness\b|\bstaging\b")),
    (
        Stage.POST_DEPLOYMENT,
        _pattern(r"\bpost-?(?:release|deploy|launch|prod)|\bafter\b|\bfollow-?up|\bclos(?:e|ing|ure)\b"),
    ),
    (
        Stage.PRODUCTION,
        _pattern(r"\bprod(?:uction)?\b|\bgo-?live\b|\broll-?out\b|\bcut-?over\b|\b(?:release|launch) day"),
    ),
)


class HeadingWords(NamedTuple):
    """A heading without its offset. `if_needed` is what a contingency says behind its name, "" otherwise."""

    name: str
    opens: Offset | None = None
    due: Offset | None = None
    if_needed: str = ""


def heading(text: str) -> HeadingWords:
    """Read "Staging (T-minus 1 day)", "T-3d: Freeze", "Checks - T-4h", "Wrap-up (Within 2 hours)", "Release day"."""
    text, if_needed = text.strip(), ""
    if (found := _LAST_PARENTHESIS.search(text)) and found.start() and IF_NEEDED.fullmatch(found[1].strip()):
        text, if_needed = text[: found.start()].rstrip(), found[0]
    name, moments = _name_and_moments(text)
    opens, due = moments or (None, None)
    return HeadingWords(name, opens, due, if_needed)


def stage_of(name: str, opens: Offset | None, *, if_needed: bool, before: Stage | None) -> Stage:
    """Return the stage a phase belongs to: by its name, else by its offset, else that of the phase before it."""
    for stage, pattern in _STAGES:
        if pattern.search(name):
            return stage
    if if_needed:
        return Stage.CONTINGENCY
    if opens:
        if opens.anchor is Anchor.DEPLOYED:
            return Stage.POST_DEPLOYMENT
        return Stage.PREPARATION if opens.is_before else Stage.PRODUCTION
    return before if before in (Stage.PRODUCTION, Stage.POST_DEPLOYMENT) else Stage.PREPARATION


def names_a_stage(name: str) -> bool:
    return any(pattern.search(name) for _stage, pattern in _STAGES)


def opens_by_stage(stage: Stage) -> Offset | None:
    """When a phase opens whose heading does not say: production at T-0, what follows when the deployment ends."""
    return {Stage.PRODUCTION: Offset(), Stage.POST_DEPLOYMENT: Offset(Anchor.DEPLOYED)}.get(stage)


def _name_and_moments(text: str) -> tuple[str, tuple[Offset, Offset | None] | None]:
    found = _LAST_PARENTHESIS.search(text)
    if found and (name := text[: found.start()].rstrip()) and (moments := _moments(found[1])):
        return name, moments
    if moments := _moments(text):
        return text, moments
    for place in re.finditer(r":\s|\s[-\u2013\u2014|]\s", text[:400]):
        before, behind = text[: place.start()].strip(), text[place.end() :].strip()
        for moment, name in ((before, behind), (behind, before)):
            if name and (moments := _moments(moment)):
                return name, moments
    if (found := _LEADING_OFFSET.fullmatch(text)) and (moments := _moments(found[1])):
        return found[2], moments
    return text, None


def _moments(text: str) -> tuple[Offset, Offset | None] | None:
    """Read one offset, or two as in "T-3d to T-1d"; "within 2 hours" opens at once and is due then."""
    if len(text) > 80:
        return None
    first, to, last = text.partition(" to ")
    try:
        opens, due = Offset.parse(first), Offset.parse(last) if to else None
    except ValueError:
        return None
    if opens.anchor is Anchor.DEPLOYED and not opens.is_zero and not due:
        return Offset(Anchor.DEPLOYED), opens
    return opens, due


# Seats

_ATTENDEES = _pattern(
    r"[*_]{0,3}(?P<label>(?:[\w/-]{1,20} ){0,4}(?:attendees|participants|voters|seats|attending))"
    r"[*_]{0,3} ?: ?[*_]{0,3} ?(?P<names>.*)"
)
_OPTIONAL = _pattern(r" ?\((?:optional|if available)\)$")
_REQUIRED = _pattern(r" ?\((?:required|must attend)\)$")


def attendees(line: str) -> tuple[bool, str] | None:
    """Read "Meeting attendees: A, B"; return whether all are required, and the names as they stand."""
    found = _ATTENDEES.fullmatch(line.strip()) if len(line) < LONGEST_LIST else None
    return ("optional" not in found["label"].casefold(), found["names"].strip()) if found else None


def seat_names(text: str) -> list[tuple[str, bool]]:
    """Split "A, B and C (optional)" into names and whether their seat is required."""
    parts = [part.strip() for part in re.split(r"[,;]", text)]
    parts = [part.removeprefix("and ").strip() for part in parts] if len(parts) > 1 else re.split(r" and | & ", text)
    seats = []
    for part in parts:
        name = part.strip().rstrip(".")
        optional = _OPTIONAL.search(name)
        name = _REQUIRED.sub("", _OPTIONAL.sub("", name)).strip()
        if name:
            seats.append((name, optional is None))
    return seats


# Roles

_DUTY_ON_CALL = _pattern(r"\bon-?call\b")
_SIGN_OFF = _pattern(r"\bsign(?:ed|s)?[- ]?off\b|\bapprov(?:es?|al)\b")
_SIGN_OFF_OF = _pattern(r"\b(\w{2,20}) (?:final )?sign-?off\b")
_NOT_THE_DOER = r"(?!,? (?:and \w+ )?(?:is |are |was |were |has been |have been )?(?:informed|notified|briefed|told))"


class Duty(NamedTuple):
    """Items that match `item` belong to the role whose responsibility (or name) matches `role`."""

    item: re.Pattern[str]
    role: re.Pattern[str]


_DUTIES = (
    Duty(
        _pattern(
            r"\bstakeholders?\b.{0,60}\b(?:notif|inform|brief|update)"
            r"|\b(?:notif|inform|brief|update).{0,60}\bstakeholder"
        ),
        _pattern(r"\bstakeholder communication"),
    ),
    Duty(_pattern(r"\b(?:run|execute)\w{0,3} (?:\w+ )?smoke tests"), _pattern(r"\b(?:runs?|executes?) smoke tests")),
    Duty(_pattern(r"\bassess\w{0,3} (?:the )?risks?\b"), _pattern(r"\brisk assessment")),
)  # fmt: skip
_COORDINATES = _pattern(r"\bgo/?no-?go call\b")


@dataclass
class _Known:
    name: str
    folded: str
    responsibility: str
    doer: re.Pattern[str]


class RoleBook:
    """The roles of one checklist, and how its text names them."""

    def __init__(self, roles: Iterable[RolePlan], seats: Iterable[SeatPlan] = ()) -> None:
        duties = {role.name: role.responsibility for role in roles}
        common = () if duties else COMMON_ROLES
        named = {slug(name): name for name in (*duties, *(seat.role for seat in seats))}
        self._own = {key: name for key, name in named.items() if key}
        names = dict.fromkeys((*self._own.values(), *(name for name in common if slug(name) not in named)))
        self._known = [_Known(name, name.casefold(), duties.get(name, ""), _doer(name)) for name in names]

    def doer(self, *texts: str) -> str:
        """Return the role that the text says acts: at the start of a sentence, behind "by", or as "X's approval"."""
        for text in texts:
            folded = text.casefold()
            named = [role for role in self._known if role.folded in folded]
            found = [(place.start(), role.name) for role in named if (place := role.doer.search(text))]
            if found:
                return min(found)[1]
        return ""

    def signing(self, text: str) -> str:
        """Return the one role whose name begins like the word before "sign-off", as in "QA sign-off"."""
        word = _SIGN_OFF_OF.search(text)
        matching = [role.name for role in self._known if word and slug(role.name).startswith(f"{slug(word[1])}-")]
        return matching[0] if len(matching) == 1 else ""

    def coordinator(self) -> str:
        """Return who makes the call: by name, else by responsibility; without any list of roles the usual one."""
        by_duty = (role.name for role in self._known if _COORDINATES.search(role.responsibility))
        by_name = (self._own[key] for key in COORDINATORS if key in self._own)
        usual = (role.name for role in self._known if role.name == COMMON_ROLES[0])
        return next(by_name, "") or next(by_duty, "") or next(usual, "")

    def on_call(self) -> str:
        return next((role.name for role in self._known if _DUTY_ON_CALL.search(role.name)), "")

    def by_duty(self, text: str) -> str:
        for duty in _DUTIES:
            if duty.item.search(text):
                return next((role.name for role in self._known if duty.role.search(role.responsibility)), "")
        return ""


def _doer(name: str) -> re.Pattern[str]:
    role = re.escape(name[:80])
    role = f"(?<!\\w){role}(?!\\w)"
    return _pattern(
        rf"(?:^|(?<=[.;!?])\s+)(?:the )?{role}{_NOT_THE_DOER}"
        rf"|\bby (?:the )?{role}"
        rf"|{role}(?:'s|\u2019s)? (?:\w{{1,20}} ){{0,2}}(?:sign-?off|approv|confirm|review|acknowledg)"
    )


# Items


@dataclass(frozen=True)
class Meaning:
    """What an item's words say of it beyond themselves."""

    role: str
    kind: Kind
    required: bool
    condition: str
    bound_to_window: bool
    watch: tuple[int, int]  # minutes at least, and until the verdict; (0, 0) unless the kind is a watch


_CONDITION = _pattern(r"\(((?:only )?(?:if|when|where|as|for) (?!example\b|instance\b)[^()]{1,100}|[^()]{1,60} only)\)")
_BARE_CONDITION = _pattern(
    r"\b((?:if|as|where|when) (?:applicable|needed|required|necessary|appropriate))\s*(?:[.;,)]|$)"
)
_OPTIONAL_ITEM = _pattern(r"\((?:optional|nice to have)\)")
_BOUND = _pattern(
    r"\bstakeholders?\b.{0,40}\bnotif|\bnotif\w{0,8} stakeholder"
    r"|\bon-?call (?:coverage|engineer)|\bavailable during (?:the )?deployment|\bcommunications? plan\b"
    r"|\b(?:backups?|snapshots?)\b.{0,20}\b(?:taken|created|completed|made|verified)"
)
_MINUTES = _pattern(r"\b(\d{1,4}) ?(?:(?:-|\u2013|to) ?(\d{1,4}) ?)?(minutes?|mins?|hours?|hrs?)\b")
_DECISION = _pattern(
    r"\bdecision\b.{0,30}\b(?:made|taken|recorded|documented)|\b(?:make|take|record|document) .{0,30}\bdecision"
    r"|^go ?/ ?no-?go(?: call| decision)?$"
)
_COMPUTED = _pattern(r"\breadiness\b")
_AVAILABLE = _pattern(r"\baware\b|\bavailable\b|\bcoverage\b|\backnowledg")
_WATCHING = _pattern(r"\b(?:monitor|watch|observe|soak|bake)")
_CLOSES = _pattern(r"\bclos(?:e|es|ed|ing)\b.{0,30}\b(?:ticket|issue|release|tracker|tracking)")

# The first rule that holds gives the kind; each gets the title, title and guidance together, and the stage.
_KINDS: tuple[tuple[Kind, Callable[[str, str, Stage], bool]], ...] = (
    (Kind.STEP, lambda _title, _text, stage: stage is Stage.CONTINGENCY),
    (Kind.DECISION, lambda title, _text, stage: stage is Stage.DECISION and bool(_DECISION.search(title))),
    (Kind.COMPUTED, lambda title, _text, stage: stage is Stage.DECISION and bool(_COMPUTED.search(title))),
    (Kind.SIGN_OFF, lambda title, _text, _stage: bool(_SIGN_OFF.search(title))),
    (Kind.ACKNOWLEDGE, lambda title, text, _stage: bool(_DUTY_ON_CALL.search(title) and _AVAILABLE.search(text))),
    (Kind.WATCH, lambda title, text, stage: stage is Stage.PRODUCTION and _is_watch(title, text)),
    (Kind.CLOSE, lambda title, _text, stage: stage is Stage.POST_DEPLOYMENT and bool(_CLOSES.search(title))),
)


def meaning(title: str, guidance: str, stage: Stage, book: RoleBook, kind: Kind | None = None) -> Meaning:
    """Infer what is not marked; `kind` is the marked kind, if any, and decides what else follows."""
    guidance = guidance[:READ_AHEAD]
    text = f"{title}. {guidance}"
    named = book.doer(guidance, title)
    kind = kind or next((kind for kind, holds in _KINDS if holds(title, text, stage)), Kind.CHECK)
    role = _role(kind, named, title, text, book)
    if kind in (Kind.SIGN_OFF, Kind.ACKNOWLEDGE) and not role:
        kind = Kind.CHECK  # nobody to give it
    condition = _CONDITION.search(text) or _BARE_CONDITION.search(text)
    early = stage in (Stage.PREPARATION, Stage.DECISION)
    return Meaning(
        role=role,
        kind=kind,
        required=not _OPTIONAL_ITEM.search(text),
        condition=condition[1].strip(" _*") if condition else "",
        bound_to_window=early and bool(_BOUND.search(text)),
        watch=(minutes(text) or (0, 0)) if kind is Kind.WATCH else (0, 0),
    )


def _is_watch(title: str, text: str) -> bool:
    return bool(_WATCHING.search(title) and minutes(text))


def minutes(text: str) -> tuple[int, int] | None:
    """Read "15-30 minutes" or "1 hour" as minutes at least and at most."""
    found = _MINUTES.search(text)
    if not found:
        return None
    unit = 60 if found[3].casefold().startswith("h") else 1
    least, most = int(found[1]) * unit, int(found[2] or found[1]) * unit
    return (least, most) if 0 < least <= most <= 1440 else None


def _role(kind: Kind, named: str, title: str, text: str, book: RoleBook) -> str:
    if kind in (Kind.DECISION, Kind.COMPUTED):
        return book.coordinator() if kind is Kind.DECISION else ""
    if kind is Kind.ACKNOWLEDGE:
        return named or book.on_call()
    return named or (book.signing(title) if kind is Kind.SIGN_OFF else "") or book.by_duty(text)
