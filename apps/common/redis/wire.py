"""Commands and answers in Redis' own protocol, for what is done many times for each photo.

Private parts of redis 8.1.0: `redis.connection.Connection._sock`, `.send_packed_command`, `.read_response`.
"""

import socket
from functools import lru_cache

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


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
