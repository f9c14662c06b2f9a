"""Forms about people: who holds what, who stands in, who comes in, and how they like their pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db.models import QuerySet
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from checklists.models import Role
from relcoord.models import User
from releases import optout
from releases.forms.window import zone_of
from releases.models import COORDINATOR, OPTIONAL, Release


def people() -> QuerySet[User]:
    """Everybody who can be chosen in a form."""
    return User.objects.filter(is_active=True).order_by("name", "email")


def told_apart(persons: Sequence[User]) -> list[tuple[int, str]]:
    """(id, name) of each; namesakes with their address."""
    names = Counter(person.name for person in persons)
    return [(p.pk, p.name if names[p.name] == 1 else f"{p.name} · {p.email}") for p in persons]


class PersonChoice(forms.ModelChoiceField):
    """Choose a person; each is shown with their address."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=User.objects.none(), **({"empty_label": "Choose a person"} | kwargs))

    def label_from_instance(self, person: User) -> str:
        return f"{person.name} · {person.email}"


class Places(forms.SelectMultiple):
    """Several people as several plain selects of one name: easier on a phone than a list to hold Ctrl on.

    `spare` is how many empty ones stand after those that are filled; there is always one to fill.
    """

    spare = 0

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = [str(one) for one in value or [] if str(one)]
        places = [*chosen, *[""] * max(self.spare, 0 if chosen else 1)]
        one = forms.Select(choices=[("", "Nobody yet" if not chosen else "Nobody more"), *self.choices])
        given = self.build_attrs(self.attrs, attrs)
        return format_html_join(
            "", "{}", ((one.render(name, held, _numbered(given, number)),) for number, held in enumerate(places, 1))
        )

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        held = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return list(dict.fromkeys(one for one in held if one))


def _numbered(attrs: dict[str, Any], number: int) -> dict[str, Any]:
    """The first place carries the field's id and label; the others say which they are."""
    if number == 1:
        return attrs
    return attrs | {"id": f"{attrs.get('id', 'place')}_{number}", "aria-label": f"{attrs.get('data-who')}, {number}"}


class SeveralPeople(forms.TypedMultipleChoiceField):
    """Any number of people, in `Places`; gives a list of `User`."""

    widget = Places

    def __init__(self, persons: Sequence[User], *, spare: int = 0, **kwargs: Any) -> None:
        known = {str(person.pk): person for person in persons}
        super().__init__(choices=told_apart(persons), coerce=known.__getitem__, required=False, **kwargs)
        self.error_messages["invalid_choice"] = "Choose people from the list; that account is closed or was never one."
        self.widget.spare = spare
        self.widget.attrs["data-who"] = self.label or ""


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


class SettingsForm(forms.ModelForm):
    time_zone = forms.CharField(
        label="Time zone",
        required=False,
        max_length=64,
        help_text="Times on pages and in mails are said in it. Empty: pages follow your device, mails the site.",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = User
        fields = ("name", "time_zone", "theme", "density", "single_keys")
        widgets: ClassVar = {"theme": forms.RadioSelect, "density": forms.RadioSelect}
        help_texts: ClassVar = {"single_keys": "j and k walk, x ticks, ? lists them all."}

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())

    def clean_time_zone(self) -> str:
        said = self.cleaned_data["time_zone"].strip()
        return zone_of(said).key if said else ""


class MailsForm(forms.Form):
    """The mails one wants, of those one may do without."""

    wanted = forms.MultipleChoiceField(
        label="Mail me when",
        required=False,
        choices=[(kind.value, optout.WORDS[kind]) for kind in OPTIONAL],
        widget=forms.CheckboxSelectMultiple,
    )


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


class RoleForm(forms.Form):
    """A role's words. Its identity, the slug, is not among them."""

    name = forms.CharField(max_length=80)
    responsibility = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


class ProductForm(forms.Form):
    name = forms.CharField(max_length=120)
