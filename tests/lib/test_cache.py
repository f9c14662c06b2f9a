"""The cache in production is real Redis, or away."""

import os
import socket
import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from relcoord.lib import cache as ours
from relcoord.lib.cache import ForgivingRedisCache, SessionCache
from tests import provision

SHORT = {"socket_connect_timeout": 0.2, "socket_timeout": 0.2, "retry": Retry(NoBackoff(), 1)}  # as in the settings
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    yield
    ours.Silence.since = None


@pytest.mark.postgres  # the round that has Redis
def test_what_is_set_can_be_had() -> None:
    cache = ForgivingRedisCache(os.environ["REDIS_URL"], {})
    assert cache.add("log-ins", 1)
    assert not cache.add("log-ins", 2)
    cache.set("log-ins", 3)
    assert (cache.get("log-ins"), cache.get_many(["log-ins"]), "log-ins" in cache) == (3, {"log-ins": 3}, True)
    assert cache.delete("log-ins")
    cache.close()


def test_a_cache_that_is_away_remembers_nothing_and_raises_nothing() -> None:
    cache = ForgivingRedisCache(NOBODY_LISTENS, {"OPTIONS": SHORT})
    cache.set("log-ins", 1)
    assert cache.add("log-ins", 1), "as if nobody had been there before"
    assert cache.get("log-ins", "nothing") == "nothing"
    assert cache.get_many(["log-ins"]) == {}
    assert "log-ins" not in cache
    assert not cache.delete("log-ins")
    assert not cache.touch("log-ins")
    cache.clear()


@pytest.mark.postgres  # the round that has Redis
def test_a_cache_that_is_full_is_as_good_as_away() -> None:
    """It answers, and takes nothing; that may cost nobody their log-in."""
    with provision.redis_server() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "1")
        cache = ForgivingRedisCache(server.url, {"OPTIONS": SHORT})
        assert cache.add("log-ins", 1), "as if nobody had been there before"
        assert ours.is_away()
        assert cache.get("log-ins", "nothing") == "nothing"
        cache.close()


def test_a_cache_that_is_silent_is_left_alone_for_a_while_and_what_is_taken_back_is_always_tried() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(0)  # takes connections and says nothing
        cache = ForgivingRedisCache(f"redis://127.0.0.1:{mute.getsockname()[1]}/0", {"OPTIONS": SHORT})
        assert not ours.is_away()
        assert cache.get("a") is None
        assert ours.is_away(), "and pages say so"
        began = time.monotonic()
        assert [cache.get(str(number)) for number in range(50)] == [None] * 50
        assert time.monotonic() - began < 2, "fifty times a second were not waited"
        at = ours.Silence.since
        assert not cache.delete("a")
        assert ours.Silence.since != at, "it was tried"


@pytest.mark.postgres  # the round that has Redis
def test_a_session_stays_in_the_cache_for_minutes_only() -> None:
    cache = SessionCache(os.environ["REDIS_URL"], {})
    for timeout in (None, 14 * 24 * 3600):
        cache.set("session", 1, timeout)
        key = cache.make_and_validate_key("session")
        assert 0 < cache._cache.get_client(key).ttl(key) <= SessionCache.LONGEST
    assert cache.delete("session")
    cache.close()
