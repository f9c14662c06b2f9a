"""Log lines: one a record, with who asked what, and without the tokens that addresses carry.

`LOG_FORMAT` chooses: "json" for machines, "text" for a terminal. A record says what its place knew: the request's id,
its release and its person while a page is made, the task while a worker runs one, the release while its mail is sent.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from celery import current_task
from django.http import HttpRequest

from relcoord.lib.masking import masked

HEADER: Final = "X-Request-ID"
SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")

asked: ContextVar[HttpRequest | None] = ContextVar("asked", default=None)  # the request this thread answers
_release: ContextVar[str] = ContextVar("release", default="")


def request_id(given: str) -> str:
    """The id somebody before us gave the request, when it is one; else one of our own."""
    return given if SANE.fullmatch(given) else secrets.token_hex(16)


@contextmanager
def about(release: str) -> Iterator[None]:
    """While a worker is busy with a release, its lines name it."""
    token = _release.set(release)
    try:
        yield
    finally:
        _release.reset(token)


def surroundings(record: logging.LogRecord) -> dict[str, Any]:
    """What is known of where `record` was written, without asking the database."""
    known: dict[str, Any] = {}
    of_record = getattr(record, "request", None)  # Django's own lines bring it; runserver's is a socket
    request = of_record if isinstance(of_record, HttpRequest) else asked.get()
    if request is not None:
        match = request.resolver_match
        known["request_id"] = getattr(request, "request_id", None)
        known["release"] = match.kwargs.get("key") if match else None
        # Where Django keeps the person once something asked for them; to ask here would cost a statement a line.
        known["user_id"] = getattr(getattr(request, "_cached_user", None), "pk", None)
    if current_task:
        known |= {"task": current_task.name, "task_id": current_task.request.id}
    known["release"] = known.get("release") or _release.get()
    return {name: value for name, value in known.items() if value not in (None, "")}


class TextFormatter(logging.Formatter):
    """For people: one line, more after an exception."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class JsonFormatter(logging.Formatter):
    """For machines: one line of ASCII a record, whatever it holds. `extra={"fields": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **surroundings(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps({name: _plain(value) for name, value in line.items()})


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | bool) else masked(str(value))


def configuration(style: str, level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: everything to standard error, in one form."""
    line = "{asctime} {levelname} {name}: {message}"
    formatters = {
        "text": {"()": "relcoord.lib.logs.TextFormatter", "format": line, "style": "{"},
        "json": {"()": "relcoord.lib.logs.JsonFormatter"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": style}},
        "root": {"handlers": ["console"], "level": level},
    }
