"""Do the books balance? Counted on every side once all is quiet: rows, API, Cloudinary's assets, Redis, the queue.

Each rule is a function that yields a sentence for everything it finds wrong.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from redis.exceptions import RedisError

from apps.integrations.models import Event
from apps.tickets.models import AssetRemoval, Image, Ticket, progress_of
from apps.tickets.models.statuses import IN_FLIGHT
from apps.tickets.models.transition import Transition
from apps.tickets.staging import store
from apps.tickets.staging.servers import all_servers
from tests.case import default_queue, staged_photos
from tests.faults.clients import Client, Diary
from tests.faults.world import wait_until

# An upload that was cut off is forgotten after staging.INCOMING_TTL_SECONDS, a resumable one after the world's
# RESUMABLE_TTL_SECONDS.
SETTLED_WITHIN_SECONDS = 240


@dataclass
class Books:
    """What the rules look at. `assets`: of the sandbox. `meant`: how many photos each ticket was to get, by its id."""

    assets: list
    diary: Diary
    readers: list[Client] = field(default_factory=list)  # one for each user, who read their tickets by the API
    meant: dict[int, int] = field(default_factory=dict)


def is_quiet() -> bool:
    """Nothing is under way any more: no photo in flight, no asset to remove, no job, no staged byte."""
    try:
        return not (
            _is_any_photo_in_flight() or AssetRemoval.objects.exists() or staged_photos() or store.bytes_in_use()
        )
    except RedisError:  # a server of staging was away a moment ago
        return False


def _is_any_photo_in_flight() -> bool:
    """Taken for granted while the database cannot be asked: it may have been restarted a moment ago."""
    try:
        return Image.objects.filter(status__in=IN_FLIGHT).exists() or bool(default_queue().job_ids)
    except (OperationalError, InterfaceError):
        connection.close()
        return True


def settle(*, timeout_seconds: float = SETTLED_WITHIN_SECONDS) -> bool:
    return wait_until(is_quiet, timeout_seconds=timeout_seconds, every_seconds=0.1)


def settle_at_once() -> bool:
    """As `settle`, with the wait for expiries and for overdue uploads taken as over once no photo is in flight."""
    wait_until(lambda: not _is_any_photo_in_flight(), timeout_seconds=SETTLED_WITHIN_SECONDS)
    let_time_pass(max(store.INCOMING_TTL_SECONDS, settings.RESUMABLE_TTL_SECONDS))
    return settle()


def let_time_pass(seconds: int) -> None:
    """For what is staged or to be removed: as if that many seconds had gone by."""
    budget = store.BUDGET_KEYS[0]
    for redis in (server.client for server in all_servers()):
        for image_id in redis.zrange(budget, 0, -1):
            redis.zincrby(budget, -seconds, image_id)
        for key in map(store.key_of, staged_photos()):
            redis.pexpire(key, max(1, redis.pttl(key) - 1000 * seconds))
    AssetRemoval.objects.update(due_at=F("due_at") - timedelta(seconds=seconds))


def findings(books: Books) -> dict[str, list[str]]:
    """What is wrong, by rule; every list empty means that the books balance."""
    return {rule.__doc__: list(rule(books)) for rule in RULES}


def _photos_settled(books):
    """every photo is stored, or failed with a reason"""
    for image in Image.objects.filter(status__in=IN_FLIGHT):
        yield f"image {image.pk} is {image.status}, attempt {image.attempts}, {image.error_code}"
    for image in Image.objects.filter(status="failed", error_code=""):
        yield f"image {image.pk} failed without a reason"


def _no_place_given_twice(books):
    """declared >= received = stored + in flight"""
    tickets = list(Ticket.objects.all())
    for progress in progress_of(tickets).values():
        if progress.declared < progress.received or progress.received != progress.stored + progress.in_flight:
            yield f"{progress}"


def _completed_when_full(books):
    """a ticket is completed exactly when all its photos are stored"""
    tickets = list(Ticket.objects.all())
    for pk, progress in progress_of(tickets).items():
        ticket = next(ticket for ticket in tickets if ticket.pk == pk)
        is_full = progress.stored == progress.declared
        if (ticket.status == "completed") != is_full or (ticket.completed_at is None) is is_full:
            yield f"ticket {pk} is {ticket.status} with {progress}"


def _api_counts_rows(books):
    """the API counts what the rows say"""
    for reader in books.readers:
        page = reader.repeatedly("GET", "tickets/?page_size=100&cursor=").body
        while True:
            yield from _differences(page["results"])
            if not page["next"]:
                break
            page = reader.repeatedly("GET", page["next"].partition("/api/v1/")[2]).body


def _differences(tickets: list[dict]):
    rows = progress_of([Ticket(pk=ticket["id"], num_images=ticket["num_images"]) for ticket in tickets])
    for ticket in tickets:
        shown, counted = ticket["progress"], rows[ticket["id"]]
        for name in ("declared", "received", "stored", "failed", "remaining"):
            if shown[name] != getattr(counted, name):
                yield f"ticket {ticket['id']} shows {name} {shown[name]}, rows say {getattr(counted, name)}"


def _one_asset_for_each_stored_row(books):
    """every stored row has its asset, with the bytes that were sent"""
    etags = {asset.public_id: (asset.bytes, asset.etag) for asset in books.assets}
    for image in Image.objects.filter(status="stored"):
        sent = (image.size, books.diary.md5_by_sha256.get(image.sha256))
        if etags.get(image.public_id) != sent:
            yield f"image {image.pk}: sent {sent}, Cloudinary has {etags.get(image.public_id)}"


def _no_asset_without_a_row(books):
    """no asset stands without a stored row"""
    rows = {image.public_id: image for image in Image.objects.all()}
    for asset in books.assets:
        image = rows.get(asset.public_id)
        if image is None or image.status != "stored":
            yield f"{asset.public_id}, stored {asset.times_stored} times, row: {image and image.status}"
    if AssetRemoval.objects.exists():
        yield f"{AssetRemoval.objects.count()} removals have not been carried out"


def _nothing_staged(books):
    """no staged byte is left, and the budget is zero"""
    for image_id in staged_photos():
        image = Image.objects.filter(pk=image_id).first()
        ttl = store.connection_of(image_id).ttl(store.key_of(image_id))
        yield f"{image_id} is still staged for {ttl} seconds, row: {image and image.status}"
    if store.bytes_in_use():
        yield f"{store.bytes_in_use()} bytes of the budget are in use"


def _queue_is_empty(books):
    """the queue is empty"""
    if default_queue().job_ids:
        yield f"{len(default_queue().job_ids)} jobs are queued"


def _clients_got_what_they_meant(books):
    """each ticket holds as many photos as its client meant to send, none twice"""
    stored = Image.objects.filter(status="stored")
    counts = Counter(stored.values_list("ticket_id", flat=True))
    for ticket_id, meant in books.meant.items():
        if counts[ticket_id] != meant:
            failed = Image.objects.filter(ticket_id=ticket_id, status="failed").values_list("error_code", flat=True)
            yield f"ticket {ticket_id} was to get {meant} photos, has {counts[ticket_id]}, failed: {list(failed)}"
    for (ticket_id, sha256), number in Counter(stored.values_list("ticket_id", "sha256")).items():
        if number > 1:
            yield f"ticket {ticket_id} has {number} photos of the same bytes {sha256[:12]}"


def told_of(move: Transition) -> tuple | None:
    """(type, ticket, image) of the event that tells of this move; None of a move that none tells of."""
    of_image = {"stored": "image.stored", "failed": "image.failed", "rejected": "image.rejected"}
    of_ticket = {"completed": "ticket.completed", "cancelled": "ticket.cancelled", "expired": "ticket.expired"}
    type = (of_image if move.image_id else of_ticket).get(move.to_status)
    if not move.image_id and move.from_status == "completed":
        type = {"approved": "ticket.approved", "retake_requested": "ticket.reopened"}.get(move.reason)
    elif not move.image_id and move.from_status == "expired" and move.to_status in ("in_progress", "pending"):
        type = "ticket.reopened"
    return type and (type, move.ticket_id, move.image_id)


def _each_move_told_once(books):
    """there is one event for each move that is told of, with a sequence of its own, and no other"""
    moves = Counter(filter(None, map(told_of, Transition.objects.all())))
    events = list(Event.objects.filter(ticket_id__isnull=False).exclude(type="ticket.created"))
    told = Counter((event.type, event.ticket_id, event.image_id) for event in events)
    yield from (f"{moves[key]} moves, {told[key]} events: {key}" for key in moves | told if moves[key] != told[key])
    for key, number in Counter((event.ticket_id, event.data["sequence"]) for event in events).items():
        if number > 1:
            yield f"{number} events of ticket {key[0]} have the sequence {key[1]}"


def _feed_shows_each_event_once(books):
    """the feed shows each event once, in an order in which sequences grow"""
    for reader in books.readers:
        page = reader.repeatedly("GET", "events/?page_size=100").body
        shown = page["results"]
        while page["next"]:
            page = reader.repeatedly("GET", page["next"].partition("/api/v1/")[2]).body
            shown += page["results"]
        if len({event["id"] for event in shown}) < len(shown):
            yield f"some of {len(shown)} events are shown twice"
        last = {}
        for event in shown:
            ticket_id, sequence = event["data"]["ticket"]["id"], event["data"]["sequence"]
            if sequence <= last.get(ticket_id, 0):
                yield f"{event['type']} {sequence} of ticket {ticket_id} comes after {last[ticket_id]}"
            last[ticket_id] = sequence
        written = Event.objects.filter(ticket_id__in=last).count()
        if written != len(shown):
            yield f"{written} events are written, {len(shown)} shown"


RULES = [
    _each_move_told_once,
    _feed_shows_each_event_once,
    _photos_settled,
    _no_place_given_twice,
    _completed_when_full,
    _api_counts_rows,
    _one_asset_for_each_stored_row,
    _no_asset_without_a_row,
    _nothing_staged,
    _queue_is_empty,
    _clients_got_what_they_meant,
]
