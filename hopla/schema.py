"""The published schema: Swagger UI, ReDoc and /swagger.json, with the problem schema on every error response."""

from drf_yasg import openapi
from drf_yasg.generators import OpenAPISchemaGenerator
from drf_yasg.inspectors import SwaggerAutoSchema
from drf_yasg.views import get_schema_view
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated

PROBLEM = openapi.Schema(
    type=openapi.TYPE_OBJECT,
    description="Problem details (RFC 9457).",
    required=["type", "title", "status", "detail", "code", "request_id"],
    properties={
        "type": openapi.Schema(type=openapi.TYPE_STRING, example="about:blank"),
        "title": openapi.Schema(type=openapi.TYPE_STRING, example="Conflict"),
        "status": openapi.Schema(type=openapi.TYPE_INTEGER, example=409),
        "detail": openapi.Schema(type=openapi.TYPE_STRING, example="Every place of this ticket is taken."),
        "code": openapi.Schema(type=openapi.TYPE_STRING, description="Stable, in English.", example="ticket_full"),
        "request_id": openapi.Schema(type=openapi.TYPE_STRING),
        "errors": openapi.Schema(
            type=openapi.TYPE_ARRAY,
            description="For invalid input: where it is.",
            items=openapi.Schema(
                type=openapi.TYPE_OBJECT,
                required=["field", "code", "detail"],
                properties={
                    "field": openapi.Schema(type=openapi.TYPE_STRING, x_nullable=True),
                    "code": openapi.Schema(type=openapi.TYPE_STRING),
                    "detail": openapi.Schema(type=openapi.TYPE_STRING),
                },
            ),
        ),
    },
)


class HoplaAutoSchema(SwaggerAutoSchema):
    """Adds what every operation may answer, and the problem schema to every error."""

    def get_response_serializers(self):
        responses = super().get_response_serializers()
        common = {"500": "Something went wrong on our side.", "503": "Try again after `Retry-After` seconds."}
        if any(isinstance(permission, IsAuthenticated) for permission in self.view.get_permissions()):
            common["401"] = "No valid credentials."
        if "{" in self.path:
            common["404"] = "No such object, or not yours."
        if self.method == "GET" and self.has_list_response():
            common["400"] = "A bad filter value."
        for status, description in common.items():
            responses.setdefault(status, description)
        return dict(sorted(responses.items(), key=lambda item: str(item[0])))

    def get_response_schemas(self, response_serializers):
        responses = super().get_response_schemas(response_serializers)
        definitions = self.components.with_scope(openapi.SCHEMA_DEFINITIONS)
        definitions.setdefault("Problem", lambda: PROBLEM)
        for status, response in responses.items():
            if str(status).isdigit() and int(status) >= 400:
                response["schema"] = openapi.SchemaRef(definitions, "Problem")
        return responses

    def get_consumes(self):
        """All that the view's parsers take: drf-yasg's own drops forms that stand beside another media type."""
        return [parser.media_type for parser in self.view.get_parsers()]

    def get_produces(self):
        return ["application/json", "application/problem+json"]


class HoplaSchemaGenerator(OpenAPISchemaGenerator):
    def get_endpoints(self, request):
        return {path: endpoint for path, endpoint in super().get_endpoints(request).items() if path.startswith("/api/")}


schema_view = get_schema_view(
    openapi.Info(
        title="hopla",
        default_version="v1",
        description="Collect a declared set of photos and know for certain when the set is complete.",
        license=openapi.License(name="MIT"),
    ),
    public=True,
    generator_class=HoplaSchemaGenerator,
    authentication_classes=[],
    permission_classes=[AllowAny],
)
schema_view.content_negotiation_class = DefaultContentNegotiation
