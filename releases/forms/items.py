"""What people type about items: reasons, evidence, notes, verdicts; and the coordinator's forms for the list."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import QuerySet

from checklists.blueprints import Kind
from checklists.models import Role
from checklists.tminus import wall_time_choices
from relcoord.models import User
from releases.models import Item, Phase, Release, Verdict

REASON = 4000
ADDED_KINDS = [
    (Kind.CHECK.value, "Check: whoever holds its role ticks it"),
    (Kind.SIGN_OFF.value, "Sign-off: only its holder, in person"),
    (Kind.ACKNOWLEDGE.value, "Acknowledgement: “I am aware and available”"),
]


class ItemForm(forms.Form):
    """Base of the forms on one item: `v` is the version the reader saw, `revoke` the reason for taking a GO back."""

    v = forms.IntegerField(required=False, widget=forms.HiddenInput)
    revoke = forms.CharField(
        required=False,
        max_length=REASON,
        widget=forms.HiddenInput,
        label="Why is the GO taken back?",
        help_text="Everyone on the release reads it.",
    )

    def ask_to_revoke(self) -> None:
        """Show the question for the reason to take the GO back."""
        ask(self, "revoke")


def ask(form: forms.Form, name: str) -> None:
    """Turn a hidden field of `form` into a question that has to be answered."""
    field = form.fields[name]
    field.widget = forms.Textarea(attrs={"rows": 2, "autofocus": True})
    field.required = field.widget.is_required = True


class TickForm(ItemForm):
    """The row's own button: the state it wants, and what may have to come with it."""

    to = forms.ChoiceField(choices=[("done", "done"), ("open", "open")], widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False, max_length=REASON, widget=forms.HiddenInput, label="Why do you tick it for them?"
    )

    def ask_for_reason(self) -> None:
        """Show the question for the reason to tick what others hold."""
        ask(self, "reason")


class ReopenForm(ItemForm):
    reason = forms.CharField(
        required=False, max_length=REASON, widget=forms.Textarea(attrs={"rows": 2}), label="Why is it open again?"
    )


