"""Markdown to safe HTML: CommonMark with tables and strikethrough, then a whitelist.

Raw HTML in the text is shown as text. What leaves here has passed nh3: no scripts, no styles, no `on*` or `hx-*`
attributes, no images (they would call other hosts), links only to http, https, mailto and places on this site.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore

TAGS: Final = {
    *("a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"),
    *("strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
BARE_LINK: Final = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]")


def _link_bare_addresses(state: StateCore) -> None:
    """Turn `https://…` in running text into a link: how people paste their evidence."""
    for block in state.tokens:
        if block.type != "inline" or not block.children:
            continue
        children: list[Token] = []
        inside = 0
        for token in block.children:
            inside += token.nesting if token.type in ("link_open", "link_close") else 0
            children += [token] if inside or token.type != "text" else _split(token.content)
        block.children = children


def _split(text: str) -> list[Token]:
    tokens: list[Token] = []
    end = 0
    for match in BARE_LINK.finditer(text):
        tokens.append(Token("text", "", 0, content=text[end : match.start()]))
        tokens.append(Token("link_open", "a", 1, attrs={"href": match.group()}))
        tokens.append(Token("text", "", 0, content=match.group()))
        tokens.append(Token("link_close", "a", -1))
        end = match.end()
    return [*tokens, Token("text", "", 0, content=text[end:])]


def _lower_headings(state: StateCore) -> None:
    """A note's `#` is a third-level heading of the page it stands on."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"


_markdown = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
)
_markdown.core.ruler.push("bare_links", _link_bare_addresses)
_markdown.core.ruler.push("lower_headings", _lower_headings)


def _clean(html: str) -> SafeString:
    clean = nh3.clean(
        html,
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    return mark_safe(clean)  # noqa: S308 - this is the one place that may say so


def render(text: str) -> SafeString:
    """Notes and guidance as blocks (`<p>`, lists, tables)."""
    return _clean(_markdown.render(text))


def render_inline(text: str) -> SafeString:
    """One line, without a surrounding `<p>`."""
    return _clean(_markdown.renderInline(text))
