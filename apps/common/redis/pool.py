"""Connections to Redis that threads share.

Private parts of redis 8.1.0: `redis.BlockingConnectionPool._checkpid`, `.make_connection`, `.owns_connection`,
`redis.connection.Connection.should_reconnect`.
"""

import os
import weakref
from queue import Empty

from redis import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Pool(BlockingConnectionPool):
    """redis-py's own, without the figures it keeps of its connections, and without asking the system at every step
    whether the process has forked: that is a fifth of the processor time of a small command.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        _pools.add(self)

    def _checkpid(self):
        """Nothing: a process that was forked has got an empty pool at once."""

    def get_connection(self, *args, **kwargs):
        """One that is connected and has nothing to read. Raises redis.ConnectionError."""
        try:
            connection = self.pool.get(timeout=self.timeout) or self.make_connection()
        except Empty:
            raise RedisConnectionError("No connection available.") from None
        try:
            connection.connect()
            if _has_something_to_read(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection):
        if connection.should_reconnect() or not self.owns_connection(connection):
            connection.disconnect()
        if self.owns_connection(connection):  # else it is that of the process before the fork, and has no place here
            self.pool.put_nowait(connection)


def _has_something_to_read(connection) -> bool:
    """Closed by the server, or with an answer that nobody has read."""
    try:
        return connection.can_read()
    except (RedisConnectionError, RedisTimeoutError, OSError):
        return True


def _empty_pools() -> None:
    for pool in _pools:
        pool.reset()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
os.register_at_fork(after_in_child=_empty_pools)
