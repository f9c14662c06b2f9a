"""What several forms of a release share: people by their names, follow-ups in rows, a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.forms.utils import ErrorDict
from django.utils import timezone

from relcoord.models import User
from releases import clearance
from releases.forms.window import FARTHEST
from releases.gonogo import FollowUp
from releases.models import ActionItem, Release

ROWS = 3  # empty rows a form begins with; more are a button away
MOST_ROWS = 20

Data = Mapping[str, Any] | None


def focus_first_error(*those: forms.BaseForm) -> None:
    """Let a form that comes back begin where something is wrong."""
    for form in those:
        for name in form.errors:
            if name in form.fields:
                form.fields[name].widget.attrs["autofocus"] = True
                return


def without_errors(*those: forms.BaseForm) -> None:
    """Keep what was typed and look at none of it: the form only comes back with one more row."""
    for form in those:
        form._errors = ErrorDict()  # type: ignore[attr-defined]
        form.cleaned_data = {}


class PersonField(forms.CharField):
    """A person as people write them: a name, an unmistakable part of it, or a mail address. Cleans to a `User`.

    Those of `near` are looked at first. A select with everybody would be long, and six of them on a page too long.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.near: list[User] = []
        super().__init__(max_length=200, **kwargs)

    def to_python(self, value: Any) -> Any:
        said = " ".join(str(value or "").split())
        if not said or "\x00" in said:
            return None
        everyone = User.objects.filter(is_active=True)
        for people in (self.near, None):
            found = _called(said, people) if people is not None else _in_database(said, everyone)
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                names = ", ".join(sorted(f"{person.name} ({person.email})" for person in found[:4]))
                raise forms.ValidationError(f"“{said}” may be {names}: write the mail address.")
        raise forms.ValidationError(f"Nobody here is called “{said}”. Write a name or a mail address.")

    def validate(self, value: Any) -> None:
        if value is None and self.required:
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def run_validators(self, value: Any) -> None:
        """What is left to check is done in `to_python`."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(str(data or "").strip())


def _called(said: str, people: Iterable[User]) -> list[User]:
    lower = said.lower()
    exact = [person for person in people if lower in (person.name.lower(), person.email.lower())]
    return exact or [person for person in people if lower in person.name.lower()]


def _in_database(said: str, everyone: Any) -> list[User]:
    exact = list(everyone.filter(email__iexact=said)) or list(everyone.filter(name__iexact=said)[:5])
    return exact or list(everyone.filter(name__icontains=said)[:5])


class FollowUpForm(forms.Form):
    """One row: what has to happen, who sees to it, by when on the release's wall clock."""

    title = forms.CharField(max_length=300, error_messages={"required": "Say what has to happen."})
    owner = PersonField(
        error_messages={"required": "Name its owner."},
        widget=forms.TextInput(attrs={"list": "people-list", "autocomplete": "off"}),
    )
    due = forms.DateTimeField(
        error_messages={"required": "Say when it is due.", "invalid": "Write it like 2026-11-26 14:00."},
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **{"use_required_attribute": False} | kwargs)
        self.release = release
        self.fields["owner"].near = clearance.everyone(release) if self.is_bound else []  # type: ignore[attr-defined]

    def clean_due(self) -> datetime:
        """What was typed is a wall time of the release's zone, whatever the reader's own is."""
        due: datetime = self.cleaned_data["due"].replace(tzinfo=self.release.zone)
        if due <= timezone.now():
            raise forms.ValidationError("That moment is past; say one to come.")
        if due > timezone.now() + FARTHEST:
            raise forms.ValidationError("That is more than ten years away; look at the year.")
        return due

    def follow_up(self, blocks: str) -> FollowUp:
        data = self.cleaned_data
        return FollowUp(data["title"], data["owner"], data["due"], data.get("blocks", blocks))


class ConditionForm(FollowUpForm):
    """A condition of a GO: a row that also says which verb it holds until it is met."""

    blocks = forms.ChoiceField(
        choices=[
            (part.value, part.label)
            for part in (ActionItem.Blocks.START, ActionItem.Blocks.FINISH, ActionItem.Blocks.CLOSE)
        ],
        initial=ActionItem.Blocks.START.value,
    )

    def has_changed(self) -> bool:
        """The preselected choice alone is no row."""
        return bool(set(self.changed_data) - {"blocks"})


class Rows:
    """The rows of a form: those that say something are looked at, empty ones are left out."""

    def __init__(
        self, kind: type[FollowUpForm], data: Data, *, prefix: str, release: Release, more: bool = False
    ) -> None:
        count = _count(data.get(f"{prefix}-rows")) if data is not None else ROWS
        self.prefix, self.count = prefix, min(MOST_ROWS, count + more)
        self.forms = [
            kind(data, prefix=f"{prefix}-{number}", release=release, empty_permitted=True)
            for number in range(self.count)
        ]

    def is_valid(self) -> bool:
        each = [form.is_valid() for form in self.forms]  # not lazily: every row shows its own errors
        return all(each)

    def follow_ups(self, blocks: str = ActionItem.Blocks.POLL) -> list[FollowUp]:
        return [form.follow_up(blocks) for form in self.forms if form.has_changed()]


def _count(said: Any) -> int:
    text = str(said or "")
    return max(1, min(MOST_ROWS, int(text))) if text.isdecimal() and len(text) < 4 else ROWS


class ReasonForm(forms.Form):
    """One reason, read by everyone it concerns and kept in the record."""

    reason = forms.CharField(
        max_length=4000, widget=forms.Textarea(attrs={"rows": 2}), error_messages={"required": "Say why."}
    )

    def __init__(self, data: Data = None, *, label: str = "Reason", prefix: str | None = None) -> None:
        super().__init__(data, prefix=prefix)
        self.fields["reason"].label = label
