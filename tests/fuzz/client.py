"""`python -m tests.fuzz.client <url>`: a client generated from /swagger.json does the main job.

bravado checks each request against the schema before it is sent and each answer when it comes.
"""

import sys
import time

from bravado.client import SwaggerClient
from bravado.exception import HTTPConflict, HTTPUnauthorized
from bravado.requests_client import RequestsClient
from bravado_core.formatter import SwaggerFormat

from tests.fuzz.photo import photo

PASSWORD = "correct-horse-battery"
DELIVERED_WITHIN_SECONDS = 60


def main(url: str) -> None:
    http = RequestsClient()
    config = {"also_return_response": True, "formats": [text(name) for name in ("email", "uri", "uuid")]}
    client = SwaggerClient.from_url(f"{url}/swagger.json", http_client=http, config=config)
    new_user = {"username": "generated", "email": "generated@example.com", "password": PASSWORD}
    client.auth.auth_register(data=new_user).result()
    session, _ = client.auth.auth_login(data={"username": "generated", "password": PASSWORD}).result()
    http.set_api_key(url.partition("//")[2], f"Token {session.token}", param_name="Authorization", param_in="header")

    ticket, opened = client.tickets.tickets_create(data={"num_images": 2, "title": "Generated"}).result()
    assert opened.headers["Location"].endswith(f"/tickets/{ticket.id}/")
    for number in range(2):
        image, _ = client.images.images_create(ticket_id=ticket.id, image=photo(number)).result()
        assert image.status == "queued" and image.error is None
    try:
        client.images.images_create(ticket_id=ticket.id, image=photo(2)).result()
        raise AssertionError("A full ticket took a photo.")
    except HTTPConflict as full:
        assert full.response.json()["code"] in ("ticket_full", "ticket_completed")

    deadline = time.monotonic() + DELIVERED_WITHIN_SECONDS
    while client.tickets.tickets_status(ticket_id=ticket.id).result()[0].status != "completed":
        assert time.monotonic() < deadline, "The ticket was not completed in time."
        time.sleep(0.1)
    whole, _ = client.tickets.tickets_read(ticket_id=ticket.id).result()
    assert [image.status for image in whole.images] == ["stored", "stored"]
    page, _ = client.tickets.tickets_list(status=["completed"], created_after="2020-01-01", page_size=1).result()
    assert (page.count, page.next) == (1, None)
    cursor_page, _ = client.tickets.tickets_list(cursor="", ordering=["-created_at"]).result()
    assert [each.id for each in cursor_page.results] == [ticket.id] and cursor_page.count is None
    client.auth.auth_logout().result()
    try:
        client.auth.users_me().result()
        raise AssertionError("A token that was logged out still works.")
    except HTTPUnauthorized as refused:
        assert refused.response.json()["code"] == "authentication_failed"


def text(format: str) -> SwaggerFormat:
    return SwaggerFormat(format, to_wire=str, to_python=str, validate=lambda value: None, description="text")


if __name__ == "__main__":
    main(sys.argv[1])
