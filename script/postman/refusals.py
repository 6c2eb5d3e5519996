"""What every endpoint refuses: requests without credentials or for another's things, the unknown, what is not JSON."""

from script.postman.items import anonymous, bearer, folder, request, token

REFUSALS = folder(
    "9. Refusals",
    """
    Every error is a problem document (RFC 9457), `application/problem+json`: `title` and `detail` for people, in the
    language of `Accept-Language` (English, Spanish, Polish); `code` for programs, in English and stable. Quote
    `request_id` when you ask for help: it is in every log line of the request.

    Repeat after 429 and 503, when `Retry-After` says, after a lost connection and after 500, with the same
    `Idempotency-Key`. Do not repeat any other 4xx: it will not change by itself.
    """,
    request(
        "Without credentials",
        "GET tickets/",
        about="401 `not_authenticated`.",
        auth=anonymous(),
        answers=401,
        code="not_authenticated",
    ),
    request(
        "With a token that is none",
        "GET tickets/",
        about="401 `authentication_failed`: sign in again.",
        auth=token("username"),
        answers=401,
        code="authentication_failed",
    ),
    request(
        "Log in as someone else",
        "POST auth/jwt/create/",
        about="The second account of folder 1.",
        auth=anonymous(),
        json={"email": "{{secondEmail}}", "password": "{{password}}"},
        answers=200,
        keeps={"strangerAccess": "answer.access"},
    ),
    request(
        "Another user's ticket",
        "GET tickets/{{ticketId}}/",
        about="404, as if there were none: nobody learns which tickets there are.",
        auth=bearer("strangerAccess"),
        answers=404,
        code="not_found",
    ),
    request(
        "A photo for another user's ticket",
        "POST tickets/{{otherTicketId}}/images/",
        about="404 as well.",
        auth=bearer("strangerAccess"),
        headers={"Content-Type": "image/jpeg"},
        raw="not looked at",
        answers=404,
        code="not_found",
    ),
    request(
        "An image that there is not",
        "GET tickets/{{ticketId}}/images/00000000-0000-4000-8000-000000000000/",
        about="404, as for a ticket that there is not.",
        answers=404,
        code="not_found",
    ),
    request(
        "An endpoint that there is not",
        "GET nothing/",
        about="404, as a problem document like any other. Mind the slash at the end of every path.",
        answers=404,
        code="not_found",
    ),
    request(
        "Change a ticket",
        "PATCH tickets/{{ticketId}}/",
        about="Clients never change or delete a ticket: 405, with `Allow`.",
        json={"num_images": 2},
        answers=405,
        code="method_not_allowed",
        tests={"Allow names what is": 'pm.expect(pm.response.headers.get("Allow")).to.include("GET")'},
    ),
    request(
        "Delete a ticket",
        "DELETE tickets/{{ticketId}}/",
        about="405 as well; staff can, in the admin.",
        answers=405,
        code="method_not_allowed",
    ),
    request(
        "A body that is no JSON",
        "POST tickets/",
        about="400 `parse_error`.",
        headers={"Content-Type": "application/json"},
        raw='{"num_images": ',
        answers=400,
        code="parse_error",
    ),
    request(
        "A body of another type",
        "POST tickets/",
        about="415 `unsupported_media_type`: apart from photos, bodies are JSON.",
        headers={"Content-Type": "text/plain"},
        raw="num_images=3",
        answers=415,
        code="unsupported_media_type",
    ),
    request(
        "In another language",
        "GET tickets/999999999999/",
        about="`title` and `detail` follow `Accept-Language`, `code` does not.",
        headers={"Accept-Language": "es"},
        answers=404,
        code="not_found",
        tests={
            "it says which language": 'pm.expect(pm.response.headers.get("Content-Language")).to.eql("es")',
            "it answers in Spanish": 'pm.expect(answer.title).to.eql("No encontrado")',
        },
    ),
)
