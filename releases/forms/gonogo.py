"""The forms of the go/no-go room: ballots, the decision with its conditions or its NO-GO, action items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.forms.utils import ErrorDict
from django.utils import timezone

from relcoord.models import User
from releases import clearance
from releases.forms.window import FARTHEST, WindowForm
from releases.gonogo import FollowUp, Next
from releases.models import ActionItem, Call, Choice, Release, Seat, holders

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
            for seat in release.seats.all()
            for person in holders(release, seat.role)
            if person.pk != me.pk
        }
        said = [(key, f"{person.name} as {seat.role.name}") for key, (seat, person) in self.voices.items()]
        self.fields["voice"].choices = [("", "Choose"), *said]  # type: ignore[attr-defined]

    def spoken(self) -> tuple[Seat, User]:
        """The seat and its holder who spoke; only after `is_valid()`."""
        return self.voices[self.cleaned_data["voice"]]


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


class ReasonForm(forms.Form):
    """One reason, read by everyone it concerns and kept in the record."""

    reason = forms.CharField(
        max_length=4000, widget=forms.Textarea(attrs={"rows": 2}), error_messages={"required": "Say why."}
    )

    def __init__(self, data: Data = None, *, label: str = "Reason", prefix: str | None = None) -> None:
        super().__init__(data, prefix=prefix)
        self.fields["reason"].label = label


class SettleForm(forms.Form):
    """What becomes of an action item."""

    state = forms.ChoiceField(choices=ActionItem.State.choices)
    reason = forms.CharField(required=False, max_length=4000)
