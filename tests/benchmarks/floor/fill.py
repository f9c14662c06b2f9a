"""Make the floor's tables and rows, and say how to ask for them: `python -m tests.benchmarks.floor.fill`."""

import json
import sys
from datetime import timedelta

ITEMS = 35
TICKERS = 8


def fill(releases: int) -> dict[str, object]:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.cached_db import SessionStore
    from django.core.management import call_command
    from django.utils import timezone

    from tests.benchmarks.floor.models import History, Item, Release

    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # tables of our own, which point at theirs
    people = [
        User.objects.create(username=f"p{n}", first_name=f"Person {n}", email=f"p{n}@example.org") for n in range(8)
    ]
    now = timezone.now()
    rows = Release.objects.bulk_create(
        Release(
            key=f"PAY-{n}.0",
            title="Payments",
            status="preparing",
            t_zero=now + timedelta(days=3, hours=n),
            window_end=now + timedelta(days=3, hours=n + 2),
            coordinator=people[n % 8],
        )
        for n in range(releases)
    )
    for release in rows:
        items = Item.objects.bulk_create(
            Item(
                release=release,
                phase=f"Phase {n // 7}",
                position=n,
                title=f"Check number {n} of the list",
                guidance="Look closely at the place where it is written, and say what you saw. " * 2,
                role="QA Lead",
                due_at=now + timedelta(days=2, hours=n),
                state="done" if n < 12 else "open",
                state_by=people[n % 8] if n < 12 else None,
                state_at=now if n < 12 else None,
            )
            for n in range(ITEMS)
        )
        History.objects.bulk_create(
            History(release=release, item=item, at=now, actor=people[0], action="done", data={}) for item in items[:8]
        )
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = (
        str(people[0].pk),
        "django.contrib.auth.backends.ModelBackend",
    )
    session[HASH_SESSION_KEY] = people[0].get_session_auth_hash()
    session.create()
    return {
        "session": session.session_key,
        "cookie": settings.SESSION_COOKIE_NAME,
        "page": "/r/PAY-0.0/",
        "dashboard": "/",
        "poll": "/r/PAY-0.0/poll/?seen=0",
        "ticks": [
            {"url": f"/r/{row.key}/items/{row.items.order_by('-position')[0].pk}/done/", "release": row.pk}
            for row in rows[:TICKERS]
        ],
        "statements": statements(session.session_key, rows[0]),
    }


def statements(session: str, release: object) -> dict[str, int]:
    """How many statements each of the four asks, all caches warm."""
    from tests.benchmarks.counting import counted

    key = release.key  # type: ignore[attr-defined]
    item = release.items.order_by("-position")[0]  # type: ignore[attr-defined]
    body = {"to": "open", "release": release.pk}  # type: ignore[attr-defined]
    return {
        "tick": counted(session, f"/r/{key}/items/{item.pk}/done/", body),
        "page": counted(session, f"/r/{key}/"),
        "dashboard": counted(session, "/"),
        "poll": counted(session, f"/r/{key}/poll/?seen=0"),
    }


if __name__ == "__main__":
    print(json.dumps(fill(int(sys.argv[1]))))
