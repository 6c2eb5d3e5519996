"""What tests of the support desk are made of."""

from apps.support.conversations import open_ticket

DESK = "/api/v1/support/tickets/"
SUPPORT_EMAIL = "desk@hopla.example"


def make_support_ticket(owner, *, title="Photo 3 fails", body_text="It says unsupported.", language="en", **fields):
    return open_ticket(owner=owner, title=title, body_text=body_text, language=language, **fields)
