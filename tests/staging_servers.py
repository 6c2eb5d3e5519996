"""Two Redis servers of staging that a test may stop, with their photos or without, and start again."""

from contextlib import suppress
from types import SimpleNamespace
from unittest import mock

import redis
from django.test import override_settings

from apps.common.redis.address import address_of
from apps.tickets.intake import acceptance
from apps.tickets.intake.photo_check import PhotoCheck
from apps.tickets.intake.staged_upload import StagedUpload
from apps.tickets.intake.stream import PhotoStream, StagedPhoto
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import servers
from apps.tickets.staging.servers import Server, address_code, all_servers, id_on
from script.servers import is_answering, private_folder, start_redis
from tests.faults.processes import Processes
from tests.makers import jpeg_bytes


class TwoServers:
    """Mixin of hopla's TestCases: both servers run and are empty when a test begins."""

    @classmethod
    def setUpClass(cls):
        cls.folders = [cls.enterClassContext(private_folder()) for _ in range(2)]
        cls.processes = cls.enterClassContext(Processes(cls.folders[0]))
        urls = [
            start_redis(cls.processes, folder=folder, name=name, max_bytes=0)
            for name, folder in zip("ab", cls.folders, strict=True)
        ]
        cls.enterClassContext(override_settings(STAGING_REDIS_URL=",".join(told_apart(urls))))
        super().setUpClass()

    def setUp(self):
        servers._servers.cache_clear()  # and with them what they remember of the test before
        self._now = 1000.0  # by a clock that stands still, however long the test takes
        self.enterContext(mock.patch.object(servers, "time", SimpleNamespace(monotonic=lambda: self._now)))
        self.a, self.b = all_servers()
        for server in (self.a, self.b):
            if not self.process_of(server).is_alive():
                self.process_of(server).start()
            self.wait_for(server)
        super().setUp()

    def process_of(self, server: Server):
        return self.processes["a" if server is self.a else "b"]

    def stop(self, *stopped: Server) -> None:
        """With what is in them."""
        for server in stopped:
            with suppress(redis.ConnectionError):
                server.client.shutdown(save=True)
            self.process_of(server).wait()

    def start(self, *started: Server, emptied: bool = False) -> None:
        for server in started:
            self.process_of(server).start()
            self.wait_for(server)
            if emptied:
                server.client.flushall()
        self.let_it_be_asked_again()

    def wait_for(self, server: Server) -> None:
        process = self.process_of(server)
        self.processes.wait_until(lambda: is_answering(server.client), child=process)

    def let_it_be_asked_again(self) -> None:
        """As if AWAY_SECONDS had passed."""
        self._now += servers.AWAY_SECONDS

    def stage_on(self, server: Server, content: bytes) -> StagedPhoto:
        stream = PhotoStream(StagedUpload(id_on(server), expected_size=len(content)), PhotoCheck())
        stream.open("photo.jpg")
        stream.write(content)
        return stream.close()

    def accepted_on(self, server: Server, ticket: Ticket, *, seed: int = 0) -> Image:
        return acceptance.accept_photo(ticket_id=ticket.pk, photo=self.stage_on(server, jpeg_bytes(seed)))


def told_apart(urls: list[str]) -> list[str]:
    """The URLs, each with the first database that gives it another code than those before: their paths are random."""
    chosen = {}
    for url in urls:
        for database in range(len(urls)):
            one = url.replace("db=0", f"db={database}")
            if (code := address_code(address_of(one))) not in chosen:
                chosen[code] = one
                break
    return list(chosen.values())
