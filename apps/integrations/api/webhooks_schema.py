"""What the published schema says of webhooks and their deliveries beyond what the serializers tell."""

from functools import partial

from drf_yasg.utils import no_body

from apps.common.api.operations import LOCATION, NO_STORE, response
from apps.common.api.operations import operation as _operation
from apps.integrations import errors
from apps.integrations.api.webhooks_serializers import (
    DeliverySerializer,
    DeliveryWithDataSerializer,
    NewlyMadeWebhookSerializer,
    NewWebhookSerializer,
    RecoveredSerializer,
    RecoverSerializer,
    WebhookChangeSerializer,
    WebhookSecretSerializer,
    WebhookSerializer,
)
from apps.tickets.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REFUSALS, REPLAYED

operation = partial(_operation, tag="webhooks")

NEW_WEBHOOK = NewlyMadeWebhookSerializer.example(last_success_at=None)
PENDING = DeliverySerializer.example(
    status="pending",
    attempts=0,
    http_status=None,
    milliseconds=None,
    answer="",
    next_try_at="2026-11-21T10:04:10Z",
    delivered_at=None,
)
PENDING_PING = PENDING | {"type": "ping"}

LIST_WEBHOOKS = operation(
    "webhooks_list",
    "List your webhooks",
    "Newest first. Their secrets are not shown again.",
)
MAKE_WEBHOOK = operation(
    "webhooks_create",
    "Make a webhook",
    "From now on the events of your tickets are posted to `url`, signed with `secret` by the Standard Webhooks "
    "specification. Verify each over the bytes of its body, answer 2xx within 15 seconds, and expect duplicates (same "
    "`webhook-id`) and any order (`sequence`).\n\n"
    "What hopla dials must be on the Internet: https on the ports 443, 80 and above 1023, and no private address.",
    body=NewWebhookSerializer,
    manual_parameters=[IDEMPOTENCY_KEY],
    responses={
        201: response(
            "The webhook, with its secret.",
            NewlyMadeWebhookSerializer,
            example=NEW_WEBHOOK,
            headers={"Location": LOCATION, "Cache-Control": NO_STORE} | REPLAYED,
        )
    },
    refusals=[errors.WebhookUrlRefusedError, errors.TooManyWebhooksError, *IDEMPOTENCY_REFUSALS],
)
READ_WEBHOOK = operation(
    "webhooks_read",
    "Read a webhook",
    "Whether it is enabled, and since when it has been failing if it is.",
    responses={200: response("The webhook.", WebhookSerializer, example=WebhookSerializer.example())},
)
CHANGE_WEBHOOK = operation(
    "webhooks_update",
    "Change a webhook",
    "Its `url`, `events` and `description`; and `enabled`: what happens while it is disabled is not sent to it, but "
    "can be recovered.",
    body=WebhookChangeSerializer,
    responses={200: response("The webhook.", WebhookSerializer, example=WebhookSerializer.example())},
    refusals=[errors.WebhookUrlRefusedError],
)
DELETE_WEBHOOK = operation(
    "webhooks_delete",
    "Delete a webhook",
    "Nothing more is sent to it, and what was sent is not listed any more.",
    responses={204: response("It is gone.")},
)
ROTATE_SECRET = operation(
    "webhooks_rotate_secret",
    "Rotate the secret of a webhook",
    "The new one signs at once. The old one signs beside it for 24 hours, so that a receiver that verifies by either "
    "misses nothing; a second rotation within that time ends it.",
    body=no_body,
    responses={
        200: response(
            "The new secret.",
            WebhookSecretSerializer,
            example=WebhookSecretSerializer.example(),
            headers={"Cache-Control": NO_STORE},
        )
    },
)
PING_WEBHOOK = operation(
    "webhooks_ping",
    "Ping a webhook",
    "Sends an event `ping` to it, whatever its `events` are. Read the delivery to see what came back.",
    body=no_body,
    responses={202: response("The delivery.", DeliverySerializer, example=PENDING_PING)},
    refusals=[errors.WebhookDisabledError],
)
RECOVER_WEBHOOK = operation(
    "webhooks_recover",
    "Recover what a webhook missed",
    "Sends every event since then that it wants and has not got: those whose delivery failed, and those that happened "
    "while it was disabled or before it was made. Events that are older than EVENTS_KEPT_DAYS are not kept.",
    body=RecoverSerializer,
    responses={202: response("They are sent.", RecoveredSerializer, example=RecoveredSerializer.example())},
    refusals=[errors.WebhookDisabledError],
)
LIST_DELIVERIES = operation(
    "deliveries_list",
    "List the deliveries of a webhook",
    "Newest first, one for each event. They are kept as long as the events.",
)
READ_DELIVERY = operation(
    "deliveries_read",
    "Read a delivery",
    "How it goes with it, and what was sent.",
    responses={
        200: response("The delivery.", DeliveryWithDataSerializer, example=DeliveryWithDataSerializer.example())
    },
)
REPLAY_DELIVERY = operation(
    "deliveries_replay",
    "Send an event again",
    "With the same `webhook-id` and data, whether it was delivered or failed, and with all of its retries.",
    body=no_body,
    responses={202: response("The delivery.", DeliverySerializer, example=PENDING)},
    refusals=[errors.DeliveryPendingError, errors.WebhookDisabledError],
)
