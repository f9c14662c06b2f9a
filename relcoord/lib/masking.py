"""Addresses that carry a token: the log keeps the address and loses the token."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

CARRIES_A_TOKEN = re.compile(r"(/(?:unsubscribe|welcome|cal)/|[?&]ticket=)[^/\s?&\"']+")
WRITE_ADDRESSES = ("django.request", "django.security.csrf", "django.server", "gunicorn.access", "uvicorn.access")


def masked(text: str) -> str:
    """`/unsubscribe/eyJw…/` as `/unsubscribe/***/`."""
    return CARRIES_A_TOKEN.sub(r"\1***", text)


class MaskTokens(logging.Filter):
    """Let every record pass, without the tokens of the addresses it names."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, Mapping):  # gunicorn's; its values are looked up while it is written
            record.msg, record.args = masked(record.getMessage()), ()
        elif record.args:
            record.args = tuple(masked(part) if isinstance(part, str) else part for part in record.args)
        record.msg = masked(record.msg) if isinstance(record.msg, str) else record.msg
        return True


def mask_tokens() -> None:
    """Have every logger that writes addresses mask them; as often as it is called, once."""
    for name in WRITE_ADDRESSES:
        logger = logging.getLogger(name)
        if not any(isinstance(known, MaskTokens) for known in logger.filters):
            logger.addFilter(MaskTokens())
