from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.common.stop_signals import StopSignals
from apps.sandbox.account import AccountError, account_of, upload_prefix_of

DEFAULT_ADDRESS = ("127.0.0.1", 8089)


class Command(BaseCommand):
    help = "Serve a small Cloudinary for the account of CLOUDINARY_URL: no account and no network needed."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--host", help="address to listen on; default: CLOUDINARY_URL's upload_prefix")
        parser.add_argument("--port", type=int, help="port, likewise; 0 picks a free one")
        parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the photos there instead of in memory")
        parser.add_argument("--max-bytes", type=int, default=512 * 1024 * 1024, metavar="N", help="keep no more than N")
        parser.add_argument("--notify", action="append", default=[], metavar="HOST", help="besides this machine")
        parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each response")

    def handle(self, *, host, port, folder, max_bytes, latency, notify, **options):
        if not settings.DEBUG:
            raise CommandError("The sandbox is for development: it runs only with DEBUG on.")
        try:
            # Pillow is needed here and nowhere else in hopla, so production does without it.
            from apps.sandbox.server import PortInUseError, SandboxServer
        except ImportError as exc:
            raise CommandError("The sandbox needs Pillow: pip install -r requirements-dev.txt") from exc
        server = self._server(
            SandboxServer, host, port, folder=folder, max_bytes=max_bytes, latency_seconds=latency, notifies=notify
        )
        try:
            server.start()
        except PortInUseError as exc:
            raise CommandError(f"{exc} Name another one with --port, or stop what listens there.") from exc
        stop = StopSignals()
        self.stdout.write(f"Sandbox of the cloud {server.cloud.account.cloud_name} at {server.url}")
        self.stdout.flush()
        stop.wait()
        server.stop()

    @staticmethod
    def _server(server_class, host, port, **options):
        try:
            account = account_of(settings.CLOUDINARY_URL)
            default_host, default_port = upload_prefix_of(settings.CLOUDINARY_URL) or DEFAULT_ADDRESS
        except AccountError as exc:
            raise CommandError(str(exc)) from exc
        return server_class(
            cloud_name=account.cloud_name,
            api_key=account.api_key,
            api_secret=account.api_secret,
            host=host or default_host,
            port=default_port if port is None else port,
            **options,
        )
