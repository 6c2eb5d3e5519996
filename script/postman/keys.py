"""API keys: a program works without anybody's password."""

from script.postman.fields import API_KEY, NEW_API_KEY, PAGE, TICKET
from script.postman.items import folder, request, token

KEY = token("apiKey")

API_KEYS = folder(
    "15. API keys",
    """
    A program is given a key of its own, with scopes that say what it may do. It outlives log-outs and new passwords,
    until it expires or is revoked.
    """,
    request(
        "Make an API key",
        "POST api-keys/",
        about="`key` is shown only once. `expires_at` may be left out.",
        json={"name": "Order system", "scopes": ["tickets:write"]},
        status=201,
        has=NEW_API_KEY,
        tests={"the key begins as its prefix says": "pm.expect(body.key.startsWith(body.prefix)).to.be.true"},
        keeps={"apiKeyId": "body.id", "apiKey": "body.key"},
    ),
    request(
        "With the key: open a ticket",
        "POST tickets/",
        about="It is yours, and counts as yours. Each operation of the documentation says which scope allows it.",
        auth=KEY,
        json={"num_images": 1, "title": "Flat 16"},
        status=201,
        has=TICKET,
    ),
    request(
        "With the key: what its scopes do not allow",
        "GET auth/users/me/",
        about="403 with the scope that is missing, here none: no key may read or change accounts, or make keys.",
        auth=KEY,
        status=403,
        code="insufficient_scope",
    ),
    request(
        "List your API keys",
        "GET api-keys/",
        about="How each begins, what it may do, when it was last used; never the key itself.",
        status=200,
        has=PAGE,
        tests={"the key was used": "pm.expect(body.results[0].last_used_at).to.be.a('string')"},
    ),
    request(
        "Read one key",
        "GET api-keys/{{apiKeyId}}/",
        about="The same of one key.",
        status=200,
        has=API_KEY,
    ),
    request(
        "Revoke the key",
        "DELETE api-keys/{{apiKeyId}}/",
        about="It ends at once.",
        status=204,
    ),
    request(
        "With the key: too late",
        "GET tickets/",
        about="401 with `api_key_revoked`, `api_key_expired` or `api_key_invalid`.",
        auth=KEY,
        status=401,
        code="api_key_revoked",
    ),
)
