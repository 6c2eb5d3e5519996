"""What the published schema says of the feed of events."""

from apps.common.api.operations import operation
from apps.integrations import errors

LIST_EVENTS = operation(
    "events_list",
    "List events",
    "What happened to your tickets and photos, the oldest first, with the same ids and data as the webhooks. Staff see "
    "their own, too.\n\n"
    "Follow `next` until it is null, keep the id of the last event, and go on later with `after`: nothing is left out "
    "and nothing comes twice. An event shows up once no earlier one can come any more, as a rule at once. Events are "
    "kept for EVENTS_KEPT_DAYS (30): whoever comes back later gets 410 and begins anew without `after`. Error details "
    "are in English.",
    tag="events",
    refusals=[errors.UnknownEventError, errors.EventsExpiredError],
)
