"""How hopla connects to Redis where someone waits for the answer."""

from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry


@lru_cache
def redis_at(url: str) -> Redis:
    """A client that notices a dead or hanging Redis within two seconds (redis-py's own defaults take 4.9).

    One retry, for a pooled connection that a restart of Redis has cut; none for a timeout.
    """
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        socket_connect_timeout=1,
        socket_timeout=1.5,
    )
