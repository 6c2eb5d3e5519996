"""Guest links: somebody without an account sends the photos of one ticket."""

from script.postman.fields import GUEST_LINK, IMAGE, NEW_GUEST_LINK, PAGE, TICKET, TICKET_FOR_GUESTS
from script.postman.items import folder, request, token
from script.postman.photos import BARE, NEW_PHOTO

GUEST = token("guestToken", scheme="Guest")
LINKS = "tickets/{{guestTicketId}}/guest-links/"

GUESTS = folder(
    "12. Guests",
    """
    People without an account take the photos of one ticket: they get a link to a page, or an app uses the link's token
    as `Authorization: Guest <token>`. It may read that ticket and send photos for it, and nothing else.
    """,
    request(
        "Open a ticket for a guest",
        "POST tickets/",
        about="As any other.",
        json={"num_images": 1, "title": "Flat 15"},
        status=201,
        has=TICKET,
        keeps={"guestTicketId": "body.id"},
    ),
    request(
        "Make a guest link",
        f"POST {LINKS}",
        about="""
        `url` is the page for the guest, `qr_svg` its QR code; both and `token` are shown only once. With `email` the
        link is mailed there, and with `remind_before_seconds` reminders of what is missing.
        """,
        json={"name": "Ana", "expires_in_seconds": 86400},
        status=201,
        has=NEW_GUEST_LINK,
        tests={"the page has the token": 'pm.expect(body.url).to.include("/u/" + body.token + "/")'},
        keeps={"guestLinkId": "body.id", "guestToken": "body.token"},
    ),
    request(
        "As the guest: read the ticket",
        "GET tickets/{{guestTicketId}}/",
        about="Without `reference` and `metadata`, which are its owner's.",
        auth=GUEST,
        status=200,
        has=TICKET_FOR_GUESTS,
        tests={"the owner's own is left out": 'pm.expect(body).to.not.have.any.keys("reference", "metadata")'},
    ),
    request(
        "As the guest: send a photo",
        "POST tickets/{{guestTicketId}}/images/",
        about="It counts to the ticket's owner.",
        auth=GUEST,
        headers=BARE,
        raw="{{photo}}",
        status=202,
        has=IMAGE,
    ),
    request(
        "As the guest: anything else",
        "GET tickets/",
        about="403 for whatever a guest may not do, 404 for another ticket.",
        auth=GUEST,
        status=403,
        code="guest_not_allowed",
    ),
    request(
        "List the guest links",
        f"GET {LINKS}",
        about="Who got one, whether it was opened, and how many photos came by it; never what it opens.",
        status=200,
        has=PAGE,
        tests={"one photo came": "pm.expect(body.results[0].photos).to.eql(1)"},
    ),
    request(
        "Read one",
        f"GET {LINKS}{{{{guestLinkId}}}}/",
        about="The same of one link.",
        status=200,
        has=GUEST_LINK,
    ),
    request(
        "Revoke it",
        f"DELETE {LINKS}{{{{guestLinkId}}}}/",
        about="It ends at once. The photos that came by it stay.",
        status=204,
    ),
    request(
        "As the guest: too late",
        "GET tickets/{{guestTicketId}}/status/",
        about="401 with `guest_link_revoked`, `guest_link_expired` or `guest_link_invalid`.",
        auth=GUEST,
        status=401,
        code="guest_link_revoked",
    ),
    before=NEW_PHOTO,
)
