"""The cache in production is real Redis, or away."""

import os

import pytest

from relcoord.lib.cache import ForgivingRedisCache

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


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
    cache = ForgivingRedisCache(NOBODY_LISTENS, {})
    cache.set("log-ins", 1)
    assert cache.add("log-ins", 1), "as if nobody had been there before"
    assert cache.get("log-ins", "nothing") == "nothing"
    assert cache.get_many(["log-ins"]) == {}
    assert "log-ins" not in cache
    assert not cache.delete("log-ins")
    assert not cache.touch("log-ins")
    cache.clear()
