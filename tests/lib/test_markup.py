"""Markdown becomes HTML that cannot do anything."""

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relcoord.lib import markup

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    '<div hx-get="/accounts/logout/" hx-trigger="load">x</div>',
    '<b style="position:fixed;inset:0">x</b>',
    '<form action="/x"><input name=a></form>',
    "<iframe src=//evil.example></iframe>",
    "![pixel](https://evil.example/p.gif)",
    '[x](https://ok.example "onmouseover=alert(1)")',
    "<svg><use href='//evil.example#x'/></svg>",
    '<https://ok.example/"onclick=alert(1)>',
    'https://ok.example/"><script>alert(1)</script>',
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "[x]: javascript:alert(1)\n\n[x]",
]


def elements(html: str):
    tree = html5lib.parseFragment(html, namespaceHTMLElements=False)
    return [node for node in tree.iter() if isinstance(node.tag, str) and node is not tree]


def assert_harmless(html: str) -> None:
    for node in elements(html):
        assert node.tag in markup.TAGS, html
        for name, value in node.attrib.items():
            assert name in {"href", "title", "rel", "start"}, html
            if name == "href":
                scheme = value.split(":")[0].lower() if ":" in value.split("/")[0] else ""
                assert scheme in {"", "http", "https", "mailto"}, html


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_that_acts_survives(text):
    assert_harmless(markup.render(text))
    assert_harmless(markup.render_inline(text))


@given(st.text(alphabet=st.sampled_from("<>\"'=&;:/()[]!*_`#-|~ \n\tabhjsx1"), max_size=120))
def test_no_heap_of_signs_becomes_something_that_acts(text):
    assert_harmless(markup.render(text))


def test_raw_html_is_shown_as_it_was_typed():
    assert markup.render("<b>so</b>") == "<p>&lt;b&gt;so&lt;/b&gt;</p>\n"


def test_notes_may_have_lists_tables_and_struck_text():
    html = markup.render("- one\n- ~~two~~\n\n| a | b |\n|:-:|---|\n| 1 | 2 |\n")
    assert [node.tag for node in elements(html)].count("li") == 2
    assert "<s>two</s>" in html
    assert "<td>1</td>" in html


def test_a_note_s_headings_stand_below_those_of_its_page():
    assert markup.render("# Plan") == "<h3>Plan</h3>\n"
    assert markup.render("##### Deep") == "<h6>Deep</h6>\n"


def test_a_bare_address_is_a_link_and_the_full_stop_after_it_is_not():
    html = markup.render("See https://ci.example/run/4812?a=1&b=2.")
    link = next(node for node in elements(html) if node.tag == "a")
    assert link.get("href") == "https://ci.example/run/4812?a=1&b=2"
    assert html.endswith("</a>.</p>\n")


def test_an_address_in_code_or_in_a_link_stays_as_it_is():
    assert "<a" not in markup.render("`https://ci.example`")
    assert markup.render("[https://a.example](https://b.example)").count("<a ") == 1


def test_links_tell_other_sites_nothing():
    assert 'rel="nofollow noopener noreferrer"' in markup.render("<https://ok.example>")


def test_a_line_break_is_a_line_break():
    assert "<br>" in markup.render("one\ntwo")
