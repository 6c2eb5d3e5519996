"""Commands and replies in Redis' own protocol, for what is done many times for each photo.

Private parts of redis 8.1.0: `redis.connection.Connection._sock`, `._parser`, `.send_packed_command`,
`redis._parsers.hiredis._HiredisParser._reader`, `.read_from_socket`, `.handle_push_response`.
"""

import socket
from functools import lru_cache

from hiredis import PushNotification
from redis import Redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


def exchange(client: Redis, *commands: tuple) -> list:
    """Returns the replies to these commands, which are sent together. An argument may be given in portions, as a tuple
    of bytes. The reply to a transaction that a WATCH aborted is None.

    Written by hand, because it runs six times for each photo: redis-py copies a large value five times before sending
    it, and takes as long for a small command as Redis does. Raises RedisError, also when one command of a transaction
    failed and the others ran; what was sent may then have been executed.
    """
    packed = b"".join([part for command in commands for part in _packed(command)])

    def send_and_read() -> list:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_packed_command([packed])
            return _replies(connection, len(commands))
        except BaseException:
            connection.disconnect()  # an unread reply would be taken for the next command's
            raise
        finally:
            client.connection_pool.release(connection)

    return client.get_retry().call_with_retry(send_and_read, _do_nothing)


def _do_nothing(error: Exception) -> None:
    """Before the second try."""


def _replies(connection, number: int) -> list:
    """Returns the next replies on this connection. Raises the first error in them: EXEC returns a list that may contain
    the errors of its commands.

    redis-py takes five calls for each, and most are `QUEUED`.
    """
    parser = connection._parser
    reader = parser._reader
    replies = []
    while len(replies) < number:
        reply = reader.gets()
        if reply is NOT_ENOUGH_DATA:
            _receive_more(parser)
        elif isinstance(reply, PushNotification):
            parser.handle_push_response(reply)
        else:
            replies.append(reply)
    _require_no_error(replies)
    return replies


def _receive_more(parser) -> None:
    try:
        parser.read_from_socket()
    except OSError as exc:
        raise RedisConnectionError("The connection to Redis failed.") from exc


def _require_no_error(replies: list) -> None:
    for reply in replies:
        if isinstance(reply, list):
            _require_no_error(reply)
        elif isinstance(reply, RedisError):
            raise reply


def receive(client: Redis, command: tuple, size: int) -> memoryview | None:
    """Returns the string in reply to this command if it has `size` bytes, else None. Raises RedisError.

    Written by hand to read into one buffer: redis-py reads a large value in pieces of 64 KiB and copies it twice. None
    may also stand for an error reply; a caller that must know repeats the command with the client.
    """
    packed = b"".join(_packed(command))
    head = b"$%d\r\n" % size
    reply = memoryview(bytearray(len(head) + size + 2))

    def send_and_receive() -> memoryview | None:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_packed_command([packed])
            received = 0
            while received < len(reply):
                received += _receive_into(reply[received:], connection._sock)
                if reply[: min(received, len(head))] != head[:received]:
                    connection.disconnect()  # drops the rest of the reply
                    return None
            return reply[len(head) : -2]
        except BaseException:
            connection.disconnect()
            raise
        finally:
            client.connection_pool.release(connection)

    return client.get_retry().call_with_retry(send_and_receive, _do_nothing)


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
    """Returns the command in Redis' protocol."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if isinstance(argument, tuple):
            parts += [b"$%d\r\n" % sum(map(len, argument)), *argument, b"\r\n"]
        else:
            parts.append(_packed_argument(argument))
    return parts


@lru_cache(maxsize=1000, typed=True)  # typed, or 60 would be sent as 60.0 if that came first
def _packed_argument(argument) -> bytes:
    """Returns one packed argument, cached since most recur: names, scripts, the key of a photo with each piece."""
    if not isinstance(argument, (bytes, str)):
        argument = str(argument)
    data = argument.encode() if isinstance(argument, str) else argument
    return b"$%d\r\n%b\r\n" % (len(data), data)
