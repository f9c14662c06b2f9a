"""The form that plans a release: what, when, by which checklist, with whom."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.db.models import QuerySet

from checklists.blueprints import slug
from checklists.models import Role, Template, TemplateVersion
from relcoord.models import User
from releases.forms.people import PersonChoice, PersonForm, people
from releases.models import COORDINATOR, Product, Release


class PlanForm(PersonForm):
    """All of a release but its window (`WindowForm`) and its people (`RolesForm`)."""

    key = forms.CharField(
        max_length=40,
        help_text="As people say it: PAY-4.2. Letters, digits, dots and hyphens.",
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Write it in letters, digits, dots and hyphens: PAY-4.2.")
        ],
    )
    title = forms.CharField(max_length=120, help_text="Payments 4.2")
    product = forms.CharField(
        max_length=120, help_text="Choose one or write a new one.", widget=forms.TextInput(attrs={"list": "products"})
    )
    template = forms.ModelChoiceField(
        label="Checklist", queryset=Template.objects.none(), empty_label=None, to_field_name="slug"
    )
    coordinator = PersonChoice(label="Release Coordinator")
    restricted = forms.BooleanField(
        required=False, label="Only for its people", help_text="Otherwise everyone signed in may look."
    )
    notes = forms.CharField(required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}))

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
    """Who holds which role of the chosen checklist; every field is optional, what is empty is said."""

    def __init__(self, *args: Any, version: TemplateVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        everyone: QuerySet[User] = people()
        self.roles: dict[str, Role] = {}
        for plan in version.roles.select_related("role"):
            if plan.role.slug == COORDINATOR:
                continue
            name = f"role-{plan.role.slug}"
            self.roles[name] = plan.role
            self.fields[name] = forms.ModelMultipleChoiceField(
                queryset=everyone,
                required=False,
                label=plan.name,
                help_text=plan.responsibility
                + (" Needed: without a holder the release alarms." if plan.required else ""),
                widget=forms.SelectMultiple(attrs={"size": 4}),
            )

    def holders(self) -> dict[Role, list[User]]:
        """The people named for each role; only after `is_valid()`."""
        return {role: list(self.cleaned_data[name]) for name, role in self.roles.items() if self.cleaned_data[name]}
