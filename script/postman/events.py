"""The feed of events: what a program reads that keeps up with tickets."""

from apps.integrations.api.events_serializers import EventSerializer
from script.postman.items import folder, request

EVENT = EventSerializer.names()

EVENTS = folder(
    "13. Events",
    """
    What happened to your tickets and photos, the oldest first, as webhooks tell it. Follow `next` until it is null,
    keep the last id, and go on later with `after`: nothing is left out.
    """,
    request(
        "What happened to a ticket",
        "GET events/",
        about="From its opening to its completion. `type` may be given several times.",
        query=(("ticket", "{{ticketId}}"), ("page_size", "100")),
        status=200,
        has=("next", "results"),
        tests={
            "each has its fields": "body.results.forEach((event) => pm.expect(event).to.include.all.keys("
            + ", ".join(f'"{name}"' for name in EVENT)
            + "))",
            "it was opened first": 'pm.expect(body.results[0].type).to.eql("ticket.created")',
            "it was completed once": "pm.expect(body.results.filter((event) => event.type === 'ticket.completed'))"
            ".to.have.lengthOf(1)",
            "sequences grow": "body.results.reduce((last, event) => {"
            " pm.expect(event.data.sequence).to.be.above(last); return event.data.sequence; }, 0)",
        },
        keeps={"eventId": "body.results[0].id"},
    ),
    request(
        "What happened since",
        "GET events/",
        about="Those after the last one that you have seen.",
        query=(("after", "{{eventId}}"),),
        status=200,
        has=("next", "results"),
        tests={
            "that one is not among them": "pm.expect(body.results.map((event) => event.id))"
            '.to.not.include(pm.collectionVariables.get("eventId"))'
        },
    ),
    request(
        "After an event that there is not",
        "GET events/",
        about="Of one that is older than what is kept: 410 `events_expired`.",
        query=(("after", "00000000-0000-4000-8000-000000000000"),),
        status=400,
        code="unknown_event",
    ),
)
