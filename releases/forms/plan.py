"""The form that plans a release: what, when, by which checklist, with whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.http import QueryDict

from checklists.blueprints import slug
from checklists.models import Role, Template, TemplateRole, TemplateVersion
from relcoord.models import User
from releases.forms.people import PersonChoice, PersonForm, SeveralPeople, people
from releases.models import COORDINATOR, Product, Release


class PlanForm(PersonForm):
    """All of a release but its window (`WindowForm`) and its people (`RolesForm`)."""

    key = forms.CharField(
        max_length=40,
        help_text="As people say it: PAY-4.2.",
        error_messages={"required": "Give it a key, such as PAY-4.2."},
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Write it in letters, digits, dots and hyphens: PAY-4.2.")
        ],
    )
    title = forms.CharField(
        max_length=120,
        help_text="As the mails name it: Payments 4.2.",
        error_messages={"required": "Give it a title, such as Payments 4.2."},
    )
    product = forms.CharField(
        max_length=120,
        help_text="Choose one or write a new one.",
        error_messages={"required": "Say which product it is of."},
        widget=forms.TextInput(attrs={"list": "products", "autocomplete": "off"}),
    )
    template = forms.ModelChoiceField(
        label="Checklist", queryset=Template.objects.none(), empty_label=None, to_field_name="slug"
    )
    coordinator = PersonChoice(
        label="Release Coordinator", error_messages={"required": "Say who coordinates it: a release always has one."}
    )
    restricted = forms.BooleanField(
        required=False, label="Restricted: only its people may look", help_text="Else everyone signed in may look."
    )
    notes = forms.CharField(
        required=False, max_length=20_000, help_text="Markdown", widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["template"].queryset = Template.objects.in_use()  # type: ignore[attr-defined]

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if Release.objects.filter(key__iexact=key).exists():
            raise forms.ValidationError(f"{key} exists already; keys are used once.")
        return key

    def clean_product(self) -> str:
        name = " ".join(self.cleaned_data["product"].split())
        if not slug(name):
            raise forms.ValidationError("Give the product a name in letters or digits.")
        return name

    def product_row(self) -> Product:
        """The product of that name, made when it is new. Call it inside the transaction that makes the release."""
        name = self.cleaned_data["product"]
        known = Product.objects.filter(name__iexact=name).first()
        return known or Product.objects.get_or_create(slug=slug(name)[:80], defaults={"name": name})[0]


class RolesForm(forms.Form):
    """Who holds which role of the chosen checklist, and who else may look; all optional, what is empty is said.

    `more` names the role, or "viewers", that is given one more place.
    """

    def __init__(self, *args: Any, version: TemplateVersion, more: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        persons = list(people())
        self.plans = [plan for plan in version.roles.select_related("role") if plan.role.slug != COORDINATOR]
        for plan in self.plans:
            spare = int(plan.role.slug == more)
            self.fields[_field(plan)] = SeveralPeople(
                persons, spare=spare, label=plan.name, help_text=plan.responsibility
            )
        self.fields["viewers"] = SeveralPeople(
            persons, spare=int(more == "viewers"), label="Who else may look", help_text="Beside its people and staff."
        )

    def rows(self) -> list[tuple[TemplateRole, forms.BoundField]]:
        """Each role of the checklist with its field."""
        return [(plan, self[_field(plan)]) for plan in self.plans]

    def holders(self) -> dict[Role, list[User]]:
        """The people named for each role; only after `is_valid()`."""
        named = {plan.role: self.cleaned_data[_field(plan)] for plan in self.plans}
        return {role: held for role, held in named.items() if held}

    def take(self, found: Mapping[Role, Sequence[User]]) -> None:
        """Fill in the people of an earlier release; roles it had nobody for stay as they are."""
        for plan in self.plans:
            if plan.role in found:
                self.initial[_field(plan)] = [person.pk for person in found[plan.role]]

    def keep(self, data: QueryDict) -> None:
        """Fill in what was typed, without looking for errors."""
        self.initial = {name: field.widget.value_from_datadict(data, {}, name) for name, field in self.fields.items()}


def _field(plan: TemplateRole) -> str:
    return f"role-{plan.role.slug}"
