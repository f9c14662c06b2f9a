"""Load releases of the standard checklist into relcoord's database, and say how to ask for them.

`python -m tests.benchmarks.fill 40` makes forty by the verbs. `... --more 60` copies prepared ones, with all their rows
and later moments, because a thousand births take minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releases.models import Release

SIZES = (5, 35, 200, 500)
TICKERS = 8
STRIDE = 10_000_000  # between the ids of a row and of its next copy
APART = 60  # days between a release and its next copy


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("releases", type=int, nargs="?", default=0)
    parser.add_argument("--more", type=int, default=0)
    asked = parser.parse_args(arguments)
    import logging

    import django

    django.setup()
    logging.disable(logging.WARNING)
    print(json.dumps(more(asked.more) if asked.more else first(asked.releases)))


def first(count: int) -> dict[str, Any]:
    """`count` releases as they stand in a busy month, one page of each of `SIZES`, and releases to tick in.

    Four coordinators share them, and twelve people are on call: nobody could be for four releases a day.
    """
    from datetime import timedelta

    from django.core.management import call_command
    from django.utils import timezone

    from releases.models import Status
    from tests.factories import Cast, ReleaseFactory, UserFactory, bring_to, role, saved, standard, window

    call_command("migrate", verbosity=0)
    cast = Cast()
    soon = timedelta(days=3, hours=1)
    pages = {
        size: worked_on(ReleaseFactory(key=f"SIZE-{size}", version=saved(sized(size)))) for size in SIZES if size != 35
    }
    pages[35] = worked_on(thirty_five(cast))
    ticked = [ReleaseFactory(key=f"TICK-{n}", version=standard()) for n in range(TICKERS)]
    stands = {
        3: Status.POLLING,
        6: Status.POLLING,
        9: Status.DEPLOYING,
        12: Status.ROLLING_BACK,
        15: Status.CLEARED,
        18: Status.CLOSED,
    }
    leads, on_call = [cast.ada, cast.ben, cast.dana, cast.fay], role("On-call Engineer")
    nights = [UserFactory(name=f"Night {n}", email=f"night{n}@example.org") for n in range(12)]
    for n in range(count - len(pages) - len(ticked)):
        release = ReleaseFactory(
            key=f"PAY-{n}.0",
            version=standard(),
            window=window(soon + timedelta(hours=6 * n)),
            coordinator=leads[n % len(leads)],
            holders=cast.holders() | {on_call: [nights[n % len(nights)]]},
        )
        if n in stands:
            bring_to(release, stands[n])
        elif n % 3 == 0:
            worked_on(release)
    now = int(timezone.now().timestamp() * 1000)
    session = session_of(cast.ada)
    from releases import live

    polled = pages[35]
    polled.refresh_from_db()
    found = {
        "session": session,
        "cookie": "sessionid",
        "page": pages[35].get_absolute_url(),
        "pages": {str(size): release.get_absolute_url() for size, release in sorted(pages.items())},
        "dashboard": "/releases/",
        "poll": live.url(polled, timezone.now()),
        "ticks": [tickable(release) for release in ticked],
        "now": now,
    }
    return found | {"statements": statements(found)}


def thirty_five(cast: Any) -> Release:
    """The standard checklist, 29 items, and 6 of its own."""
    from releases import amending
    from tests.factories import ReleaseFactory, standard

    release = ReleaseFactory(key="PAY-4.2", version=standard())
    for n in range(6):
        amending.add_item(release.phases.order_by("position")[0], f"Own check {n}", by=cast.ada)
    return release


def sized(count: int) -> Any:
    """A checklist of `count` items in the phases of the small one."""
    from dataclasses import replace

    from checklists.blueprints import ItemPlan, Stage
    from tests.factories import SMALL

    roles = ["", "QA Lead", "Developers", "Risk Champion", "Project Manager"]
    words = "Look **closely** at the place where it is written, and say what you saw."
    phases = [replace(phase, items=tuple(needed(phase))) for phase in SMALL.phases]
    early = [n for n, phase in enumerate(phases) if phase.stage == Stage.PREPARATION]
    left = count - sum(len(phase.items) for phase in phases)
    for n in range(left):
        at = early[n * len(early) // left]
        plan = ItemPlan(f"Check number {n} of the list", role=roles[n % 5], guidance=words)
        phases[at] = replace(phases[at], items=(*phases[at].items, plan))
    return replace(SMALL, name=f"With {count}", phases=tuple(phases))


def needed(phase: Any) -> list[Any]:
    """What no checklist can do without: the decision, something in production, the closing."""
    from checklists.blueprints import Kind, Stage

    if phase.stage == Stage.PRODUCTION:
        return list(phase.items[:1])
    return [item for item in phase.items if item.kind in (Kind.DECISION, Kind.CLOSE)]


def worked_on(release: Release) -> Release:
    """A third done, one blocked, some evidence and notes: as a release looks in the middle."""
    from releases import ticking
    from releases.models import Item
    from tests.factories import _by_role

    people = _by_role(release)
    rows = [row for row in Item.objects.of(release).gate() if row.kind == "check"]
    for n, row in enumerate(rows[: max(1, len(rows) // 3)]):
        by = people.get(row.role_id, release.coordinator)
        proof = (
            ticking.Proof(label="seen", url="https://ci.example.com/1") if row.evidence_wanted or n % 4 == 0 else None
        )
        ticking.set_done(row, True, by=by, proof=proof)
    if len(rows) > 2:
        ticking.block(rows[-1], "The vendor does not answer", by=release.coordinator)
        ticking.write_note(release, "Asked again", by=release.coordinator, item=rows[-1])
    return release


def session_of(user: Any) -> str:
    """A session of `user`, as logging in makes one."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(user.pk), "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


