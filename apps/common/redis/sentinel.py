"""Connections to the master that Sentinels report, and the URL that names the Sentinels.

Private parts of redis 8.1.0: `redis.sentinel.SentinelConnectionPool.master_address`,
`redis.sentinel.SentinelManagedConnection.read_response`.
"""

from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from apps.common.redis.pool import Pool

SCHEME = "redis+sentinel"
SENTINEL_PORT = 26379
# Sentinels reply from memory, so one that takes longer is unavailable, and the next is asked.
SENTINEL_TIMEOUT_SECONDS = 0.5


def is_of_sentinels(url: str) -> bool:
    return urlsplit(url).scheme == SCHEME


def client_of_master(url: str, **options) -> Redis:
    """Returns the pool of a Sentinel URL. `options`: of BlockingConnectionPool. Raises ValueError for a bad URL."""
    queue = queue_options(url)
    sentinel = Sentinel(queue["SENTINELS"], sentinel_kwargs=queue["SENTINEL_KWARGS"])
    account = {"db": queue["DB"], "password": queue["PASSWORD"]} | queue["CONNECTION_KWARGS"]
    return sentinel.master_for(queue["MASTER_NAME"], connection_pool_class=MasterPool, **account | options)


class MasterPool(SentinelConnectionPool, Pool):
    """Connections to the current master, as the Sentinels report it."""

    # redis-py's pool disowns a connection that found no master and keeps it in a list for ever, one for each request
    # while there is no master.
    owns_connection = Pool.owns_connection

    def release(self, connection):
        if (connection.host, connection.port) != self.master_address:  # it belongs to the previous master
            connection.disconnect()
        super().release(connection)


class MasterConnection(SentinelManagedConnection):
    """A connection that is closed after a timeout, as those to a single server are.

    redis-py's own stays open: the next command on it would wait for a hanging master long after another server has
    become the master, or take the late reply for its own.
    """

    def read_response(self, *args, disconnect_on_error: bool = True, **kwargs):
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **kwargs)


def queue_options(url: str) -> dict:
    """Returns the URL as django-rq expects it in RQ_QUEUES. Raises ValueError for a bad URL."""
    if not is_of_sentinels(url):
        return {"URL": url}
    parts = urlsplit(url)
    account, _, hosts = parts.netloc.rpartition("@")
    user, _, password = map(unquote, account.partition(":"))
    master, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    unknown = query.keys() - {"sentinel_password"}
    if not hosts or not master or unknown or not (database or "0").isdecimal():
        raise ValueError("it does not have the form redis+sentinel://:password@host:26379,other:26379/master/0")
    no_second_try = Retry(NoBackoff(), 0)  # the next Sentinel is tried instead
    timeouts = dict.fromkeys(("socket_connect_timeout", "socket_timeout"), SENTINEL_TIMEOUT_SECONDS)
    return {
        "SENTINELS": [_host_and_port(host) for host in hosts.split(",")],
        "MASTER_NAME": unquote(master),
        "DB": int(database or 0),
        "PASSWORD": password or None,
        # The user is given here because django-rq's dashboard ignores USERNAME.
        "CONNECTION_KWARGS": {"username": user or None, "connection_class": MasterConnection},
        "SENTINEL_KWARGS": timeouts | {"password": query.get("sentinel_password"), "retry": no_second_try},
    }


def _host_and_port(text: str) -> tuple[str, int]:
    address = urlsplit(f"//{text}")
    if not address.hostname:
        raise ValueError(f"{text!r} is no host")
    return address.hostname, address.port or SENTINEL_PORT
