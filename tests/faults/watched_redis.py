"""A Redis with a replica, and the Sentinel that makes the replica the master when the master is gone."""

from contextlib import contextmanager

import redis

from apps.common.redis.client import redis_at
from script.serve import free_port
from script.servers import is_answering, redis_program
from tests.faults.processes import Process, Processes

PASSWORD = "of-redis"
SENTINEL_PASSWORD = "of-the-sentinel"
MASTER = "hopla"
DOWN_AFTER_MILLISECONDS = 2000


class WatchedRedis:
    """`url` names the Sentinel, after an address at which nothing listens."""

    def __init__(self, processes: Processes):
        self._processes = processes
        self._folder = processes.folder
        self._ports = [free_port(), free_port()]
        self.servers = [self._start_server(port) for port in self._ports]
        self._client(self._ports[1]).replicaof("127.0.0.1", self._ports[0])
        sentinel_port = free_port()
        self.sentinel = self._start_sentinel(sentinel_port)
        sentinels = f"127.0.0.1:1,127.0.0.1:{sentinel_port}"
        self.url = f"redis+sentinel://:{PASSWORD}@{sentinels}/{MASTER}/0?sentinel_password={SENTINEL_PASSWORD}"
        self._wait_until(self._is_whole, of=self.sentinel)

    @property
    def master(self) -> Process:
        return self.servers[self._ports.index(self._master_port())]

    @property
    def replica(self) -> Process:
        return self.servers[1 - self._ports.index(self._master_port())]

    def _master_port(self) -> int:
        return redis_at(self.url).connection_pool.get_master_address()[1]

    @contextmanager
    def no_failover(self):
        """Inside, the Sentinel takes a master that does not respond for a busy one."""
        self._sentinel_client.sentinel_set(MASTER, "down-after-milliseconds", 600_000)
        try:
            yield
        finally:
            self._sentinel_client.sentinel_set(MASTER, "down-after-milliseconds", DOWN_AFTER_MILLISECONDS)

    def heal(self) -> None:
        """Until there are a master and a replica that has all that the master has."""
        for server in self.servers:
            if not server.is_alive():
                server.start()
        self._wait_until(self._is_whole, of=self.sentinel)

    def knows_live_master(self) -> bool:
        try:
            return redis_at(self.url).ping()
        except redis.RedisError:
            return False

    def _is_whole(self) -> bool:
        try:
            [replica] = self._sentinel_client.sentinel_slaves(MASTER)
            link_is_up = replica["master-link-status"] == "ok" and not replica["is_sdown"]
            return link_is_up and redis_at(self.url).info("replication").get("slave0", {}).get("state") == "online"
        except (ValueError, redis.RedisError):
            return False

    def _start_server(self, port: int) -> Process:
        # Replicas get and take the whole data set without a file in between: photos are in it.
        options = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
            "save": '""',
            "appendonly": "no",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-diskless-load": "swapdb",
            "maxmemory-policy": "noeviction",
        }
        server = self._start(f"redis-{port}", options)
        self._wait_until(lambda: is_answering(self._client(port)), of=server)
        return server

    def _start_sentinel(self, port: int) -> Process:
        options = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": SENTINEL_PASSWORD,
            "sentinel monitor": f"{MASTER} 127.0.0.1 {self._ports[0]} 1",
            "sentinel auth-pass": f"{MASTER} {PASSWORD}",
            "sentinel down-after-milliseconds": f"{MASTER} {DOWN_AFTER_MILLISECONDS}",
            "sentinel failover-timeout": f"{MASTER} 2000",
        }
        sentinel = self._start("sentinel", options, "--sentinel")
        self._sentinel_client = redis.Redis(port=port, password=SENTINEL_PASSWORD)
        return sentinel

    def _start(self, name: str, options: dict, *arguments: str) -> Process:
        folder = self._folder / name
        folder.mkdir()
        configuration = folder / "configuration"  # they write to it what they learn about each other
        configuration.write_text("".join(f"{option} {value}\n" for option, value in options.items()))
        return self._processes.start(name, [redis_program(), configuration, *arguments], cwd=folder)

    def _client(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, password=PASSWORD)

    def _wait_until(self, condition, *, of: Process) -> None:
        self._processes.wait_until(condition, child=of)