def tickable(release: Release) -> dict[str, Any]:
    """An item of `release`, who ticks it, and what the page has seen of it."""
    from releases.models import Item
    from tests.factories import _by_role, fresh

    people = _by_role(release)
    rows = Item.objects.of(release).gate().filter(kind="check", evidence_wanted=False, phase__stage="preparation")
    row = next(row for row in rows if row.role_id in people)
    return {
        "url": f"{release.get_absolute_url()}items/{row.pk}/done/",
        "page": release.get_absolute_url(),
        "session": session_of(people[row.role_id]),
        "version": row.version,
        "sequence": fresh(release).event_sequence,
    }


def statements(found: dict[str, Any]) -> dict[str, Any]:
    """How many statements each request asks, all caches warm; for a tick, also after a look at the page."""
    from django.core.cache import cache
    from django.utils import timezone

    from tests.benchmarks.counting import asked, counted

    cache.set("heartbeat", {"reminders": timezone.now()}, 60)  # read once in ten seconds, by whoever comes first
    session, ticker = found["session"], found["ticks"][0]
    for url in (found["page"], found["dashboard"]):
        asked(session, url)
    asked(ticker["session"], ticker["page"])
    headers = {
        "HX-Request": "true",
        "HX-Current-URL": f"http://localhost{ticker['page']}",
        "X-Live-Token": f"{ticker['sequence']}.{found['now']}",
    }
    ticked = asked(ticker["session"], ticker["url"], {"to": "done", "v": ticker["version"]}, **headers)
    ticker["version"] += 1
    ticker["sequence"] += 1
    ticker["done"] = True
    return {
        "tick": len(ticked),
        "page": counted(session, found["page"]),
        "pages": {size: counted(session, url) for size, url in found["pages"].items()},
        "dashboard": counted(session, found["dashboard"]),
        "poll": counted(session, found["poll"]),
    }


def more(count: int) -> dict[str, Any]:
    """Copy prepared releases, each time with later moments, until there are `count` more."""
    from django.db import connection

    from releases.models import Release

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # ten thousand releases at once take longer than any page may
        cursor.execute(
            "SELECT id FROM releases_release WHERE key LIKE 'PAY-%%' AND status = 'preparing' AND id < %s ORDER BY id",
            [STRIDE],
        )
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT max(id) / %s FROM releases_release", [STRIDE])
        done = cursor.fetchone()[0]
        times, rest = divmod(count, len(ids))
        before = Release.objects.count()
        _copied(cursor, ids, done + 1, done + times)
        _copied(cursor, ids[:rest], done + times + 1, done + times + 1)
        cursor.execute("ANALYZE")
    return {"copied": Release.objects.count() - before}


def _copied(cursor: Any, ids: list[int], first: int, last: int) -> None:
    """Each of them as copies number `first` to `last`, with all its rows; one statement a table, however many."""
    from releases.models import Assignment, Event, Item, Phase, Release, Seat

    own = {
        "key": "key || '-' || n",
        "t_zero": f"t_zero + n * interval '{APART} days'",
        "window_end": f"window_end + n * interval '{APART} days'",
    }
    tables: list[tuple[Any, str, dict[str, str]]] = [(Release, "id = ANY(%s)", own)]
    tables += [
        (model, "release_id = ANY(%s)", {"release_id": f"release_id + n * {STRIDE}"})
        for model in (Phase, Assignment, Seat, Event)
    ]
    inside = "phase_id IN (SELECT id FROM releases_phase WHERE release_id = ANY(%s))"
    tables.append((Item, inside, {"phase_id": f"phase_id + n * {STRIDE}"}))
    for model, where, changed in tables:
        columns = [field.column for field in model._meta.concrete_fields]
        given = {"id": f"id + n * {STRIDE}"} | changed
        values = ", ".join(given.get(column, f'"{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {values} FROM "{model._meta.db_table}",'
            f" generate_series(%s::bigint, %s::bigint) AS n WHERE {where}",
            [first, last, ids],
        )


if __name__ == "__main__":
    main(sys.argv[1:])
