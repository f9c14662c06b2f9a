"""The two halves of an item's row: `{% load rows %}`. What they say is made in `releases.views.rows`."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from releases.sheet import Row
from releases.views import rows

register = template.Library()


@register.simple_tag(takes_context=True)
def row_opening(context: template.Context, row: Row) -> SafeString:
    """The row up to where a notice or an open form may stand."""
    notice, token = context.get("notice"), context.get("csrf_token", "")
    csrf = f'<input type="hidden" name="csrfmiddlewaretoken" value="{token}">'
    return rows.opening(row, csrf, oob=bool(context.get("oob")), conflict=notice is not None and notice[0] == "active")


@register.simple_tag
def row_closing(row: Row) -> SafeString:
    """What stands at the end of the row, and its menu."""
    return rows.closing(row)
