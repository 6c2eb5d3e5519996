"""Tickets: open one, list one's own, watch one."""

from script.postman.fields import (
    CURSOR_PAGE,
    IMAGE,
    KIND,
    MANIFEST,
    PAGE,
    PROGRESS,
    TICKET,
    TICKET_STATUS,
    TICKET_WITH_IMAGES,
    TICKET_WITH_SLOTS,
)
from script.postman.items import folder, keys, no_auth, request

OPENING = folder(
    "3. Open a ticket",
    """
    A ticket says how many photos belong together. It is `pending` until the first photo is accepted, then
    `in_progress`, and `completed` exactly when all are stored; that is never taken back. A ticket can also end
    `cancelled` or `expired`. Clients cannot change or delete one.
    """,
    request(
        "Open a ticket for three photos",
        "POST tickets/",
        about="""
        Only `num_images` is needed. `progress.remaining` is how many uploads the ticket still takes. Go on with
        `images_url` and `status_url`: no need to put addresses together.
        """,
        json={"num_images": 3, "title": "Flat 12", "description": "{{username}}: kitchen, bath, meter"},
        status=201,
        has=TICKET,
        tests={
            "it is pending": 'pm.expect(body.status).to.eql("pending")',
            "it counts": f"pm.expect(body.progress).to.include.all.keys({keys(PROGRESS)})",
            "it takes three photos": "pm.expect(body.progress.remaining).to.eql(3)",
            "Location leads to it": 'pm.expect(pm.response.headers.get("Location")).to.include("/" + body.id + "/")',
        },
        keeps={
            "ticketId": "body.id",
            "today": "body.created_at.slice(0, 10)",
            "statusEtag": "'\"\"'",
            "polls": "0",
        },
    ),
    request(
        "Open a ticket, safely repeatable",
        "POST tickets/",
        about="""
        With an `Idempotency-Key`, made up by the app and kept until the response: if the response is lost, send
        the same request with the same key again, within 24 hours. Use a new UUID for each ticket.
        """,
        before='pm.collectionVariables.set("ticketKey", pm.variables.replaceIn("{{$guid}}"));',
        headers={"Idempotency-Key": "{{ticketKey}}"},
        json={"num_images": 1, "title": "Flat 13"},
        status=201,
        has=TICKET,
        keeps={"otherTicketId": "body.id"},
    ),
    request(
        "The same again: no second ticket",
        "POST tickets/",
        about="The first response is repeated, with `Idempotent-Replayed: true`.",
        headers={"Idempotency-Key": "{{ticketKey}}"},
        json={"num_images": 1, "title": "Flat 13"},
        status=201,
        tests={
            "it is the same ticket": 'pm.expect(String(body.id)).to.eql(String(pm.variables.get("otherTicketId")))',
            "it says so": 'pm.expect(pm.response.headers.get("Idempotent-Replayed")).to.eql("true")',
        },
    ),
    request(
        "Another ticket with the same key",
        "POST tickets/",
        about="A key stands for one request. For another one it is refused, as it would hide a mistake of the app.",
        headers={"Idempotency-Key": "{{ticketKey}}"},
        json={"num_images": 2, "title": "Flat 14"},
        status=422,
        code="idempotency_key_reused",
    ),
    request(
        "A ticket for no photo",
        "POST tickets/",
        about='From 1 to `TICKET_MAX_IMAGES` (500) photos. A number is a number: `"3"` is refused as well.',
        json={"num_images": 0},
        status=400,
        code="invalid",
        errors=(("num_images", "min_value"),),
    ),
    request(
        "What kinds of tickets there are",
        "GET kinds/",
        about="""
        Staff make them in the admin: named places, instructions, examples, a time to expiry. Texts are in the language
        of `Accept-Language`. `script/server` brings three.
        """,
        headers={"Accept-Language": "es"},
        status=200,
        has=PAGE,
        tests={"the damaged car is there": "pm.expect(body.results.map((kind) => kind.name)).to.include('car-damage')"},
    ),
    request(
        "One kind of ticket",
        "GET kinds/car-damage/",
        about="`slots` are the places in their order; `version` tells whether it has changed since the app last asked.",
        status=200,
        has=KIND,
        tests={"it has its places": "pm.expect(body.slots[0]).to.include({name: 'front', source: 'camera'})"},
    ),
    request(
        "Open a ticket of a kind",
        "POST tickets/",
        about="""
        What the kind says is copied into the ticket, so that later changes of the kind change no ticket. `num_images`
        may be larger, `expires_at` another.
        """,
        json={"kind": "car-damage", "title": "Claim 15"},
        status=201,
        has=TICKET_WITH_SLOTS,
        tests={
            "it is of that kind": 'pm.expect(body.kind).to.eql("car-damage")',
            "it has its places": "pm.expect(body.missing).to.include.members(['front', 'odometer'])",
            "it has its instructions": "pm.expect(body.instructions).to.not.eql('')",
            "it expires": "pm.expect(body.expires_at).to.match(/Z$/)",
        },
    ),
    request(
        "Open a ticket of a kind that there is not",
        "POST tickets/",
        about="Names are as `GET kinds/` has them.",
        json={"kind": "no-such-kind"},
        status=400,
        code="invalid",
        errors=(("kind", "kind_unknown"),),
    ),
)

