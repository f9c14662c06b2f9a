"""One line a record, whatever it holds, each test named as its rule."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from relcoord.lib import logs


def record(message: str, *args: Any, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("releases.ledger", logging.WARNING, "", 0, message, args, fields.pop("exc_info", None))
    made.__dict__.update(fields)
    return made


def line(made: logging.LogRecord) -> dict[str, Any]:
    written = logs.JsonFormatter().format(made)
    assert len(written.splitlines()) == 1
    assert written.isascii()
    return json.loads(written)


@pytest.mark.parametrize(
    "words", ["two\nlines\r", "U+2028 \u2028 and \x00", "Kovač 東京", "half \ud800 a character", '"{']
)
def test_a_record_is_one_line_and_says_what_was_said(words: str) -> None:
    assert line(record("%s", words))["message"] == words


def test_moments_are_utc_with_milliseconds() -> None:
    assert line(record("x", created=1763913600.0079))["time"] == "2025-11-23T16:00:00.007Z"


def test_an_exception_is_one_field_without_the_tokens_in_it() -> None:
    try:
        raise ValueError("no such link: /welcome/eyJ0:1a:b/")
    except ValueError:
        found = line(record("failed at %s", "/unsubscribe/abc/", exc_info=sys.exc_info()))
    assert found["message"] == "failed at /unsubscribe/***/"
    assert found["exception"].startswith("Traceback")
    assert "ValueError: no such link: /welcome/***/" in found["exception"]
    assert "eyJ0" not in json.dumps(found)


def test_fields_are_masked_too_and_numbers_stay_numbers() -> None:
    found = line(record("x", fields={"path": "/unsubscribe/abc/", "ms": 12}))
    assert (found["path"], found["ms"]) == ("/unsubscribe/***/", 12)


def test_a_worker_s_lines_name_the_release_it_is_busy_with() -> None:
    with logs.about("PAY-4.2"):
        assert line(record("x"))["release"] == "PAY-4.2"
    assert "release" not in line(record("x"))


def test_text_is_for_people_and_masked_as_well() -> None:
    configured = logs.configuration("text", "INFO")["formatters"]["text"]
    written = logs.TextFormatter(configured["format"], style="{").format(record("to %s", "/welcome/abc/"))
    assert written.endswith("WARNING releases.ledger: to /welcome/***/")
