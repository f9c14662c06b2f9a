"""The forms that move, stop and end a release's schedule."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from releases.forms.followups import Data
from releases.forms.window import WindowForm
from releases.models import Release


class RescheduleForm(WindowForm):
    """A new window and why. `seen` says which preview was read; without it the preview comes first."""

    reason = forms.CharField(
        max_length=4000,
        label="Why it moves",
        help_text="Everyone on the release reads it.",
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why it moves."},
    )
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


class KeepForm(forms.Form):
    """How a held clock runs again."""

    keep = forms.ChoiceField(
        label="T-0",
        choices=[("keep", "Keep T-0"), ("new", "A new T-0")],
        widget=forms.RadioSelect,
        error_messages={"required": "Say what becomes of T-0."},
    )

    def __init__(self, data: Data = None, *, release: Release) -> None:
        passed = release.t_zero <= timezone.now()
        super().__init__(data, initial={"keep": "new" if passed else "keep"}, use_required_attribute=False)
        self.passed = passed

    def clean_keep(self) -> str:
        keep: str = self.cleaned_data["keep"]
        if keep == "keep" and self.passed:
            raise forms.ValidationError("T-0 passed during the hold; choose a new one.")
        return keep


class ResumeForm:
    """Resume with the same T-0, or with a new one, which is a reschedule and needs its reason."""

    def __init__(self, data: Data = None, *, release: Release) -> None:
        self.keep = KeepForm(data, release=release)
        wants = data is None or data.get("keep") == "new"
        initial = WindowForm.said_of(release)
        self.window = RescheduleForm(data, needed=wants, initial=initial, use_required_attribute=False)

    @property
    def moves(self) -> bool:
        return bool(self.keep.cleaned_data["keep"] == "new")

    def is_valid(self) -> bool:
        parts = [self.keep.is_valid(), not self.window.needed or self.window.is_valid()]
        return all(parts)


class StartForm(forms.Form):
    """Early or late needs its reason; inside the window there is nothing to say."""

    override = forms.CharField(
        required=False,
        max_length=4000,
        label="Why it starts all the same",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept as an override in the record.",
    )

    def __init__(self, data: Data = None, *, needed: bool) -> None:
        super().__init__(data)
        self.fields["override"].required = needed
        self.fields["override"].error_messages["required"] = "Say why it starts all the same."


def hidden(form: forms.Form, *, without: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """What was typed into a bound form, as pairs to carry through a page in between."""
    return [
        (field.html_name, field.value()) for field in form if field.name not in without and field.value() is not None
    ]