WATCH_BEFORE = """
// Half a second between two polls. In an app: one or two seconds, and slower while it is in the background.
if (Number(pm.collectionVariables.get("polls")) > 0) setTimeout(() => {}, 500);
"""
WATCH_AFTER = f"""
const polls = Number(pm.collectionVariables.get("polls")) + 1;
pm.collectionVariables.set("polls", polls);
pm.test("its status is 200, or 304 while nothing changed", () => pm.expect(pm.response.code).to.be.oneOf([200, 304]));
if (pm.response.code === 200) {{
    const body = pm.response.json();
    pm.test("has its fields", () => {{
        pm.expect(body).to.include.all.keys({keys(TICKET_STATUS)});
        pm.expect(body.progress).to.include.all.keys({keys(PROGRESS)});
    }});
    pm.test("no photo failed", () => pm.expect(body.progress.failed).to.eql(0));
    pm.collectionVariables.set("statusEtag", pm.response.headers.get("ETag"));
    pm.collectionVariables.set("ticketStatus", body.status);
}}
const isUnderWay = ["pending", "in_progress"].includes(pm.collectionVariables.get("ticketStatus"));
if (isUnderWay && polls < 120 && pm.response.code < 400) {{
    pm.execution.setNextRequest(pm.info.requestName);
}} else {{
    pm.test("the ticket is completed", () => pm.expect(pm.collectionVariables.get("ticketStatus")).to.eql("completed"));
    pm.collectionVariables.set("polls", 0);
}}
"""

