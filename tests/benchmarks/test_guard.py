"""What the pages ask of the database, exactly, and that a tick stays within sight of the bare floor. No absolute times.

Sessions and caches are those of production; BEGIN and COMMIT are counted apart, savepoints are not.
"""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases import live, sheet
from releases.models import Status
from tests.benchmarks.fill import sized, worked_on
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, saved
from tests.web import signed_in

FRAME = re.compile(r"^(BEGIN|COMMIT|SAVEPOINT|RELEASE)")


@pytest.fixture
def ada(cast: Cast, settings: Any) -> Client:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    cache.set("heartbeat", {"reminders": timezone.now()}, 600)
    return signed_in(cast.ada)


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def statements(client: Client, url: str, data: Any = None, **headers: str) -> list[str]:
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(url, headers=headers) if data is None else client.post(url, data, headers=headers)
    assert answer.status_code in (200, 204)
    return [query["sql"] for query in seen.captured_queries if not FRAME.match(query["sql"])]


def test_a_release_page_asks_nine_times_for_5_items_as_for_500(ada: Client, cast: Cast) -> None:
    for size in (5, 500):
        release = ReleaseFactory(version=saved(sized(size)))
        if size == 5:
            worked_on(release)
        statements(ada, release.get_absolute_url())
        assert len(statements(ada, release.get_absolute_url())) == 9


def test_an_unchanged_poll_asks_for_the_reader_and_the_revision(ada: Client, cast: Cast) -> None:
    release = ReleaseFactory()
    url = live.url(fresh(release), timezone.now())
    statements(ada, url)
    assert len(statements(ada, url)) == 2


def test_a_tick_asks_eleven_times_besides_begin_and_commit(ada: Client, cast: Cast) -> None:
    release = ReleaseFactory()
    row, page = item(release, "All PRs merged"), release.get_absolute_url()
    statements(ada, page)
    headers = {
        "HX-Request": "true",
        "HX-Current-URL": f"http://testserver{page}",
        "X-Live-Token": str(live.token(fresh(release), timezone.now())),
    }
    asked = statements(ada, f"{page}items/{row.pk}/done/", {"to": "done", "v": row.version}, **headers)
    assert len(asked) == 11, "\n".join(asked)
    assert not [sql for sql in asked if "releases_item" in sql and sql.startswith("SELECT")][1:]  # read once


def test_the_dashboard_asks_ten_times_at_most_whatever_its_releases_are_at(ada: Client, cast: Cast) -> None:
    for _ in range(3):
        ReleaseFactory()
    statements(ada, "/releases/")
    assert len(statements(ada, "/releases/")) == 9
    bring_to(ReleaseFactory(), Status.POLLING)
    bring_to(ReleaseFactory(), Status.ROLLING_BACK)
    statements(ada, "/releases/")
    assert len(statements(ada, "/releases/")) == 10


PLAIN = """{% load ui %}{% for row in rows %}<li class="row" id="item-{{ row.item.pk }}" data-state="{{ row.item.state }}">
<form method="post" action="{% url 'releases:item_done' release.key row.item.pk %}"><input type="hidden" name="v"
value="{{ row.item.version }}"><button name="to" value="{% if row.item.is_done %}open{% else %}done{% endif %}"
>{{ row.item.title }}</button></form><a href="{% url 'releases:item' release.key row.item.pk %}">{{ row.item.title }}</a>
{% if row.item.guidance %}<details><summary>how</summary><p>{{ row.item.guidance|truncatewords:12 }}</p></details>{% endif %}
<span>{% if row.item.state_by %}{{ row.item.state_by.name }}{% else %}{{ row.item.role.name|default:"nobody" }}{% endif %}
</span><time datetime="{{ row.moments.due_at|date:"c" }}" title="{{ row.moments.due_at|date:"D j M H:i" }}">{{
row.moments.due_at|date:"j M H:i" }}</time><a href="{% url 'releases:item_block' release.key row.item.pk %}">Block</a>
</li>{% endfor %}"""


def test_rows_cost_little_more_than_plain_ones_with_filters(cast: Cast, settings: Any) -> None:
    """The row has a menu, rights, states and clocks; the plain one a third of its words."""
    release = sheet.load(ReleaseFactory(version=saved(sized(60))))
    now = timezone.now()

    def cost(template: Any) -> float:
        found = []
        for _ in range(4):
            rows = list(sheet.sheet(release, cast.ada, now).rows.values())
            began = time.process_time()
            template.render({"rows": rows, "release": release, "now": now, "csrf_token": "x"})
            found.append(time.process_time() - began)
        return min(found)

    ours = engines["django"].from_string('{% for row in rows %}{% include "releases/_item.html" %}{% endfor %}')
    assert cost(ours) < 4 * cost(engines["django"].from_string(PLAIN))
