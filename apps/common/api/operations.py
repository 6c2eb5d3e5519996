"""Helpers with which the schema.py of an app describes its operations: what each takes, returns and refuses.

apps/common/api/schema.py turns them into the published schema and adds what operations have in common: credentials,
request ids, and the refusals of malformed bodies, unknown paths, bad filters and rate limits.
"""

from collections import defaultdict
from typing import NamedTuple

from drf_yasg import openapi

# Headers of responses.
LOCATION = {"type": "string", "format": "uri", "description": "Where to read it again.", "x-required": True}
NO_STORE = {"type": "string", "enum": ["no-store"], "x-required": True}  # of Cache-Control


class Refusal(NamedTuple):
    """One code with which an operation may respond, as a problem."""

    status: int
    code: str
    sentence: str

    @classmethod
    def of(cls, error: type) -> "Refusal":
        """Returns the refusal of an APIException class. The placeholders of its sentence become N."""
        sentence = str(error.default_detail).format_map(defaultdict(lambda: "N"))
        return cls(error.status_code, error.default_code, sentence)


PERMISSION_DENIED = Refusal(403, "permission_denied", "Only staff may.")


def operation(
    operation_id: str,
    summary: str,
    description: str,
    *,
    tag: str,
    responses: dict[int, openapi.Response] | None = None,
    refusals=(),
    public: bool = False,
    body=None,
    **more,
) -> dict:
    """Arguments for swagger_auto_schema.

    `responses`: by status; empty for a list, whose view's serializer, filters and pages describe it. `refusals`: each a
    Refusal or an APIException class. `public`: it needs no credentials. `body`: the serializer of the JSON body if it
    is not the view's, or no_body.
    """
    if public:
        more["security"] = []
    if body is not None:
        more["request_body"] = body
    return more | {
        "operation_id": operation_id,
        "operation_summary": summary,
        "operation_description": description,
        "tags": [tag],
        "responses": responses or {},
        "refusals": [each if isinstance(each, Refusal) else Refusal.of(each) for each in refusals],
    }


def response(description: str, content=None, *, example=None, headers: dict | None = None) -> openapi.Response:
    examples = {"application/json": example} if example is not None else None
    return openapi.Response(description, content, examples=examples, headers=headers)


def header(name: str, description: str, **form) -> openapi.Parameter:
    return openapi.Parameter(name, openapi.IN_HEADER, description, type=openapi.TYPE_STRING, **form)
