"""Do the books balance? Counted on every side once all is quiet: rows, API, Cloudinary's assets, Redis, the queue.

Each rule is a function that yields a sentence for everything it finds wrong.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from django.utils import timezone
from redis.exceptions import RedisError

from apps.common.redis.client import redis_at
from apps.integrations.models import Delivery, DeliveryStatus, Event, EventType
from apps.tickets.direct.looking import NEXT_LOOK
from apps.tickets.models import AssetRemoval, Image, Ticket, progress_of
from apps.tickets.models.image import LATE_UPLOAD_SECONDS
from apps.tickets.models.statuses import UNSETTLED, ImageStatus
from apps.tickets.models.transition import Transition
from apps.tickets.staging import store
from apps.tickets.staging.servers import all_servers, server_of
from apps.tickets.upkeep.audit import audit_assets
from tests.case import default_queue, staged_photos
from tests.faults.clients import Client, Diary
from tests.faults.hooks import FeedReader, Hook
from tests.faults.world import wait_until

# An upload that was cut off is forgotten after staging.INCOMING_TTL_SECONDS, a resumable one after the world's
# RESUMABLE_TTL_SECONDS.
SETTLED_WITHIN_SECONDS = 240


@dataclass
class Books:
    """What the rules look at. `assets`, `notices`: of the sandbox. `meant`: how many photos each ticket was to get, by
    its id. `hooks`, `walks`: tests.faults.hooks.
    """

    assets: list
    diary: Diary
    readers: list[Client] = field(default_factory=list)  # one for each user, who read their tickets by the API
    meant: dict[int, int] = field(default_factory=dict)
    notices: list = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    walks: list[FeedReader] = field(default_factory=list)


def is_quiet() -> bool:
    """Nothing is under way any more: no photo, none that may come late, no asset to remove, no job, no staged byte."""
    try:
        return not (
            _is_any_photo_under_way()
            or Image.objects.filter(status=ImageStatus.FAILED, next_check_at__isnull=False).exists()
            or AssetRemoval.objects.exists()
            or staged_photos()
            or store.bytes_in_use()
        )
    except RedisError:  # a server of staging was away a moment ago
        return False


def _is_any_photo_under_way() -> bool:
    """Taken for granted while the database cannot be asked: it may have been restarted a moment ago."""
    try:
        return Image.objects.filter(status__in=UNSETTLED).exists() or bool(default_queue().job_ids)
    except (OperationalError, InterfaceError):
        connection.close()
        return True


def settle() -> bool:
    """Wait until it is quiet, but for the hour in which direct uploads may come late: that passes at once."""
    _wait_for_photos()
    let_forms_end()
    return wait_until(is_quiet, timeout_seconds=SETTLED_WITHIN_SECONDS, every_seconds=0.1)


def settle_at_once() -> bool:
    """As `settle`, with the wait for expiries and for overdue uploads taken as over once no photo is in flight."""
    _wait_for_photos()
    let_time_pass(max(store.INCOMING_TTL_SECONDS, settings.RESUMABLE_TTL_SECONDS))
    return settle()


def _wait_for_photos() -> None:
    wait_until(lambda: not _is_any_photo_under_way(), timeout_seconds=SETTLED_WITHIN_SECONDS)


def let_time_pass(seconds: int) -> None:
    """For what is staged or to be removed: as if that many seconds had gone by."""
    budget = store.BUDGET_KEYS[0]
    for redis in (server.client for server in all_servers()):
        for image_id in redis.zrange(budget, 0, -1):
            redis.zincrby(budget, -seconds, image_id)
        for key in map(store.key_of, staged_photos()):
            redis.pexpire(key, max(1, redis.pttl(key) - 1000 * seconds))
    AssetRemoval.objects.update(due_at=F("due_at") - timedelta(seconds=seconds))


def let_forms_end() -> None:
    """As if no form of a direct upload could bring a photo any more."""
    passed = timedelta(seconds=LATE_UPLOAD_SECONDS + settings.DIRECT_UPLOAD_TTL_SECONDS)
    Image.objects.filter(upload_expires_at__isnull=False).update(
        upload_expires_at=F("upload_expires_at") - passed, next_check_at=F("next_check_at") - passed
    )
    AssetRemoval.objects.update(due_at=F("due_at") - passed, again_at=F("again_at") - passed)
    redis_at(settings.REDIS_URL).delete(NEXT_LOOK)


def findings(books: Books) -> dict[str, list[str]]:
    """What is wrong, by rule; every list empty means that the books balance."""
    return {rule.__doc__: list(rule(books)) for rule in RULES}


def _photos_settled(books):
    """every photo is stored, or failed with a reason"""
    for image in Image.objects.filter(status__in=UNSETTLED):
        yield f"image {image.pk} is {image.status}, attempt {image.attempts}, {image.error_code}"
    for image in Image.objects.filter(status="failed", error_code=""):
        yield f"image {image.pk} failed without a reason"


def _no_place_given_twice(books):
    """declared >= received = stored + in flight"""
    tickets = list(Ticket.objects.all())
    for progress in progress_of(tickets).values():
        if progress.declared < progress.received or progress.received != progress.stored + progress.unsettled:
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
        # Of a direct upload the client has said which photo it is, in its file's name.
        md5 = image.filename.partition(".")[0] if image.is_direct else books.diary.md5_by_sha256.get(image.sha256)
        sent = (image.size, md5)
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


def _audit_agrees(books):
    """the audit finds no asset without a row, and no row without its asset"""
    found = audit_assets(grace=timedelta())
    if not found.agree:
        yield f"{found}"


def _no_forgery_believed(books):
    """no forged notification is taken for Cloudinary's"""
    yield from (f"{each}" for each in books.notices if each.what == "forged" and each.status == 200)


