import ipaddress
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import APIException

from apps.common.stop_signals import StopSignals
from apps.integrations.endpoints import delete_endpoint, make_endpoint
from apps.integrations.management.receiver import Receiver
from apps.integrations.management.verification import is_secret
from apps.integrations.models import EventType
from apps.integrations.webhooks import signing
from apps.integrations.webhooks.addresses import check_url

DESCRIPTION = "manage.py listen"


class Command(BaseCommand):
    help = "Receive webhooks on this machine, for development: verify each and print it in a line."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, picks a free one")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
        parser.add_argument("--not-loopback", action="store_true", help="allow a --host that other machines can reach")
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--secret", metavar="whsec_…", help="secret of the webhook that sends here")
        whose.add_argument("--user", metavar="NAME", help="make a webhook of this user, and delete it at the end")
        parser.add_argument("--events", nargs="*", default=[], metavar="TYPE", help="types that it gets; default: all")
        parser.add_argument("--status", type=int, default=200, help="answer so, to try retries; default: 200")
        parser.add_argument(
            "--json", action="store_true", help="print the bodies, one a line, and the rest to the standard error"
        )

    def handle(self, *, host, port, not_loopback, secret, user, events, status, **options):
        require_loopback(host, told_otherwise=not_loopback)
        require_options(status=status, events=events, secret=secret)
        tell, show = self._printers(as_json=options["json"])
        try:
            receiver = Receiver((host, port), tell=tell, show=show, status=status)
        except OSError as exc:
            raise CommandError(f"Nothing can listen on port {port} of {host}: {exc.strerror}.") from exc
        stop = StopSignals()
        with receiver, endpoint_of(user, receiver.url, events) as endpoint:
            receiver.secrets = [secret] if secret else signing.secrets_of(endpoint)
            whose = f"webhook {endpoint.pk} of {user}" if endpoint else "whoever has the secret"
            with receiver.serving():
                tell(f"Listening at {receiver.url} for {whose}. Ctrl-C stops it.")
                stop.wait()

    def _printers(self, *, as_json: bool):
        def show(body: bytes) -> None:
            self.stdout.write(body.decode())
            self.stdout.flush()

        def tell(line: str) -> None:
            stream = self.stderr if as_json else self.stdout
            stream.write(line)
            stream.flush()

        return tell, show if as_json else lambda body: None


def require_loopback(host: str, *, told_otherwise: bool) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as exc:
        raise CommandError(f"{host} is no address.") from exc
    if not (is_loopback or told_otherwise):
        raise CommandError(f"Other machines may reach {host}. If that is what you want, add --not-loopback.")


def require_options(*, status: int, events: list[str], secret: str | None) -> None:
    if secret is not None and not is_secret(secret):
        raise CommandError("--secret is what the answer to POST webhooks/ has as `secret`: it begins with whsec_.")
    if not 200 <= status <= 599:
        raise CommandError("--status is a status of HTTP, from 200 to 599.")
    if unknown := [name for name in events if name not in EventType.values]:
        raise CommandError(f"There is no event {unknown[0]}. Known events are {', '.join(EventType.values)}.")


@contextmanager
def endpoint_of(username: str | None, url: str, events: list[str]):
    """Yields an endpoint of this user for the time of the block; None without a user."""
    if username is None:
        yield None
        return
    owner = get_user_model().objects.filter(username=username).first()
    if owner is None:
        raise CommandError(f"There is no user {username}.")
    try:
        check_url(url)
        endpoint = make_endpoint(owner=owner, url=url, events=events, description=DESCRIPTION)
    except APIException as refusal:
        raise CommandError(f"hopla makes no webhook for {url}: {refusal.detail}") from refusal
    try:
        yield endpoint
    finally:
        delete_endpoint(endpoint)
