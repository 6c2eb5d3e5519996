"""How hopla connects to Redis where someone waits for the answer."""

from functools import lru_cache

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

# Of one process, at most. A thread that finds all of them taken waits for one: redis-py's own pool refuses instead, the
# 101st of 128 uploads that end together.
MAX_CONNECTIONS = 16
WAIT_SECONDS = 0.5


@lru_cache
def redis_at(url: str) -> Redis:
    """A client that notices a dead or hanging Redis within two seconds (redis-py's own defaults take 4.9).

    One retry, for a pooled connection that a restart of Redis has cut; none for a timeout.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        socket_connect_timeout=1,
        socket_timeout=1.5,
    )
    return Redis.from_pool(pool)
