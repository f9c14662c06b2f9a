"""A checklist as text: pasted or uploaded, read, and looked at before it is saved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.functional import cached_property

from checklists.blueprints import Blueprint, Problem, Reading
from checklists.diffing import Diff, diff
from checklists.editing import Fault, faults, named
from checklists.markdown import ChecklistTooLarge, Limits, parse
from checklists.models import Template
from checklists.usable import lacks


class SourceError(ValueError):
    """The text cannot be read at all; the message says why."""


def decode(raw: bytes, name: str) -> str:
    """Return the text of a file. SourceError when it is too large or not UTF-8, with the place."""
    if len(raw) > Limits.BYTES:
        raise SourceError(f"{name} is larger than {Limits.BYTES // 1024} KiB. Split the checklist up.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = raw[: failure.start].count(b"\n") + 1
        sentence = f"{name} is not UTF-8 text: line {line} has a byte that belongs to another encoding."
        raise SourceError(sentence) from None


@dataclass(frozen=True)
class Line:
    """A source line that was not understood, with its text."""

    number: int
    text: str
    message: str


class Preview:
    """What a text would become. SourceError when it is too large."""

    def __init__(self, text: str, *, name: str = "", template: Template | None = None) -> None:
        self.text = text
        try:
            self.reading: Reading = parse(text)
        except ChecklistTooLarge as failure:
            raise SourceError(str(failure)) from None
        self._name = name.strip()
        self._template = template

    @cached_property
    def plan(self) -> Blueprint:
        read = self.reading.blueprint
        fallback = self._template.name if self._template else ""
        return replace(read, name=self._name or read.name or fallback)

    @cached_property
    def template(self) -> Template | None:
        """The template a save would go to: the one being edited, or the one of that name."""
        return self._template or named(self.plan.name)

    @cached_property
    def seen(self) -> int | None:
        return self.template.current.number if self.template else None

    @property
    def next_number(self) -> int:
        return (self.seen or 0) + 1

    @cached_property
    def diff(self) -> Diff | None:
        """Against the current version; None for a new template."""
        return diff(self.template.current.blueprint(), self.plan) if self.template else None

    @cached_property
    def missing(self) -> tuple[Problem, ...]:
        return lacks(self.plan)

    @cached_property
    def faults(self) -> list[Fault]:
        return faults(self.plan)

    @property
    def usable(self) -> bool:
        return not any(problem.blocking for problem in self.missing)

    @cached_property
    def not_understood(self) -> list[Line]:
        """Lines the reader could not place, with their text; what the plan lacks is said by `missing`."""
        lacking = {problem.message for problem in lacks(self.reading.blueprint)}
        texts = dict(enumerate((line.strip() for line in self._lines()), 1))
        return [
            Line(problem.line, texts.get(problem.line, ""), problem.message)
            for problem in self.reading.problems
            if problem.message not in lacking
        ]

    def _lines(self) -> list[str]:
        """Lines as the reader counts them."""
        return self.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")

    @property
    def understood(self) -> str:
        """Return "6 phases, 35 items, 6 roles, 4 seats"."""
        counts = [
            (len(self.plan.phases), "phase"),
            (len(self.plan.items), "item"),
            (len(self.plan.roles), "role"),
            (len(self.plan.seats), "seat"),
        ]
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)


def mark_of(text: str) -> str:
    """Identify a text whatever its line ends, so that only what was looked at is saved."""
    return hashlib.sha256("\n".join(text.splitlines()).encode(errors="replace")).hexdigest()[:16]


class SourceForm(forms.Form):
    """A pasted text; a file, when one is chosen, takes its place."""

    use_required_attribute = False

    text = forms.CharField(
        label="Paste a checklist as Markdown",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "class": "paste"}),
    )
    file = forms.FileField(label="or take a file", required=False, allow_empty_file=True)
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=200,
        help_text="Left empty, the first heading gives it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean(self) -> dict[str, object]:
        """Put an uploaded file's text where the pasted one would be."""
        data = super().clean() or {}
        upload = data.get("file")
        try:
            if isinstance(upload, UploadedFile):
                data["text"] = self._text_of(upload)
        except SourceError as failure:
            self.add_error("file", str(failure))
        if not self.errors and not str(data.get("text", "")).strip():
            self.add_error("text", "There is nothing to read yet. Paste a checklist, or choose a file.")
        return data

    def _text_of(self, upload: UploadedFile) -> str:
        if (upload.size or 0) > Limits.BYTES:
            return decode(b" " * (Limits.BYTES + 1), upload.name or "The file")
        return decode(upload.read(), upload.name or "The file")


class MarkdownForm(forms.Form):
    """A template's Markdown, edited in place."""

    use_required_attribute = False

    text = forms.CharField(
        label="Markdown",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "paste"}),
    )

    def clean_text(self) -> str:
        text = str(self.cleaned_data["text"])
        if not text.strip():
            raise forms.ValidationError("There is nothing to read. A checklist has headings, and items below them.")
        return text


class CopyForm(forms.Form):
    name = forms.CharField(label="Name of the copy", max_length=200)
