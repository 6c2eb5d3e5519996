"""What the published schema says of API keys beyond what the serializers tell."""

from functools import partial

from apps.common.api.operations import LOCATION, NO_STORE, response
from apps.common.api.operations import operation as _operation
from apps.integrations.api.keys_serializers import ApiKeySerializer, NewApiKeySerializer, NewlyMadeApiKeySerializer
from apps.integrations.keys.errors import TooManyApiKeysError
from apps.tickets.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REFUSALS, REPLAYED

operation = partial(_operation, tag="api-keys")

LIST_KEYS = operation(
    "api_keys_list",
    "List your API keys",
    "Newest first, also those that have expired. What they are used by is not shown again.",
)
MAKE_KEY = operation(
    "api_keys_create",
    "Make an API key",
    "A key for a program, which then needs nobody's password: send it as `Authorization: Token hopla_…`. It may do "
    "with what is yours what its scopes allow, until it expires or is revoked, also after you have logged out "
    "everywhere or changed your password. What staff may do with what is others', no key may.\n\n"
    "`key` is shown only once and kept nowhere: a repeat with the same Idempotency-Key makes no second one, and has "
    "null in its place.",
    body=NewApiKeySerializer,
    manual_parameters=[IDEMPOTENCY_KEY],
    responses={
        201: response(
            "The key.",
            NewlyMadeApiKeySerializer,
            example=NewlyMadeApiKeySerializer.example(),
            headers={"Location": LOCATION, "Cache-Control": NO_STORE} | REPLAYED,
        )
    },
    refusals=[TooManyApiKeysError, *IDEMPOTENCY_REFUSALS],
)
READ_KEY = operation(
    "api_keys_read",
    "Read an API key",
    "What it may do, and when it was last used.",
    responses={200: response("The key.", ApiKeySerializer, example=ApiKeySerializer.example())},
)
REVOKE_KEY = operation(
    "api_keys_revoke",
    "Revoke an API key",
    "The next request with it is refused, with `api_key_revoked`. It is in no list any more.",
    responses={204: response("It is revoked.")},
)