def _nothing_staged(books):
    """no staged byte is left, and the budget is zero"""
    for image_id in staged_photos():
        image = Image.objects.filter(pk=image_id).first()
        ttl = server_of(image_id).client.ttl(store.key_of(image_id))
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
    for (ticket_id, *digests), number in Counter(stored.values_list("ticket_id", "sha256", "md5")).items():
        if number > 1:
            yield f"ticket {ticket_id} has {number} photos of the same bytes {digests}"


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
    created = Counter(Event.objects.filter(type="ticket.created").values_list("ticket_id", flat=True))
    yield from (f"ticket {pk} was created {created[pk]} times" for pk in books.meant if created[pk] != 1)
    for key, number in Counter((event.ticket_id, event.data["sequence"]) for event in events).items():
        if number > 1:
            yield f"{number} events of ticket {key[0]} have the sequence {key[1]}"


def _feed_shows_each_event_once(books):
    """the feed shows each event once, in an order in which sequences grow"""
    for reader in books.readers:
        shown = _feed_of(reader)
        if len({event["id"] for event in shown}) < len(shown):
            yield f"some of {len(shown)} events are shown twice"
        last = {}
        for event in shown:
            if "ticket" not in event["data"]:
                continue
            ticket_id, sequence = event["data"]["ticket"]["id"], event["data"]["sequence"]
            if sequence <= last.get(ticket_id, 0):
                yield f"{event['type']} {sequence} of ticket {ticket_id} comes after {last[ticket_id]}"
            last[ticket_id] = sequence
        written = Event.objects.filter(ticket_id__in=last).count()
        if written != sum("ticket" in event["data"] for event in shown):
            yield f"{written} events are written, {len(shown)} shown"


def _feed_of(reader: Client) -> list[dict]:
    page = reader.repeatedly("GET", "events/?page_size=100").body
    shown = page["results"]
    while page["next"]:
        page = reader.repeatedly("GET", page["next"].partition("/api/v1/")[2]).body
        shown += page["results"]
    return shown


