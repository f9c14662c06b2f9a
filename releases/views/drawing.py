"""What the parts of a release's pages are drawn from, and what they share: addresses, moments, their own tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.urls import reverse

from relcoord.templatetags.ui import when
from releases.models import Release
from releases.views.frame import Head

if TYPE_CHECKING:
    from releases.views.page import Page


@lru_cache(maxsize=4096)
def url(name: str, key: str, *more: str | int) -> str:
    """Kept, because a page names some thirty, and the addresses of a process do not change."""
    return reverse(f"releases:{name}", args=[key, *more])


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and where to: `oob` for an answer beside its main part. `csrf` is the hidden field of forms."""

    head: Head
    seen: Page | None = None  # None: only the header is drawn
    csrf: str = ""
    oob: bool = False
    note_error: str = ""

    @property
    def release(self) -> Release:
        return self.head.release

    @property
    def page(self) -> Page:
        if self.seen is None:
            raise ValueError("only the header is drawn without a page")
        return self.seen

    def opening(self, tag: str, name: str, extra: str = "", swap: str = "outerHTML") -> str:
        """The tag of a region, which fetches itself again when it is told that it changed."""
        oob = ' hx-swap-oob="true"' if self.oob else ""
        return (
            f'<{tag} id="{name}"{oob}{extra} hx-get="{url("part", self.release.key, name)}"'
            f' hx-trigger="live:{name} from:body delay:200ms" hx-swap="{swap}">'
        )


def of(context: Mapping[str, Any]) -> Drawing:
    """What a template draws from: the context that `frame` or `page_context` made."""
    token = csrf_field(context.get("csrf_token", ""))
    return Drawing(context["head"], context.get("page"), token, note_error=context.get("note_error", ""))


def csrf_field(token: object) -> str:
    """The hidden field of the forms, as `{% csrf_token %}` writes it."""
    return f'<input type="hidden" name="csrfmiddlewaretoken" value="{token}">'


def shown(release: Release, moment: datetime | None) -> str:
    """A moment in few letters, with the release's zone in its title."""
    return when(moment, release.time_zone, short=True)


def only_if(holds: object, text: str) -> str:
    return text if holds else ""