class ReasonForm(ItemForm):
    """A state that says why: blocked, not applicable, waived. `question` is its label."""

    question = "Why?"
    reason = forms.CharField(
        max_length=REASON,
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
        error_messages={"required": "Give a reason; the record shows it."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = self.question


class BlockForm(ReasonForm):
    question = "What blocks it?"


class NotApplicableForm(ReasonForm):
    question = "Why does it not apply?"


class WaiveForm(ReasonForm):
    question = "Why is it accepted without?"


class EvidenceForm(ItemForm):
    """One field for a link or a sentence: what begins like a link is one."""

    proof = forms.CharField(
        label="Link or note that shows it",
        max_length=1000,
        help_text="https://… or a sentence",
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
        error_messages={"required": "Give a link or a note: what shows that it is done?"},
    )
    label = forms.CharField(label="Words for the link", max_length=300, required=False)
    commit = forms.CharField(label="Commit", max_length=64, required=False)

    def clean_proof(self) -> str:
        text = str(self.cleaned_data["proof"]).strip()
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://|www\.|javascript:|data:", text):
            address = f"https://{text}" if text.startswith("www.") else text
            try:
                URLValidator(schemes=["http", "https"])(address)
            except ValidationError:
                raise ValidationError("A link begins with https:// or http:// and has no blanks.") from None
            return address
        return text

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        text, commit = said.get("proof", ""), said.get("commit", "")
        is_link = text.startswith(("https://", "http://"))
        label = said.get("label") or (_short(text) if is_link else text[:300])
        said["given"] = {"label": label, "url": text if is_link else "", "commit": commit}  # fields of ticking.Proof
        return said


def _short(address: str) -> str:
    """A link as words when nobody gave any: without its scheme, not too long."""
    bare = address.split("://", 1)[1].removeprefix("www.").rstrip("/")
    return bare if len(bare) <= 40 else f"{bare[:18]}…{bare[-20:]}"


class TickWithEvidenceForm(EvidenceForm):
    """Evidence and tick in one go."""

    to = forms.ChoiceField(choices=[("done", "done")], widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False, max_length=REASON, widget=forms.HiddenInput, label="Why do you tick it for them?"
    )

    def ask_for_reason(self) -> None:
        """Show the question for the reason to tick what others hold."""
        ask(self, "reason")


class NoteForm(ItemForm):
    text = forms.CharField(
        label="Note",
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
        help_text="Markdown works. Notes stay; nobody edits them.",
        error_messages={"required": "The note is empty."},
    )


class VerdictForm(ItemForm):
    """How a watch ends."""

    verdict = forms.ChoiceField(
        label="Verdict",
        choices=[
            (Verdict.HEALTHY.value, "Healthy: the watch is over"),
            (Verdict.HOTFIX.value, "Hotfix: a fix goes out, the watch starts again"),
            (Verdict.ROLLBACK.value, "Roll back: on-call and Project Manager are told at once"),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Say how it looks."},
    )
    note = forms.CharField(
        label="What did you see?", required=False, max_length=REASON, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("verdict") not in (None, Verdict.HEALTHY.value) and not said.get("note", "").strip():
            self.add_error("note", "Say what you saw.")
        return said


# The coordinator's


class RoleField(forms.ModelChoiceField):
    """A role of this release's checklist or of its people; empty means the coordinator."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            Role.objects.none(), required=False, label="Role", empty_label="No role: the coordinator’s", **kwargs
        )


def roles_of(release: Release) -> QuerySet[Role]:
    """The roles an item of `release` may be given to."""
    of_checklist = Role.objects.filter(pk__in=release.template_version.roles.values("role"))
    return (of_checklist | Role.objects.filter(pk__in=release.assignments.values("role"))).order_by("name")


class WordsForm(ItemForm):
    """The words and duties of an item."""

    title = forms.CharField(max_length=300, error_messages={"required": "An item needs a title."})
    role = RoleField()
    required = forms.BooleanField(required=False, initial=True, label="Required: unanswered, it holds the gate")
    condition = forms.CharField(
        required=False,
        max_length=120,
        label="Condition",
        help_text="Such as “if applicable”: then “not applicable” is an answer.",
    )
    evidence_wanted = forms.BooleanField(required=False, label="Wants evidence before it is done")
    bound_to_window = forms.BooleanField(required=False, label="Opens again when the window moves")
    guidance = forms.CharField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="Markdown works."
    )

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].queryset = roles_of(release)  # type: ignore[attr-defined]

    @property
    def words(self) -> dict[str, Any]:
        """The fields `amending.edit_item` takes."""
        names = ("title", "guidance", "required", "condition", "evidence_wanted", "bound_to_window")
        return {name: self.cleaned_data[name] for name in names}

    @staticmethod
    def of(item: Item) -> dict[str, Any]:
        """What `item` says now, as initial values."""
        names = ("title", "guidance", "required", "condition", "evidence_wanted", "bound_to_window")
        return {name: getattr(item, name) for name in names} | {"role": item.role_id, "v": item.version}


class AddForm(WordsForm):
    phase = forms.ModelChoiceField(
        Phase.objects.none(), empty_label=None, error_messages={"required": "Choose the phase it belongs to."}
    )
    kind = forms.ChoiceField(choices=ADDED_KINDS, initial=Kind.CHECK.value, required=False)

    field_order = ("phase", "title", "role", "kind", "required", "condition", "evidence_wanted")

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, release=release, **kwargs)
        phases = Phase.objects.filter(release=release).order_by("position")
        self.fields["phase"].queryset = phases  # type: ignore[attr-defined]
        self.order_fields(self.field_order)

    @property
    def words(self) -> dict[str, Any]:
        said = self.cleaned_data
        return super().words | {"role": said["role"], "kind": said["kind"] or Kind.CHECK}


class MoveForm(ItemForm):
    """Up, down, or to the end of another phase."""

    to = forms.ChoiceField(choices=[("up", "up"), ("down", "down"), ("phase", "phase")])
    phase = forms.ModelChoiceField(Phase.objects.none(), required=False, empty_label=None)

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        phases = Phase.objects.filter(release=release).order_by("position")
        self.fields["phase"].queryset = phases  # type: ignore[attr-defined]


class DueForm(ItemForm):
    """An item's own due moment, as the wall clock of the release's zone shows it; empty: the phase's again."""

    due = forms.CharField(
        required=False,
        label="Due",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.release = release
        self.fields["due"].help_text = f"As the clock shows in {release.time_zone}. Empty: when the phase is due."

    def clean_due(self) -> datetime | None:
        text = self.cleaned_data["due"].strip()
        if not text:
            return None
        try:
            wall = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError("Write day and time like 2026-11-26 14:00.") from None
        return wall_time_choices(wall.replace(tzinfo=None), self.release.zone).choices[0]


class GiveForm(forms.Form):
    """Give many items to one role at once."""

    items = forms.ModelMultipleChoiceField(
        Item.objects.none(),
        label="Items",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one item."},
    )
    role = RoleField()

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["items"].queryset = Item.objects.of(release)  # type: ignore[attr-defined]
        self.fields["role"].queryset = roles_of(release)  # type: ignore[attr-defined]


class ReleaseForm(forms.Form):
    """What the release is called and who sees it."""

    title = forms.CharField(max_length=120, error_messages={"required": "A release needs a title."})
    notes = forms.CharField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 6}), help_text="Markdown works."
    )
    restricted = forms.BooleanField(
        required=False, label="Restricted: only those on it, staff, and the people named below see it"
    )
    viewers = forms.ModelMultipleChoiceField(
        User.objects.filter(is_active=True).order_by("name"),
        required=False,
        label="May also see it",
        widget=forms.SelectMultiple(attrs={"size": 8}),
    )
