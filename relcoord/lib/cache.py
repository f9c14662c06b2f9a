"""A cache that may be away: then nothing is remembered, and every page still works."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

T = TypeVar("T")
log = logging.getLogger(__name__)
REST = 5.0  # seconds in which one that did not answer is not asked again, so that no page waits for it time and again


class Silence:
    """Since when this process got no answer, on its monotonic clock; None when the last one came."""

    since: float | None = None


def is_away() -> bool:
    """Did the cache not answer when it was last asked, a moment ago?"""
    return Silence.since is not None and time.monotonic() - Silence.since < REST


class OneClient(RedisCacheClient):
    """Django's makes a new client of Redis for each visit; a page has up to eight, and one server to ask."""

    @cached_property
    def _kept(self) -> redis.Redis:
        return super().get_client()

    def get_client(self, key: Any = None, *, write: bool = False) -> redis.Redis:
        return self._kept


class ForgivingRedisCache(RedisCache):
    """Redis, where a lost connection is a miss, and so is a Redis that is full.

    What is counted in the cache (throttling of log-ins) is not counted meanwhile.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = OneClient

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _or(True, lambda: super(ForgivingRedisCache, self).add(key, value, timeout, version))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return _or(default, lambda: super(ForgivingRedisCache, self).get(key, default, version))

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        _or(None, lambda: super(ForgivingRedisCache, self).set(key, value, timeout, version))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _or(False, lambda: super(ForgivingRedisCache, self).touch(key, timeout, version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Always tried: what was taken back should not come back with Redis."""
        return _or(False, lambda: super(ForgivingRedisCache, self).delete(key, version), always=True)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return _or({}, lambda: super(ForgivingRedisCache, self).get_many(keys, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return _or(False, lambda: super(ForgivingRedisCache, self).has_key(key, version))

    def clear(self) -> None:
        _or(None, super().clear, always=True)


class SessionCache(ForgivingRedisCache):
    """Sessions before the database that holds them.

    Nothing stays longer than `LONGEST`: a log-out while Redis was away ends the row, and not what Redis still has.
    """

    LONGEST = 300  # seconds

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        kept = self.LONGEST if timeout in (None, DEFAULT_TIMEOUT) else min(timeout, self.LONGEST)
        super().set(key, value, kept, version)


def _or(fallback: T, ask: Callable[[], T], *, always: bool = False) -> T:
    if is_away() and not always:
        return fallback
    try:
        answer = ask()
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:  # the last when it is full
        log.warning("the cache is away: %s", error)
        Silence.since = time.monotonic()
        return fallback
    Silence.since = None
    return answer
