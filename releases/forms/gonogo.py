"""The forms of the go/no-go room: ballots, and the decision with its conditions or its NO-GO."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from relcoord.models import User
from releases.forms.followups import ConditionForm, Data, FollowUpForm, ReasonForm, Rows
from releases.forms.window import WindowForm
from releases.gonogo import Next
from releases.models import ActionItem, Call, Choice, Release, Seat, holders, seats_of


class SeatBallotForm(forms.Form):
    """An answer for one seat. `seen` carries what its page showed."""

    choice = forms.ChoiceField(
        choices=Choice.choices, widget=forms.RadioSelect, error_messages={"required": "Choose GO, NO-GO or ABSTAIN."}
    )
    statement = forms.CharField(
        required=False,
        max_length=500,
        help_text="One sentence; a NO-GO needs it",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class SpokenForm(forms.Form):
    """What a holder said in the meeting, taken down by the coordinator."""

    voice = forms.ChoiceField(label="Who spoke", error_messages={"required": "Choose who spoke."})
    choice = forms.ChoiceField(
        label="Said",
        choices=Choice.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what they said."},
    )
    statement = forms.CharField(required=False, max_length=500, help_text="In their words; a NO-GO needs it")

    def __init__(self, data: Data = None, *, release: Release, me: User) -> None:
        super().__init__(data, prefix="spoken")
        self.voices: dict[str, tuple[Seat, User]] = {
            f"{seat.pk}-{person.pk}": (seat, person)
            for seat in seats_of(release)
            for person in holders(release, seat.role)
            if person.pk != me.pk
        }
        said = [(key, f"{person.name} as {seat.role.name}") for key, (seat, person) in self.voices.items()]
        self.fields["voice"].choices = [("", "Choose"), *said]  # type: ignore[attr-defined]

    def spoken(self) -> tuple[Seat, User]:
        """The seat and its holder who spoke; only after `is_valid()`."""
        return self.voices[self.cleaned_data["voice"]]


class NoGoPart:
    """What a NO-GO says beside its reasons: action items, and T-0 anew, the same, or not yet."""

    def __init__(self, data: Data, *, release: Release, needed: bool = True, more: bool = False) -> None:
        self.rows = Rows(FollowUpForm, data, prefix="action", release=release, more=more)
        self.then = ThenForm(data, release=release)
        wants = needed and data is not None and data.get("then") == "new"
        self.window = WindowForm(
            data, prefix="new", needed=wants, initial=WindowForm.said_of(release), use_required_attribute=False
        )

    def is_valid(self) -> bool:
        parts = [self.rows.is_valid(), self.then.is_valid(), not self.window.needed or self.window.is_valid()]
        return all(parts)

    @property
    def forms(self) -> list[forms.BaseForm]:
        """Its forms as they stand on the page, the window only when it is looked at."""
        return [*self.rows.forms, self.then, *([self.window] if self.window.needed else [])]

    @property
    def next(self) -> Next:
        return Next(window=self.window.window, same=self.then.cleaned_data["then"] == "same")


class ThenForm(forms.Form):
    then = forms.ChoiceField(
        choices=[("new", "A new T-0"), ("same", "The same T-0"), ("later", "Not yet: the clock stops at NO-GO")],
        widget=forms.RadioSelect,
        error_messages={"required": "Say what becomes of T-0."},
    )

    def __init__(self, data: Data, *, release: Release) -> None:
        super().__init__(data, use_required_attribute=False)
        self.release = release

    def clean_then(self) -> str:
        then: str = self.cleaned_data["then"]
        if then == "same" and self.release.t_zero <= timezone.now():
            raise forms.ValidationError("The old T-0 has passed; choose a new one, or not yet.")
        return then


class CallForm(forms.Form):
    """The decision itself. `against` lists what its page said the override goes against."""

    call = forms.ChoiceField(
        choices=Call.choices, widget=forms.RadioSelect, error_messages={"required": "Choose the call."}
    )
    rationale = forms.CharField(required=False, max_length=10_000, strip=True, widget=forms.Textarea(attrs={"rows": 3}))
    override = forms.CharField(required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))
    against = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("call") and not data.get("rationale"):
            wanted = "reasons" if data["call"] == Call.NO_GO else "rationale: what spoke for it, what against"
            self.add_error("rationale", f"Write the {wanted}.")
        return data


class DecideForm:
    """The whole decision in one form: the call, and by the call its override, conditions, or NO-GO part."""

    def __init__(self, data: Data = None, *, release: Release) -> None:
        self.call = CallForm(data, prefix="", use_required_attribute=False)
        said = data.get("call") if data is not None else None
        more = data.get("more") if data is not None else None
        self.conditions = Rows(ConditionForm, data, prefix="condition", release=release, more=more == "condition")
        self.no_go = NoGoPart(data, release=release, needed=data is None or said == Call.NO_GO, more=more == "action")
        self.said = said

    def is_valid(self) -> bool:
        parts = [self.call.is_valid()]
        if self.said == Call.CONDITIONAL_GO:
            parts.append(self._conditions_valid())
        if self.said == Call.NO_GO:
            parts.append(self.no_go.is_valid())
        return all(parts)

    @property
    def forms(self) -> list[forms.BaseForm]:
        """Its forms as they stand on the page, of those the call asks for."""
        conditions = self.conditions.forms if self.said == Call.CONDITIONAL_GO else []
        return [*conditions, self.call, *(self.no_go.forms if self.said == Call.NO_GO else [])]

    @property
    def failed(self) -> bool:
        """Is there anything wrong in it to look for?"""
        return any(form.errors for form in self.forms)

    def _conditions_valid(self) -> bool:
        if not self.conditions.is_valid():
            return False
        if not self.conditions.follow_ups():
            self.conditions.forms[0].add_error("title", "Name at least one condition, with an owner and a due date.")
            return False
        return True

    def arguments(self) -> dict[str, Any]:
        """What `gonogo.decide` takes; only after `is_valid()`."""
        data = self.call.cleaned_data
        given: dict[str, Any] = {"call": Call(data["call"]), "rationale": data["rationale"]}
        if self.said == Call.NO_GO:
            return given | {"action_items": self.no_go.rows.follow_ups(), "then": self.no_go.next}
        if self.said == Call.CONDITIONAL_GO:
            given["conditions"] = self.conditions.follow_ups()
        return given | {"override": data["override"]}


class WithdrawForm:
    """A GO taken back: its reason, and what any NO-GO says."""

    def __init__(self, data: Data = None, *, release: Release) -> None:
        self.reason = ReasonForm(data, label="Why the GO is withdrawn")
        more = data is not None and data.get("more") == "action"
        self.no_go = NoGoPart(data, release=release, more=more)

    def is_valid(self) -> bool:
        parts = [self.reason.is_valid(), self.no_go.is_valid()]
        return all(parts)


class SettleForm(forms.Form):
    """What becomes of an action item."""

    state = forms.ChoiceField(choices=ActionItem.State.choices)
    reason = forms.CharField(required=False, max_length=4000)
