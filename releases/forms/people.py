"""Forms about people: who holds what, who stands in, who comes in, and how they like their pages."""

from __future__ import annotations

import zoneinfo
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db.models import QuerySet

from checklists.models import Role
from relcoord.models import User
from releases.models import Product, Release


def people() -> QuerySet[User]:
    """Everybody who can be chosen in a form."""
    return User.objects.filter(is_active=True).order_by("name", "email")


class PersonChoice(forms.ModelChoiceField):
    """Choose a person; namesakes are told apart by their address."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=User.objects.none(), **({"empty_label": "Choose a person"} | kwargs))

    def label_from_instance(self, person: User) -> str:
        return f"{person.name} · {person.email}"


class PersonForm(forms.Form):
    """A form with a person in it. The list is read when the form is made, not when it is imported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, PersonChoice):
                field.queryset = people()


class AssignForm(PersonForm):
    role = forms.ModelChoiceField(queryset=Role.objects.none(), empty_label="Choose a role")
    user = PersonChoice(label="Person")

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].queryset = roles_of(release)  # type: ignore[attr-defined]


def roles_of(release: Release) -> QuerySet[Role]:
    """The roles people can be given here: all but the coordinator's, which is handed over."""
    from releases.models import COORDINATOR

    return Role.objects.exclude(slug=COORDINATOR).order_by("name")


class PasteForm(forms.Form):
    role = forms.ModelChoiceField(queryset=Role.objects.none(), empty_label="Choose a role")
    text = forms.CharField(
        label="People",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "Ada Lovelace <ada@example.org>"}),
        help_text="One a line, as Name <mail>. Whoever has no account is invited.",
    )

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].queryset = roles_of(release)  # type: ignore[attr-defined]


class TransferForm(PersonForm):
    to = PersonChoice(label="New coordinator")
    reason = forms.CharField(required=False, max_length=500)


class TakeOverForm(forms.Form):
    reason = forms.CharField(
        max_length=500, help_text="The former coordinator reads it in a mail, an auditor in the record."
    )


class AbsenceForm(PersonForm):
    """A dated absence: whole days, both included."""

    deputy = PersonChoice(label="Who stands in")
    starts_on = forms.DateField(label="First day away", widget=forms.DateInput(attrs={"type": "date"}))
    ends_on = forms.DateField(label="Last day away", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(required=False, max_length=200)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first: date | None = data.get("starts_on")
        last: date | None = data.get("ends_on")
        if first and last and last < first:
            self.add_error("ends_on", "The last day comes before the first.")
        return data


def zone_choices() -> list[tuple[str, str]]:
    return [("", "The site’s zone"), *((name, name) for name in sorted(zoneinfo.available_timezones()))]


class SettingsForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("name", "time_zone", "theme", "density", "single_keys")
        help_texts: ClassVar = {
            "time_zone": "Times on pages and in mails are said in it, with UTC behind.",
            "single_keys": "j and k walk, x ticks, ? lists them all.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].widget = forms.Select(choices=zone_choices())


class WelcomeForm(forms.Form):
    """What an invited person sets once."""

    name = forms.CharField(max_length=120)
    password = forms.CharField(
        label="New password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    again = forms.CharField(
        label="The same again", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        password = data.get("password")
        if password and password != data.get("again"):
            self.add_error("again", "The two passwords differ.")
        elif password:
            try:
                validate_password(password, self.user)
            except forms.ValidationError as failure:
                self.add_error("password", failure)
        return data


class InviteForm(forms.Form):
    name = forms.CharField(max_length=120)
    email = forms.EmailField(label="Mail address")


class RoleForm(forms.ModelForm):
    class Meta:
        model = Role
        fields = ("name", "responsibility")
        widgets: ClassVar = {"responsibility": forms.Textarea(attrs={"rows": 3})}


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = ("name",)
