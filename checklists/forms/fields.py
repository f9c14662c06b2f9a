"""The fields of a draft's rows. They only draw and label: what may be stored is decided by `editing.faults`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Self

from django import forms

from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, Stage, slug
from checklists.editing import LENGTHS, Fault, place

KINDS = [
    (Kind.CHECK, "check: somebody of the role ticks it"),
    (Kind.SIGN_OFF, "sign-off: its role approves, in person"),
    (Kind.ACKNOWLEDGE, "acknowledgement: its role confirms for itself"),
    (Kind.COMPUTED, "computed: follows from the earlier phases"),
    (Kind.DECISION, "decision: done by recording GO or NO-GO"),
    (Kind.WATCH, "watch: lasts a while, ends with a verdict"),
    (Kind.STEP, "step: strictly in order, for a rollback"),
    (Kind.CLOSE, "close: closes the release"),
]
STAGES = [
    (Stage.PREPARATION, "preparation, before the decision"),
    (Stage.DECISION, "the go/no-go decision"),
    (Stage.PRODUCTION, "production, while deploying"),
    (Stage.POST_DEPLOYMENT, "after the deployment"),
    (Stage.CONTINGENCY, "rollback, if needed"),
]
OFFSET_HINT = "T-3d, T-4h, T-0 or deployed+2h"


def _text(label: str, most: int | None = None, hint: str = "", **attributes: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", **({"maxlength": most} if most else {}), **attributes})
    return forms.CharField(label=label, required=False, help_text=hint, widget=widget, strip=False)


def _area(label: str, hint: str = "", rows: int = 3) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(label=label, required=False, help_text=hint, widget=widget, strip=False)


def _yes(label: str) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False)


class RowForm(forms.Form):
    """One row of the draft, bound to what was typed; faults of the row stand beside their fields."""

    use_required_attribute = False
    path = ""  # where the row is in the draft
    count = ""  # "item 3", for labels
    is_first = is_last = False

    @classmethod
    def showing(cls, row: Any, prefix: str, path: str, faults: Iterable[Fault], **options: Any) -> Self:
        values = {f"{prefix}-{name}": getattr(row, name) for name in cls.base_fields}
        form = cls(values, prefix=prefix, **options)
        form.path, form.count = path, place(path).lower() if path else ""
        for fault in faults:
            if fault.path == path:
                form.add_error(fault.field if fault.field in form.fields else None, fault.sentence)
        return form

    def take_focus(self) -> None:
        """Put the cursor into the first field: the row was just added."""
        next(iter(self.fields.values())).widget.attrs["autofocus"] = True

    def says(self, name: str) -> str:
        return str(self[name].value() or "")

    @property
    def words(self) -> str:
        """What a button of the row is about."""
        return next(
            (self.says(name) for name in ("title", "name", "role") if name in self.fields and self.says(name)), ""
        )


class AboutForm(RowForm):
    name = _text("Name", LENGTHS[Blueprint]["name"])
    description = _area("What it is for", "Markdown, shown above the phases.", rows=4)
    closing = _area("Closing words", "Markdown, shown below everything.", rows=2)


class PhaseForm(RowForm):
    name = _text("Phase", LENGTHS[PhasePlan]["name"])
    opens = _text("Opens", 60, placeholder=OFFSET_HINT)
    due = _text("Due", 60, placeholder="when the next opens")
    stage = forms.ChoiceField(label="Stage", choices=STAGES, required=False)
    note = _area("Note", "Markdown, shown above the items.", rows=2)

    @property
    def stage_words(self) -> str:
        return dict(STAGES).get(Stage(self.says("stage")), "") if self.says("stage") in list(Stage) else "no stage"


class ItemForm(RowForm):
    title = _text("Title", LENGTHS[ItemPlan]["title"])
    guidance = _area("Guidance", "Markdown: how to do it, what good looks like.")
    role = forms.ChoiceField(label="Role", required=False)
    kind = forms.ChoiceField(label="Kind", choices=KINDS, required=False)
    condition = _text("Condition", LENGTHS[ItemPlan]["condition"], placeholder="if applicable")
    group = _text("Sub-heading", LENGTHS[ItemPlan]["group"])
    required = _yes("Required")
    evidence_wanted = _yes("Wants a link or a note before it is done")
    bound_to_window = _yes("Reopens when the window moves")
    watch_min = _text("Watch at least, minutes", 6, inputmode="numeric")
    watch_max = _text("Ask for the verdict after, minutes", 6, inputmode="numeric")

    def __init__(self, *args: Any, roles: Iterable[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        _choose(self, roles, "nobody yet: the coordinator's")

    @property
    def facts(self) -> list[str]:
        """What the folded row says about itself."""
        kind = self.says("kind")
        said = [self.says("role") or "no role", kind.replace("_", "-") if kind not in ("check", "step") else ""]
        said += ["" if self["required"].value() else "optional", self.says("condition"), self.says("group")]
        said += ["wants evidence" if self["evidence_wanted"].value() else ""]
        said += ["bound to the window" if self["bound_to_window"].value() else ""]
        return [fact for fact in said if fact]

    @property
    def detail_errors(self) -> bool:
        return any(name != "title" for name in self.errors)


class RoleForm(RowForm):
    name = _text("Role", LENGTHS[RolePlan]["name"])
    responsibility = _text("Responsibility", LENGTHS[RolePlan]["responsibility"])
    required = _yes("Every release needs a holder")


class SeatForm(RowForm):
    role = forms.ChoiceField(label="Seat", required=False)
    required = forms.TypedChoiceField(
        label="Vote",
        required=False,
        choices=[("True", "required: no decision without it"), ("False", "optional: never blocks")],
    )

    def __init__(self, *args: Any, roles: Iterable[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        _choose(self, roles, "choose a role")


def _choose(form: RowForm, roles: Iterable[str], nobody: str) -> None:
    """Offer the draft's roles, and the row's own if it is none of them: nothing typed is lost."""
    current = form["role"].value() or ""
    names = [name for name in roles if slug(name)]
    if current and current not in names:
        names.append(current)
    choice = form.fields["role"]
    assert isinstance(choice, forms.ChoiceField)  # noqa: S101 - for the type checker
    choice.choices = [("", nobody), *((name, name) for name in dict.fromkeys(names))]


def fold(row: Any, post: Mapping[str, str], prefix: str) -> None:
    """Write what was posted for a row into it. Rows that were not on the page stay as they are."""
    if f"{prefix}-here" not in post:
        return
    for spec in fields(row):
        key = f"{prefix}-{spec.name}"
        was = getattr(row, spec.name)
        if isinstance(was, bool):
            setattr(row, spec.name, post.get(key) in ("on", "True"))
        elif isinstance(was, str) and key in post:
            setattr(row, spec.name, _clean(post[key]))


def _clean(text: str) -> str:
    """Browsers send Windows line ends; blanks at the end of a line of typing mean nothing."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