def _feed_was_as_it_is(books):
    """who read the feed while it grew has seen what it shows now, in the same order"""
    for walk in books.walks:
        walk.read_to_the_end()
        seen, shown = walk.events, _feed_of(walk.client)
        if seen != shown:
            ids, now = [event["id"] for event in seen], [event["id"] for event in shown]
            first = next(n for n, pair in enumerate(zip_longest(seen, shown)) if pair[0] != pair[1])
            missed, doubled = set(now) - set(ids), {each for each, number in Counter(ids).items() if number > 1}
            yield f"{len(ids)} seen, {len(now)} shown, from {first} on: missed {missed}, twice {doubled}"


def _hooks_got_all(books):
    """each receiver that does well in the end got each event that it wants, as the feed shows it"""
    feeds = {client: _feed_of(client) for client in {hook.client for hook in books.hooks}}
    for hook in filter(lambda hook: hook.must_get_all, books.hooks):
        wanted = {event["id"]: event for event in feeds[hook.client] if _is_for(hook, event)}
        for missing in wanted.keys() - hook.got.keys():
            delivery = Delivery.objects.filter(endpoint=hook.id, event=missing).values().first()
            yield f"{hook.kind} {hook.id} has not got {missing} {wanted[missing]['type']}: {delivery}"
        for other in hook.got.keys() - wanted.keys():
            yield f"{hook.kind} {hook.id} got {other}, which is not for it: {hook.got[other][0][:200]}"
        for message in hook.got.keys() & wanted.keys():
            told = {name: value for name, value in wanted[message].items() if name != "id"}
            bodies = set(hook.got[message])
            if len(bodies) > 1 or json.loads(bodies.pop()) != told:
                yield f"{hook.kind} {hook.id} got {message} as {set(hook.got[message])}, and not as {told}"


def _is_for(hook: Hook, event: dict) -> bool:
    is_of_itself = event["type"] == EventType.WEBHOOK_DISABLED and event["data"]["webhook"]["id"] == hook.id
    return not is_of_itself and (not hook.events or event["type"] in hook.events)


def _hooks_got_nothing_wrong(books):
    """no receiver got what was not signed for it, and none was followed elsewhere"""
    yield from (f"{hook.kind} {hook.id}: {each}" for hook in books.hooks for each in hook.wrong)


def _deliveries_are_settled(books):
    """what was delivered is known to be, nothing else is, and nothing is under way"""
    for hook in books.hooks:
        mine = Delivery.objects.filter(endpoint=hook.id)
        told = {str(each) for each in mine.filter(status=DeliveryStatus.DELIVERED).values_list("event_id", flat=True)}
        if told != set(hook.got):
            yield f"{hook.kind} {hook.id} got {len(hook.got)}, {len(told)} are delivered: {told ^ set(hook.got)}"
        for delivery in mine.filter(status=DeliveryStatus.PENDING, endpoint__enabled=True):
            yield f"{delivery} is pending, attempt {delivery.attempts}, running: {delivery.is_running}"
        for delivery in mine.filter(is_running=True).exclude(status=DeliveryStatus.PENDING):
            yield f"{delivery} is {delivery.status} and running"
        for delivery in mine.filter(is_running=True, next_try_at__gt=timezone.now()):
            yield f"{delivery} is under way"


RULES = [
    _each_move_told_once,
    _feed_shows_each_event_once,
    _feed_was_as_it_is,
    _hooks_got_all,
    _hooks_got_nothing_wrong,
    _deliveries_are_settled,
    _photos_settled,
    _no_place_given_twice,
    _completed_when_full,
    _api_counts_rows,
    _one_asset_for_each_stored_row,
    _no_asset_without_a_row,
    _audit_agrees,
    _no_forgery_believed,
    _nothing_staged,
    _queue_is_empty,
    _clients_got_what_they_meant,
]
