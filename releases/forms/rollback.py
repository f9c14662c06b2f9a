"""The forms of a rollback: short, because they are filled in at the worst moment."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django import forms
from django.utils import timezone

from releases import clearance
from releases.forms.followups import Data, PersonField
from releases.models import Path, Release, Severity

LATEST_REVIEW = timedelta(days=366)
PROMISES = (15, 30, 60)  # minutes until the next update, as buttons


class TriggerForm(forms.Form):
    seen = forms.CharField(
        label="What did you see?",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Everyone who is told reads this first.",
        error_messages={"required": "Say what you saw; everyone who is told reads it first."},
    )
    noticed = forms.DateTimeField(
        label="When was it noticed?",
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Write it like 2026-11-26 14:00."},
    )

    def __init__(self, data: Data = None, *, release: Release) -> None:
        super().__init__(data)
        self.release = release
        self.fields["noticed"].help_text = f"Left empty: just now. Time in {release.time_zone}."

    def clean_noticed(self) -> datetime | None:
        """A wall time of the release's zone."""
        said: datetime | None = self.cleaned_data["noticed"]
        return said.replace(tzinfo=self.release.zone) if said else None


class AssessForm(forms.Form):
    severity = forms.ChoiceField(
        label="How bad is it?",
        choices=Severity.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Say how bad it is."},
    )
    path = forms.ChoiceField(
        label="Which way?",
        choices=Path.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose: roll back, or hotfix forward."},
    )
    note = forms.CharField(label="Why", required=False, max_length=4000)


class StepForm(forms.Form):
    note = forms.CharField(label="Note", required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))


class LogForm(forms.Form):
    text = forms.CharField(label="Line", max_length=10_000, error_messages={"required": "Write what happened."})


class PromiseForm(forms.Form):
    minutes = forms.IntegerField(
        min_value=1, max_value=24 * 60, error_messages={"required": "Say in how many minutes."}
    )


class FinishForm(forms.Form):
    review_on = forms.DateField(
        label="Review on",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={
            "required": "A rollback ends with the date of its review.",
            "invalid": "Write it like 2026-11-26.",
        },
    )
    owner = PersonField(
        label="Who owns the review",
        error_messages={"required": "Name who owns the review."},
        widget=forms.TextInput(attrs={"list": "people-list", "autocomplete": "off"}),
    )

    def __init__(self, data: Data = None, *, release: Release) -> None:
        super().__init__(data)
        self.release = release
        self.fields["owner"].near = clearance.everyone(release)  # type: ignore[attr-defined]

    def clean_review_on(self) -> date:
        """Not years away: a review that late is a typing error."""
        day: date = self.cleaned_data["review_on"]
        if day > timezone.localdate(timezone=self.release.zone) + LATEST_REVIEW:
            raise forms.ValidationError("That is more than a year away; choose a nearer day.")
        return day
