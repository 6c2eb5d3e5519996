"""An attempt to deliver an event: sign it, post it, record what came of it."""

import logging

from django.conf import settings

from apps.common.db.release import release_connection
from apps.common.encryption import SecretUnreadableError
from apps.common.jobs.concurrency_limit import ConcurrencyLimit
from apps.common.observability.request_id import on_behalf_of
from apps.integrations.models import Delivery
from apps.integrations.webhooks import outcomes
from apps.integrations.webhooks.dialling import Answer, post
from apps.integrations.webhooks.leases import leases
from apps.integrations.webhooks.messages import body_of, headers_of
from apps.integrations.webhooks.signing import secrets_of, signed_headers

logger = logging.getLogger(__name__)

# Of the many threads that wait for receivers one computes at a time: the worker's photos come first.
turns = ConcurrencyLimit(1)


def attempt(delivery: Delivery, **options) -> str | None:
    """Make the attempt that has begun. Returns its outcome, as outcomes.record. No lock and no database connection is
    held while the receiver works. `options`: of dialling.post.
    """
    with on_behalf_of(delivery.event.request_id), leases.held(delivery), turns.turn():
        try:
            return outcomes.record(delivery, _answer_to(delivery, **options))
        finally:
            release_connection()


def _answer_to(delivery: Delivery, **options) -> Answer:
    body = body_of(delivery.event)
    try:
        secrets = secrets_of(delivery.endpoint)
    except SecretUnreadableError:
        logger.critical("webhook endpoint %s: none of ENCRYPTION_KEYS decrypts its secret", delivery.endpoint_id)
        return Answer(None, "hopla: the secret cannot be read, rotate it", milliseconds=0)
    headers = headers_of(delivery.event) | signed_headers(body, message_id=str(delivery.event_id), secrets=secrets)
    release_connection()  # the text of the event may have been made just now
    with turns.away():
        return post(
            delivery.endpoint.url, body=body, headers=headers, seconds=settings.WEBHOOK_TIMEOUT_SECONDS, **options
        )