WATCHING = folder(
    "5. Watch it complete",
    """
    The photos go to Cloudinary in the background. Poll `status/`, which is small, until `status` is `completed`,
    `cancelled` or `expired`; then read the ticket once. Both carry an `ETag` made from their state: send it back as
    `If-None-Match` and an unchanged ticket costs an empty 304.
    """,
    request(
        "Watch until it is completed",
        "GET tickets/{{ticketId}}/status/",
        about="""
        Repeats itself, at most 120 times, while the ticket is under way. (Postman repeats in a collection run; sent by
        hand it is asked once.) The first poll knows no state yet and sends the ETag `""`, which matches none.
        """,
        headers={"If-None-Match": "{{statusEtag}}"},
        before=WATCH_BEFORE,
        status=200,
        after=WATCH_AFTER,
    ),
    request(
        "Watch: nothing new",
        "GET tickets/{{ticketId}}/status/",
        about="The state that the app knows is the latest: 304, and no body.",
        headers={"If-None-Match": "{{statusEtag}}"},
        status=304,
        tests={"there is no body": "pm.expect(pm.response.text()).to.eql('')"},
    ),
    request(
        "Read the ticket with its photos",
        "GET tickets/{{ticketId}}/",
        about="The ticket and all of its images: `url` shows the photo, `thumbnail_url` one of 400 x 400 pixels.",
        status=200,
        has=TICKET_WITH_IMAGES,
        tests={
            "it is completed": 'pm.expect(body.status).to.eql("completed")',
            "it knows when": "pm.expect(body.completed_at).to.match(/Z$/)",
            "three are stored": "pm.expect(body.progress).to.include({declared: 3, stored: 3, percent: 100})",
            "it has three images": "pm.expect(body.images).to.have.lengthOf(3)",
            "every image is stored": 'body.images.forEach((image) => pm.expect(image.status).to.eql("stored"))',
            "every image can be shown": "body.images.forEach((image) => pm.expect(image.url).to.match(/^http/))",
        },
        keeps={"ticketEtag": 'pm.response.headers.get("ETag")'},
    ),
    request(
        "Read the ticket: nothing new",
        "GET tickets/{{ticketId}}/",
        about="With the `ETag` of the last response.",
        headers={"If-None-Match": "{{ticketEtag}}"},
        status=304,
    ),
    request(
        "Read one image",
        "GET tickets/{{ticketId}}/images/{{imageId}}/",
        about="""
        An image is `queued`, `uploading`, `stored` or `failed`. A failed one says why in `error` and has given its
        place back: post the photo again.
        """,
        status=200,
        has=IMAGE,
        tests={
            "it is stored": 'pm.expect(body.status).to.eql("stored")',
            "its size in pixels is known": "pm.expect(body).to.include({width: 16, height: 16})",
            "it has a thumbnail": "pm.expect(body.thumbnail_url).to.match(/^http/)",
            "nothing went wrong": "pm.expect(body.error).to.eql(null)",
        },
    ),
    request(
        "Hand it on: the manifest",
        "GET tickets/{{ticketId}}/manifest/",
        about="""
        What the set consists of: the stored photos, with the size and sha256 that hopla counted while they arrived. In
        canonical form (RFC 8785), so that equal manifests have equal bytes.
        """,
        status=200,
        has=MANIFEST,
        tests={
            "it has three photos": "pm.expect(body.photos).to.have.lengthOf(3)",
            "each has its sha256": "body.photos.forEach((each) => pm.expect(each.sha256).to.have.lengthOf(64))",
        },
    ),
    request(
        "Hand it on: the manifest, signed",
        "GET tickets/{{ticketId}}/manifest/",
        about="The same as a compact JWS. `manage.py verify_manifest` or any JOSE library verifies it.",
        headers={"Accept": "application/jose"},
        status=200,
        tests={
            "it is a JWS": "pm.expect(pm.response.text()).to.match(/^[\\w-]+\\.[\\w-]+\\.[\\w-]+$/)",
            "it says so": 'pm.expect(pm.response.headers.get("Content-Type")).to.eql("application/jose")',
        },
    ),
    request(
        "Hand it on: the keys to verify it with",
        "GET /.well-known/jwks.json",
        about="The public keys (a JWK Set), for everyone. The `kid` in the JWS's header says which of them signed.",
        auth=no_auth(),
        status=200,
        has=("keys",),
        tests={"they are Ed25519 keys": 'body.keys.forEach((key) => pm.expect(key.crv).to.eql("Ed25519"))'},
    ),
    request(
        "Hand it on: the photos in a zip",
        "GET tickets/{{ticketId}}/archive/",
        about="""
        The photos as they were sent, named by position, with the manifest and its signature. Streamed, with
        Content-Length: discard a download that ends early.
        """,
        status=200,
        after="""
pm.test("its status is 200", () => pm.response.to.have.status(200));
pm.test("it is a zip", () => pm.expect(pm.response.headers.get("Content-Type")).to.eql("application/zip"));
const length = Number(pm.response.headers.get("Content-Length"));
pm.test("it is whole", () => pm.expect(pm.response.stream.length).to.eql(length));
""",
    ),
    request(
        "A photo for a completed ticket",
        "POST tickets/{{ticketId}}/images/",
        about="Completed is completed: 409 `ticket_completed`. The app can forget this photo.",
        headers={"Content-Type": "image/bmp"},
        raw="too late",
        status=409,
        code="ticket_completed",
    ),
)

OURS = 'String(pm.variables.get("ticketId"))'
HAS_OURS = f"pm.expect(body.results.map((ticket) => String(ticket.id))).to.include({OURS})"

