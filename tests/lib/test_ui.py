"""What every page draws: shapes, times, forms, messages."""

from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.contrib import messages
from django.contrib.messages.storage.fallback import FallbackStorage
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from relcoord.lib.htmx import say
from relcoord.templatetags import ui
from releases.models import Status
from releases.models.item import State as ItemState

T_ZERO = datetime(2026, 11, 26, 13, 0, tzinfo=UTC)


def drawn(source, **context):
    return Template("{% load ui %}" + source).render(Context(context))


def test_every_state_of_an_item_has_a_shape_of_its_own():
    shapes = {state: ui._role(state) for state in ItemState}
    assert len(set(shapes.values())) == len(shapes)


@pytest.mark.parametrize("status", Status)
def test_every_status_of_a_release_has_a_known_shape(status):
    assert ui.role(status) in ui.ROLES


def test_a_word_nobody_knows_is_drawn_as_open():
    assert 'class="i wait"' in drawn("{% glyph 'sideways' %}")


def test_what_is_said_is_escaped():
    assert "<script>" not in drawn("{% state 'late' text %}", text="<script>")


def test_a_time_is_said_in_the_reader_s_zone_with_the_release_s_and_utc_behind():
    with timezone.override("Asia/Kathmandu"):
        html = drawn("{% when at 'Europe/Berlin' %}", at=T_ZERO)
    assert ">Thu 26 Nov 18:45 UTC+05:45<" in html
    assert 'title="Thu 26 Nov 14:00 CET · Thu 26 Nov 13:00 UTC"' in html


def test_no_moment_is_no_time():
    assert drawn("{% when at %}{% clock at %}{{ at|local }}{{ at|local_short }}", at=None) == ""


def test_a_clock_is_written_for_the_page_s_own_now():
    html = drawn("{% clock at %}", at=T_ZERO, now=T_ZERO - timedelta(hours=4, minutes=15))
    assert ">T−04:15</time>" in html
    assert 'datetime="2026-11-26T13:00:00+00:00"' in html


@pytest.mark.parametrize(
    ("name", "letters"), [("Ana Kovač", "AK"), ("Ben", "B"), ("Mary Jane van Dyk", "MD"), ("eli@x.org", "E"), ("", "?")]
)
def test_a_face_is_at_most_two_letters(name, letters):
    assert ui.initials(name) == letters


class Plan(forms.Form):
    title = forms.CharField(help_text="As people say it")
    agreed = forms.BooleanField(required=False)
    size = forms.ChoiceField(choices=[("s", "Small"), ("l", "Large")], widget=forms.RadioSelect)


@pytest.mark.parametrize("name", Plan.base_fields)
def test_a_field_that_is_wrong_says_so_where_a_screen_reader_looks(name):
    import html5lib

    field = Plan({"title": "", "size": "huge"})[name]
    html = drawn('{% include "partials/_field.html" %}', field=field)
    ids = {node.get("id") for node in html5lib.parse(html, namespaceHTMLElements=False).iter() if node.get("id")}
    described = {
        word
        for node in html5lib.parse(html, namespaceHTMLElements=False).iter()
        for word in (node.get("aria-describedby") or "").split()
    }
    assert described <= ids, "aria-describedby names what is there"
    if field.errors:
        assert f"id_{name}_error" in described
        assert field.errors[0] in html


@pytest.mark.parametrize("htmx", [False, True])
def test_an_undo_posts_what_was_said_back_to_where_it_came_from(htmx):
    request = RequestFactory().get("/")
    request.session = {}
    request._messages = FallbackStorage(request)
    request.htmx = htmx
    say(request, "Smoke tests <done>", undo="/r/PAY-4.2/items/10/done/", target="#item-10", to="open", v=6)
    html = drawn(
        '{% include "partials/_messages.html" %}',
        request=request,
        messages=messages.get_messages(request),
        csrf_token="t",
    )
    assert 'action="/r/PAY-4.2/items/10/done/"' in html
    assert 'name="to" value="open"' in html
    assert 'name="v" value="6"' in html
    assert "Smoke tests &lt;done&gt;" in html
    assert ('hx-swap-oob="beforeend:#toasts"' in html) == htmx
    assert ('hx-target="#item-10"' in html) == htmx
