"""Telling the streams, over Redis, that a release changed. It never fails and never holds up who tells.

A message is `<release> <revision>`. One that is lost is found by the pages' own slow poll, so nothing is repeated.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from functools import lru_cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

PATIENCE = 0.25  # seconds Redis gets to take a message
PAUSE = 5.0  # seconds it is left alone after it did not

log = logging.getLogger(__name__)
counted: Counter[str] = Counter()  # messages "sent", "failed" and, while Redis was left alone, "skipped"


def channel(url: str) -> str:
    """The channel of one site: two sites on one Redis differ by their database, which channels do not know."""
    return f"relcoord.live.{parse_url(url).get('db', 0)}"


class Broadcast:
    """One Redis, with a circuit breaker: after a failure nobody waits for it again until the pause is over."""

    def __init__(self, url: str) -> None:
        self._channel = channel(url)
        self._closed_until = 0.0
        self._redis = redis.Redis.from_url(
            url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
        )

    def tell(self, release: int, revision: int) -> str:
        """Send, and say what became of it: "sent", "failed" or "skipped"."""
        if time.monotonic() < self._closed_until:
            return "skipped"
        try:
            self._redis.publish(self._channel, f"{release} {revision}")
        except (redis.RedisError, OSError) as failure:
            self._closed_until = time.monotonic() + PAUSE
            log.warning("could not tell the live pages, they will poll: %s", failure)
            return "failed"
        return "sent"


@lru_cache
def to(url: str) -> Broadcast:
    return Broadcast(url)


def publish(release: int, revision: int) -> None:
    """Tell every stream that `release` stands at `revision`. Without Redis the stream looks by itself."""
    if settings.REDIS_URL:
        counted[to(settings.REDIS_URL).tell(release, revision)] += 1
