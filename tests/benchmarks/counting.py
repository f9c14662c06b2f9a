"""How many statements one request asks of the database: exact, in this process, all caches warm."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def asked(session: str, url: str, data: Any = None, **headers: str) -> list[str]:
    """The statements of one request, BEGIN, COMMIT and savepoints among them."""
    client = Client(headers={"Host": "localhost"} | headers)
    client.cookies[settings.SESSION_COOKIE_NAME] = session
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(url) if data is None else client.post(url, data)
    if answer.status_code not in (200, 204):
        raise RuntimeError(f"{url} answered {answer.status_code}: {answer.content[:2000]!r}")
    return [query["sql"] for query in seen.captured_queries]


def counted(session: str, url: str, data: Any = None, **headers: str) -> int:
    """Ask once to warm up, and count the second time."""
    if data is None:
        asked(session, url, **headers)
    return len(asked(session, url, data, **headers))
