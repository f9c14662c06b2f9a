"""What `releases.views` makes in Python: `{% load rows %}`. Rows are made in `rows`, regions of a page in `regions`."""

from __future__ import annotations

from typing import Any, cast

from django import template
from django.utils.safestring import SafeString, mark_safe

from releases.sheet import Row
from releases.views import drawing, header, regions, rows

register = template.Library()


def _drawing(context: template.Context) -> drawing.Drawing:
    return drawing.of(cast(dict[str, Any], context.flatten()))


@register.simple_tag(takes_context=True)
def row_opening(context: template.Context, row: Row) -> SafeString:
    """The row up to where a notice or an open form may stand."""
    notice = context.get("notice")
    oob, conflict = bool(context.get("oob")), notice is not None and notice[0] == "active"
    return rows.opening(row, drawing.csrf_field(context.get("csrf_token", "")), oob=oob, conflict=conflict)


@register.simple_tag
def row_verdict(row: Row) -> SafeString:
    """The way to end a watch that runs."""
    return rows.verdict(row)


@register.simple_tag
def row_closing(row: Row) -> SafeString:
    """What stands at the end of the row, and its menu."""
    return rows.closing(row)


@register.simple_tag(takes_context=True)
def region(context: template.Context, name: str) -> SafeString:
    """`{% region "gate" %}`: a part of the page that changes while people look. Context: that of `frame` or `page`."""
    return regions.draw(_drawing(context), name)


@register.simple_tag(takes_context=True)
def region_count(context: template.Context) -> SafeString:
    """How much of the phase `section` is settled."""
    return mark_safe(regions.count(_drawing(context), context["section"]))  # noqa: S308 - escaped there


@register.simple_tag(takes_context=True)
def release_tabs(context: template.Context) -> SafeString:
    """The pages of a release, that of `tab` marked."""
    return header.tabs(context["release"], context["tab"])


@register.simple_tag(takes_context=True)
def release_links(context: template.Context) -> SafeString:
    """What else can be done from the release page."""
    return regions.links(context["page"])
