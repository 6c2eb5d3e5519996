"""API keys through the API, for their owner: make one, list them, read one, revoke one."""

from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.integrations.api import keys_schema as schema
from apps.integrations.api.keys_serializers import ApiKeySerializer, NewApiKeySerializer
from apps.integrations.keys.making import make_key, revoke
from apps.integrations.models import ApiKey
from apps.tickets.api.kept_answers import answer_once


class OwnKeys:
    """Mixin of views: the user's own keys that were not revoked. Staff have the admin."""

    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer

    def get_queryset(self):
        return ApiKey.objects.visible_to(self.request.user)


class ApiKeysView(OwnKeys, ListQueryMixin, ListAPIView):
    pagination_class = NumberedPages
    throttle_scope = "tickets"

    @swagger_auto_schema(**schema.LIST_KEYS)
    def get(self, request):
        return super().get(request)

    @swagger_auto_schema(**schema.MAKE_KEY)
    def post(self, request):
        self.secret = None  # a repeat has none: it is kept nowhere
        response = answer_once(request, check=self._checked, make=self._make)
        response.data |= {"key": self.secret}
        response.headers["Cache-Control"] = "no-store"
        return response

    def _checked(self) -> dict:
        new = NewApiKeySerializer(data=self.request.data)
        new.is_valid(raise_exception=True)
        return new.validated_data

    def _make(self, fields: dict) -> Response:
        key, self.secret = make_key(owner=self.request.user, **fields)
        location = reverse("api-key", kwargs={"api_key_id": key.pk}, request=self.request)
        return Response(self.get_serializer(key).data, status.HTTP_201_CREATED, headers={"Location": location})


class ApiKeyView(OwnKeys, RetrieveAPIView):
    lookup_url_kwarg = "api_key_id"

    @swagger_auto_schema(**schema.READ_KEY)
    def get(self, request, api_key_id):
        return super().get(request)

    @swagger_auto_schema(**schema.REVOKE_KEY)
    def delete(self, request, api_key_id):
        revoke(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
