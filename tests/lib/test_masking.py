"""No log line keeps a token, each test named as its rule."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from relcoord.lib.masking import WRITE_ADDRESSES, MaskTokens, mask_tokens, masked


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("GET /unsubscribe/eyJ:1a:b-c/ HTTP/1.1", "GET /unsubscribe/***/ HTTP/1.1"),
        ("/welcome/abc/?next=/", "/welcome/***/?next=/"),
        ("/cal/abc-D_1.ics", "/cal/***"),
        ("/settings/calendar/", "/settings/calendar/"),
        ("GET /live/stream?ticket=W1%3Aab HTTP/1.1", "GET /live/stream?ticket=*** HTTP/1.1"),
        ("/live/stream?a=1&ticket=W1&b=2", "/live/stream?a=1&ticket=***&b=2"),
        ("/r/PAY-4.2/", "/r/PAY-4.2/"),
        ("/welcome/", "/welcome/"),
    ],
)
def test_the_token_goes_and_the_address_stays(said: str, kept: str) -> None:
    assert masked(said) == kept


class Atoms(dict[str, Any]):
    """As gunicorn passes them: looked up while the line is written."""


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("%s: %s", ("Not Found", "/unsubscribe/secret/")),  # Django's
        ('%s - "%s %s HTTP/%s" %d', ("127.0.0.1:1", "POST", "/unsubscribe/secret/", "1.1", 200)),  # uvicorn's
        ('%(h)s "%(r)s" %(s)s', (Atoms(h="127.0.0.1", r="POST /unsubscribe/secret/ HTTP/1.1", s="200"),)),  # gunicorn's
        ("GET /unsubscribe/secret/", ()),
    ],
)
def test_every_servers_way_to_write_a_line_is_masked(message: str, args: tuple[Any, ...]) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, message, args, None)
    assert MaskTokens().filter(record)
    assert "/unsubscribe/***/" in record.getMessage() or "/unsubscribe/***" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_the_loggers_that_write_addresses_mask_them_once() -> None:
    mask_tokens()
    for name in WRITE_ADDRESSES:
        assert sum(isinstance(known, MaskTokens) for known in logging.getLogger(name).filters) == 1
