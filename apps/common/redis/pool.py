"""The connection pool that threads share for Redis.

Private parts of redis 8.1.0: `redis.BlockingConnectionPool._checkpid`, `.make_connection`, `.owns_connection`,
`redis.connection.Connection._parser`, `.is_connected`, `.should_reconnect`,
`redis._parsers.hiredis._HiredisParser.can_read`.
"""

import os
import weakref
from queue import Empty

from redis import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Pool(BlockingConnectionPool):
    """redis-py's pool without its connection statistics and without asking the operating system at every step whether
    the process has forked: that is a fifth of the CPU time of a small command.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        _pools.add(self)

    def _checkpid(self):
        """Does nothing: a forked process gets an empty pool at once."""

    def get_connection(self, *args, **kwargs):
        """Returns a connection that is open and has nothing to read. Raises redis.ConnectionError."""
        try:
            connection = self.pool.get(timeout=self.timeout) or self.make_connection()
        except Empty:
            raise MaxConnectionsError("No connection available.") from None
        try:
            if not connection.is_connected:  # where it is, `connect` is four calls for nothing
                connection.connect()
            elif _has_something_to_read(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection):
        is_own = self.owns_connection(connection)
        if connection.should_reconnect() or not is_own:
            connection.disconnect()
        if is_own:  # else it belongs to the parent process, from before the fork
            self.pool.put_nowait(connection)


def _has_something_to_read(connection) -> bool:
    """Returns whether the server closed the connection, or it holds a reply that was never read."""
    try:
        return connection._parser.can_read()
    except (RedisConnectionError, RedisTimeoutError, OSError):
        return True


def _empty_pools() -> None:
    for pool in _pools:
        pool.reset()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
os.register_at_fork(after_in_child=_empty_pools)