LISTING = folder(
    "7. List tickets",
    """
    One's own, newest first, in pages of 20 (`page_size` up to 100). Filters can be combined. A value that makes no
    sense is 400, never an empty list.
    """,
    request(
        "The newest",
        "GET tickets/",
        about="`next` and `previous` are whole addresses, or null.",
        status=200,
        has=PAGE,
        tests={
            "the ticket is there": HAS_OURS,
            "newest first": "pm.expect(body.results.map((ticket) => ticket.created_at))"
            ".to.eql(body.results.map((ticket) => ticket.created_at).sort().reverse())",
        },
    ),
    request(
        "By status",
        "GET tickets/",
        about="`status` may be repeated: `pending`, `in_progress`, `completed`, `cancelled`, `expired`.",
        query=(("status", "completed"), ("status", "cancelled")),
        status=200,
        has=PAGE,
        tests={
            "the ticket is there": HAS_OURS,
            "no other status is": "body.results.forEach("
            '(ticket) => pm.expect(ticket.status).to.be.oneOf(["completed", "cancelled"]))',
        },
    ),
    request(
        "By date",
        "GET tickets/",
        about="""
        Both ends count, and a date means its whole day, in UTC. A moment does as well:
        `created_after=2026-11-21T10:00:00Z`.
        """,
        query=(("created_after", "{{today}}"), ("created_before", "{{today}}")),
        status=200,
        has=PAGE,
        tests={"the ticket is there": HAS_OURS},
    ),
    request(
        "By a date long ago",
        "GET tickets/",
        about="Nothing found is 200 and an empty page.",
        query=(("created_before", "2020-01-01"),),
        status=200,
        has=PAGE,
        tests={"there is none": "pm.expect(body.count).to.eql(0)"},
    ),
    request(
        "In another order",
        "GET tickets/",
        about="""
        `ordering` is `created_at`, `updated_at`, `completed_at`, `num_images` or `status`, with a `-` in front to turn
        it round.
        """,
        query=(("ordering", "-num_images"),),
        status=200,
        has=PAGE,
        tests={
            "more photos first": "pm.expect(body.results.map((ticket) => ticket.num_images))"
            ".to.eql(body.results.map((ticket) => ticket.num_images).sort((a, b) => b - a))",
        },
    ),
    request(
        "By words",
        "GET tickets/",
        about="In title and description, without regard to case.",
        query=(("search", "KITCHEN"),),
        status=200,
        has=PAGE,
        tests={
            "the ticket is there": HAS_OURS,
            "no other is": "body.results.forEach((ticket) => pm.expect(ticket.description).to.include('kitchen'))",
        },
    ),
    request(
        "The second page",
        "GET tickets/",
        about="Numbered pages know the `count`. A ticket opened meanwhile shifts them; cursors do not.",
        query=(("page", "2"), ("page_size", "1")),
        status=200,
        has=PAGE,
        tests={
            "it is one long": "pm.expect(body.results).to.have.lengthOf(1)",
            "there is one before": "pm.expect(body.previous).to.be.a('string')",
        },
    ),
    request(
        "A page past the last",
        "GET tickets/",
        about="404. Stop when `next` is null.",
        query=(("page", "100000"),),
        status=404,
        code="not_found",
    ),
    request(
        "Endless scrolling: begin",
        "GET tickets/",
        about="""
        An empty `cursor` begins. These pages neither repeat nor skip a ticket when new ones are opened meanwhile, and
        the thousandth costs what the first does; they have no `count`.
        """,
        query=(("cursor", ""), ("page_size", "1")),
        status=200,
        has=CURSOR_PAGE,
        tests={"it is one long": "pm.expect(body.results).to.have.lengthOf(1)"},
        keeps={
            "cursor": "/[?&]cursor=([^&]*)/.exec(body.next)[1]",
            "shownTicketId": "body.results[0].id",
        },
    ),
    request(
        "Endless scrolling: go on",
        "GET tickets/",
        about="An app simply follows `next`, whose cursor this request takes over.",
        query=(("cursor", "{{cursor}}"), ("page_size", "1")),
        status=200,
        has=CURSOR_PAGE,
        tests={
            "it goes on": 'pm.expect(body.results[0].id).to.be.below(Number(pm.variables.get("shownTicketId")))',
            "and back": "pm.expect(body.previous).to.be.a('string')",
        },
    ),
    request(
        "By a status that there is not",
        "GET tickets/",
        about="400, and `errors` names the parameter.",
        query=(("status", "done"),),
        status=400,
        code="invalid",
        errors=(("status", "invalid_choice"),),
    ),
)
