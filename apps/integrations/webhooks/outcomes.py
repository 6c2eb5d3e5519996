"""Records the outcome of an attempt: one transaction that settles the delivery or plans its next attempt.

An attempt that another one has overtaken changes nothing. Only 2xx is a success.
"""

import logging

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.common.observability import metrics
from apps.integrations.models import Delivery, DeliveryStatus, DisabledReason, Endpoint
from apps.integrations.webhooks import disabling
from apps.integrations.webhooks.dialling import Answer
from apps.integrations.webhooks.retries import next_try_at, slow_until

logger = logging.getLogger(__name__)

OUTCOMES = ("delivered", "retried", "failed", "interrupted")  # of an attempt
GONE = 410
SLOW_DOWN = {429, 502, 504}  # by the specification


def record(delivery: Delivery, answer: Answer) -> str | None:
    """Returns the outcome, one of OUTCOMES, or None if another attempt has begun since."""
    if answer.interrupted:
        outcome, fields = "interrupted", _at_once()
    elif answer.is_success:
        outcome, fields = "delivered", _settled(DeliveryStatus.DELIVERED) | {"delivered_at": timezone.now()}
    elif answer.status == GONE:
        outcome, fields = "failed", _settled(DeliveryStatus.FAILED)
    elif (moment := next_try_at(delivery, retry_after=answer.retry_after)) is not None:
        outcome, fields = "retried", {"next_try_at": moment}
    else:
        outcome, fields = "failed", _settled(DeliveryStatus.FAILED)
    if not answer.interrupted:
        fields |= {"http_status": answer.status, "milliseconds": answer.milliseconds, "answer": answer.text}
    with transaction.atomic():
        if not _mine(delivery).update(is_running=False, **fields):
            return None
        if not answer.interrupted:
            _note(delivery.endpoint, answer)
    metrics.count("hopla_webhook_attempts", outcome=outcome)
    if not answer.interrupted:
        metrics.observe("hopla_webhook_seconds", answer.milliseconds / 1000)
    logger.info(
        "webhook %s: %s, endpoint %s, attempt %s, %s in %s ms",
        delivery.event_id,
        outcome,
        delivery.endpoint_id,
        delivery.attempts,
        answer.status or "no answer",
        answer.milliseconds,
    )
    return outcome


def _mine(delivery: Delivery):
    """Returns a query for the row, if this is still its current attempt."""
    return Delivery.objects.filter(
        pk=delivery.pk, status=DeliveryStatus.PENDING, attempts=delivery.attempts, is_running=True
    )


def _settled(status: DeliveryStatus) -> dict:
    return {"status": status, "next_try_at": None}


def _at_once() -> dict:
    """The attempt does not count: it was cut off because its worker ends, and its outcome is not known."""
    return {"next_try_at": timezone.now(), "attempts_before": F("attempts_before") + 1}


def _note(endpoint: Endpoint, answer: Answer) -> None:
    if answer.is_success:
        disabling.note_success(endpoint)
        return
    same_url = Endpoint.objects.filter(pk=endpoint.pk, url=endpoint.url).select_for_update(no_key=True)
    if not same_url.values_list("pk").first():
        return  # its owner has changed it meanwhile: this was another receiver's answer
    if answer.status == GONE:
        disabling.disable_and_tell(endpoint, DisabledReason.GONE)
        return
    if answer.status in SLOW_DOWN:
        until = slow_until(answer.retry_after)
        earlier = Q(not_before=None) | Q(not_before__lt=until)
        Endpoint.objects.filter(earlier, pk=endpoint.pk).update(not_before=until)
    disabling.note_failure(endpoint)
