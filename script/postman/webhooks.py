"""Webhooks: hopla posts what happens to an address of the integrator's."""

from script.postman.fields import DELIVERY, DELIVERY_WITH_DATA, NEW_WEBHOOK, PAGE, WEBHOOK, WEBHOOK_SECRET
from script.postman.items import folder, request

ONE = "webhooks/{{webhookId}}/"

WEBHOOKS = folder(
    "14. Webhooks",
    """
    What happens to your tickets is posted to an address of yours, signed. docs/integrate.md says how to verify it. Here
    the address is one of hopla's own that takes no POST, so that nothing is delivered: each try fails with 405.
    """,
    request(
        "Make a webhook",
        "POST webhooks/",
        about="`secret` is shown only once. Without `events` it gets all.",
        json={"url": "{{baseUrl}}/healthz", "events": ["ticket.completed", "image.rejected"], "description": "ERP"},
        status=201,
        has=NEW_WEBHOOK,
        tests={"its secret is one": "pm.expect(body.secret).to.match(/^whsec_/)"},
        keeps={"webhookId": "body.id"},
    ),
    request(
        "Make one for an address inside",
        "POST webhooks/",
        about="Private addresses are refused, in whatever form, and so is http outside of development.",
        json={"url": "http://169.254.169.254/latest/"},
        status=400,
        code="webhook_url_refused",
    ),
    request(
        "Make one for events that there are not",
        "POST webhooks/",
        about="`detail` says which there are.",
        json={"url": "{{baseUrl}}/healthz", "events": ["ticket.done"]},
        status=400,
        code="invalid",
        errors=(("events.0", "invalid_choice"),),
    ),
    request(
        "List your webhooks",
        "GET webhooks/",
        about="Newest first; their secrets are not shown again.",
        status=200,
        has=PAGE,
        tests={"no secret is shown": 'pm.expect(body.results[0]).to.not.have.any.keys("secret")'},
    ),
    request("Read a webhook", f"GET {ONE}", about="Whether it works.", status=200, has=WEBHOOK),
    request(
        "Ping it",
        f"POST {ONE}ping/",
        about="An event `ping` to this webhook alone.",
        status=202,
        has=DELIVERY,
        keeps={"deliveryId": "body.id"},
    ),
    request(
        "List its deliveries",
        f"GET {ONE}deliveries/",
        about="One for each event, newest first. `status` and `type` may be given several times.",
        query=(("type", "ping"),),
        status=200,
        has=PAGE,
        tests={"the ping is there": 'pm.expect(body.results[0].type).to.eql("ping")'},
    ),
    request(
        "Read a delivery",
        f"GET {ONE}deliveries/{{{{deliveryId}}}}/",
        about="What was sent, and what came back.",
        status=200,
        has=DELIVERY_WITH_DATA,
    ),
    request(
        "Send it again: too early",
        f"POST {ONE}deliveries/{{{{deliveryId}}}}/replay/",
        about="Only what is settled, delivered or failed, is sent again; this one is still tried.",
        status=409,
        code="delivery_pending",
    ),
    request(
        "Recover what it missed",
        f"POST {ONE}recover/",
        about="Every event since then that it wants and has not got.",
        json={"since": "2026-01-01T00:00:00Z"},
        status=202,
        has=("count",),
    ),
    request(
        "Rotate its secret",
        f"POST {ONE}rotate-secret/",
        about="The old one signs beside the new one for 24 hours.",
        status=200,
        has=WEBHOOK_SECRET,
    ),
    request(
        "Disable it",
        f"PATCH {ONE}",
        about="What happens meanwhile can be recovered when it is enabled again.",
        json={"enabled": False},
        status=200,
        has=WEBHOOK,
        tests={"it says why": 'pm.expect(body.disabled_reason).to.eql("owner")'},
    ),
    request(
        "Ping a disabled one",
        f"POST {ONE}ping/",
        about="Nothing is sent to it.",
        status=409,
        code="webhook_disabled",
    ),
    request("Delete it", f"DELETE {ONE}", about="With what was sent to it.", status=204),
)
