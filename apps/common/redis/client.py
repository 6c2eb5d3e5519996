"""How hopla connects to Redis where someone waits for the answer.

A URL names one server (redis://, rediss://, unix://), or the Sentinels that know which one is the master at the moment:

    redis+sentinel://:password@host:26379,other-host:26379/name-of-the-master/0

The password is that of Redis. Sentinels that ask for one of their own get it from `?sentinel_password=…`.
"""

import os
import socket
import weakref
from functools import lru_cache
from queue import Empty
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

# Of one process, at most. A thread that finds all of them taken waits for one: redis-py's own pool refuses instead, the
# 101st of 200 uploads that end together.
MAX_CONNECTIONS = 16
WAIT_SECONDS = 0.5

SENTINEL_SCHEME = "redis+sentinel"
SENTINEL_PORT = 26379
# They answer from memory, so one that takes longer is away, and the next is asked.
SENTINEL_TIMEOUT_SECONDS = 0.5


@lru_cache
def redis_at(url: str) -> Redis:
    """A client that notices a dead or hanging Redis within two seconds (redis-py's own defaults take 4.9).

    One retry, for a pooled connection that a restart of Redis has cut; none for a timeout.
    """
    return new_client(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        socket_connect_timeout=1,
        socket_timeout=1.5,
    )


def new_client(url: str, **options) -> Redis:
    """A client with a pool of its own. `options`: of BlockingConnectionPool. Raises ValueError for a bad URL."""
    if urlsplit(url).scheme != SENTINEL_SCHEME:
        return Redis.from_pool(Pool.from_url(url, **options))
    queue = queue_options(url)
    sentinel = Sentinel(queue["SENTINELS"], sentinel_kwargs=queue["SENTINEL_KWARGS"])
    account = {"db": queue["DB"], "password": queue["PASSWORD"]} | queue["CONNECTION_KWARGS"]
    return sentinel.master_for(queue["MASTER_NAME"], connection_pool_class=MasterPool, **account | options)


def exchange(client: Redis, *commands: tuple) -> list:
    """The answers to these commands, which are sent together. An argument may come in portions, as a tuple of bytes.

    By hand, for it is done seven times for each photo: redis-py copies a large value five times before it is sent, and
    takes as long for a small command as Redis does. Raises RedisError, also where a command of a transaction failed and
    the others were done; what was sent may have been done then. None stands for a transaction that a WATCH forbade.
    """
    packed = b"".join(part for command in commands for part in _packed(command))

    def send_and_read() -> list:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_packed_command([packed])
            answers = [connection.read_response() for _ in commands]
        except BaseException:
            connection.disconnect()  # an answer left unread would be taken for the next command's
            raise
        finally:
            client.connection_pool.release(connection)
        for answer in answers:
            _require_no_error(answer)
        return answers

    return client.get_retry().call_with_retry(send_and_read, lambda error: None)


def _require_no_error(answer) -> None:
    """EXEC answers with a list, and what went wrong with one of its commands stands in there."""
    if isinstance(answer, list):
        for part in answer:
            _require_no_error(part)
    elif isinstance(answer, RedisError):
        raise answer


def receive(client: Redis, command: tuple, size: int) -> memoryview | None:
    """The string that answers this command, if it has `size` bytes. Raises RedisError.

    By hand, into its own place: redis-py takes a large value in by pieces of 64 KiB and copies it twice. None may also
    stand for an error that Redis answered; whoever must know asks again by the client.
    """
    packed = b"".join(_packed(command))
    head = b"$%d\r\n" % size
    answer = memoryview(bytearray(len(head) + size + 2))

    def send_and_receive() -> memoryview | None:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_packed_command([packed])
            received = 0
            while received < len(answer):
                received += _receive_into(answer[received:], connection._sock)
                if answer[: min(received, len(head))] != head[:received]:
                    connection.disconnect()  # with the rest of what it answered
                    return None
            return answer[len(head) : -2]
        except BaseException:
            connection.disconnect()
            raise
        finally:
            client.connection_pool.release(connection)

    return client.get_retry().call_with_retry(send_and_receive, lambda error: None)


def _receive_into(buffer: memoryview, sock: socket.socket) -> int:
    try:
        received = sock.recv_into(buffer)
    except TimeoutError as exc:
        raise RedisTimeoutError("Redis did not answer in time.") from exc
    except OSError as exc:
        raise RedisConnectionError("The connection to Redis failed.") from exc
    if not received:
        raise RedisConnectionError("Redis closed the connection.")
    return received


def _packed(command: tuple) -> list[bytes]:
    """In Redis' protocol."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if isinstance(argument, tuple):
            parts += [b"$%d\r\n" % sum(map(len, argument)), *argument, b"\r\n"]
        else:
            parts.append(_packed_argument(argument))
    return parts


@lru_cache(maxsize=1000, typed=True)  # typed: or 60 would be sent as 60.0, if that came first
def _packed_argument(argument) -> bytes:
    """Most come again: names, scripts, the key of a photo with each of its pieces."""
    if not isinstance(argument, (bytes, str)):
        argument = str(argument)
    data = argument.encode() if isinstance(argument, str) else argument
    return b"$%d\r\n%b\r\n" % (len(data), data)


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


class MasterPool(SentinelConnectionPool, Pool):
    """Connections to whichever server the Sentinels say is the master."""

    # redis-py's own disowns a connection that found no master, and keeps it in a list for ever: one for each request
    # while there is none.
    owns_connection = Pool.owns_connection

    def release(self, connection):
        if (connection.host, connection.port) != self.master_address:  # it was of the master before
            connection.disconnect()
        super().release(connection)


class MasterConnection(SentinelManagedConnection):
    """A connection that ends at a time-out, as those to a single server do.

    redis-py's own stays open: the next command on it would wait for a master that hangs, long after another server has
    become the master, or take the late answer for its own.
    """

    def read_response(self, *args, disconnect_on_error: bool = True, **kwargs):
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **kwargs)


def queue_options(url: str) -> dict:
    """The URL as django-rq takes it in RQ_QUEUES. Raises ValueError for a bad one."""
    parts = urlsplit(url)
    if parts.scheme != SENTINEL_SCHEME:
        return {"URL": url}
    account, _, hosts = parts.netloc.rpartition("@")
    user, _, password = map(unquote, account.partition(":"))
    master, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    unknown = query.keys() - {"sentinel_password"}
    if not hosts or not master or unknown or not (database or "0").isdecimal():
        raise ValueError("it does not have the form redis+sentinel://:password@host:26379,other:26379/master/0")
    no_second_try = Retry(NoBackoff(), 0)  # the next Sentinel is asked instead
    timeouts = dict.fromkeys(("socket_connect_timeout", "socket_timeout"), SENTINEL_TIMEOUT_SECONDS)
    return {
        "SENTINELS": [_host_and_port(host) for host in hosts.split(",")],
        "MASTER_NAME": unquote(master),
        "DB": int(database or 0),
        "PASSWORD": password or None,
        # The user is here because django-rq's dashboard forgets a USERNAME.
        "CONNECTION_KWARGS": {"username": user or None, "connection_class": MasterConnection},
        "SENTINEL_KWARGS": timeouts | {"password": query.get("sentinel_password"), "retry": no_second_try},
    }


def _host_and_port(text: str) -> tuple[str, int]:
    address = urlsplit(f"//{text}")
    if not address.hostname:
        raise ValueError(f"{text!r} is no host")
    return address.hostname, address.port or SENTINEL_PORT
