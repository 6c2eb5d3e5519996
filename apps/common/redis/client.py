"""Redis clients with short timeouts, for requests and jobs that wait for the reply.

A URL names one server (redis://, rediss://, unix://), or the Sentinels that know the current master:

    redis+sentinel://:password@host:26379,other-host:26379/name-of-the-master/0

The password is that of Redis. Sentinels that require their own get it from `?sentinel_password=…`.
"""

from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from apps.common.redis.pool import Pool
from apps.common.redis.sentinel import client_of_master, is_of_sentinels

# The most connections of one process. A thread that finds all of them taken waits for one; redis-py's own pool would
# refuse the 101st of 200 uploads that end together.
MAX_CONNECTIONS = 16
WAIT_SECONDS = 0.5
CONNECT_SECONDS, ANSWER_SECONDS = 1, 1.5


@lru_cache
def redis_at(url: str) -> Redis:
    """Returns a client that detects a dead or hanging Redis within two seconds (redis-py's defaults take 4.9).

    It retries once, for a pooled connection that a restart of Redis has closed, but not after a timeout.
    """
    return new_client(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
    )


def new_client(url: str, **options) -> Redis:
    """Returns a client with its own pool. `options`: of BlockingConnectionPool. Raises ValueError for a bad URL."""
    if is_of_sentinels(url):
        return client_of_master(url, **options)
    return Redis.from_pool(Pool.from_url(url, **options))
