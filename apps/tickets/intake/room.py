"""The wait for room in staging, which is short, and open to a few requests of a process at a time."""

import threading
import time
import uuid
from collections.abc import Callable
from functools import partial

from apps.tickets.errors import StagingFullError
from apps.tickets.intake.body import uploads
from apps.tickets.staging import store
from apps.tickets.staging.servers import id_on

# A refusal is due within two seconds.
WAIT_SECONDS = 1.2
LOOK_EVERY_SECONDS = 0.05
# The others are refused at once, so that threads are left for everything else.
_waiting_room = threading.BoundedSemaphore(32)


def new_photo_id(size: int, *, user="") -> uuid.UUID:
    """Returns the id of a photo to come, of `size` bytes, once staging has room for it. It holds nothing yet.

    The id says on which server of staging the photo is to be. `user`: whose share of the room it counts to. Raises
    StagingFullError after a short wait, RedisError when no server answers.
    """
    return id_on(once_there_is_room(partial(store.require_room, size, user=user)))


def once_there_is_room(take_room: Callable):
    """Returns what `take_room()` does, calling it again for a while when it raises StagingFullError.

    Clients that post one photo after another are slowed down to the pace of delivery before they are refused.
    """
    give_up_at = time.monotonic() + WAIT_SECONDS
    may_wait = _waiting_room.acquire(blocking=False)
    try:
        while True:
            try:
                return take_room()
            except StagingFullError:
                if not may_wait or time.monotonic() >= give_up_at:
                    raise
            with uploads.away():
                time.sleep(LOOK_EVERY_SECONDS)
    finally:
        if may_wait:
            _waiting_room.release()
