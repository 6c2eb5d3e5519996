"""Webhook endpoints through the API, for their owner: make one, list them, read, change, delete, try, recover."""

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.encryption import decrypt
from apps.integrations.api import webhooks_schema as schema
from apps.integrations.api.webhooks_serializers import (
    DeliverySerializer,
    NewWebhookSerializer,
    RecoveredSerializer,
    RecoverSerializer,
    WebhookChangeSerializer,
    WebhookSecretSerializer,
    WebhookSerializer,
)
from apps.integrations.endpoints import change_endpoint, delete_endpoint, make_endpoint, ping, recover
from apps.integrations.models import Endpoint
from apps.integrations.webhooks import signing
from apps.integrations.webhooks.addresses import check_url
from apps.tickets.api.kept_answers import answer_once


class MayBeDeleted:
    """Mixin of views: an endpoint that is deleted while it is worked on is as one that never was."""

    def handle_exception(self, exc):
        return super().handle_exception(Http404() if isinstance(exc, ObjectDoesNotExist) else exc)


class OwnEndpoints(MayBeDeleted):
    """Mixin of views: the endpoints of whoever asks, staff too. Those of others are in the admin."""

    queryset = Endpoint.objects.none()
    serializer_class = WebhookSerializer
    lookup_url_kwarg = "webhook_id"
    throttle_scope = "webhooks"

    def get_queryset(self):
        return Endpoint.objects.visible_to(self.request.user)


class WebhooksView(OwnEndpoints, ListQueryMixin, ListAPIView):
    pagination_class = NumberedPages

    @swagger_auto_schema(**schema.LIST_WEBHOOKS)
    def get(self, request):
        return super().get(request)

    @swagger_auto_schema(**schema.MAKE_WEBHOOK)
    def post(self, request):
        response = answer_once(request, check=self._checked, make=self._make)
        return self._with_secret(response)

    def _checked(self) -> dict:
        new = NewWebhookSerializer(data=self.request.data)
        new.is_valid(raise_exception=True)
        check_url(new.validated_data["url"])
        return new.validated_data

    def _make(self, fields: dict) -> Response:
        endpoint = make_endpoint(owner=self.request.user, **fields)
        location = reverse("webhook", kwargs={"webhook_id": endpoint.pk}, request=self.request)
        return Response(self.get_serializer(endpoint).data, status.HTTP_201_CREATED, headers={"Location": location})

    @staticmethod
    def _with_secret(response: Response) -> Response:
        """Returns the response with what is shown only once: the kept answer is without it."""
        endpoint = get_object_or_404(Endpoint, pk=response.data["id"])  # it may be gone when the request is repeated
        response.data["secret"] = decrypt(endpoint.secret_encrypted)
        response.headers["Cache-Control"] = "no-store"
        return response


class WebhookView(OwnEndpoints, RetrieveAPIView):
    @swagger_auto_schema(**schema.READ_WEBHOOK)
    def get(self, request, webhook_id):
        return super().get(request)

    @swagger_auto_schema(**schema.CHANGE_WEBHOOK)
    def patch(self, request, webhook_id):
        endpoint = self.get_object()
        change = WebhookChangeSerializer(data=request.data)
        change.is_valid(raise_exception=True)
        if "url" in change.validated_data:
            check_url(change.validated_data["url"])
        change_endpoint(endpoint, **change.validated_data)
        return Response(self.get_serializer(endpoint).data)

    @swagger_auto_schema(**schema.DELETE_WEBHOOK)
    def delete(self, request, webhook_id):
        delete_endpoint(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateSecretView(OwnEndpoints, GenericAPIView):
    serializer_class = WebhookSecretSerializer

    @swagger_auto_schema(**schema.ROTATE_SECRET)
    def post(self, request, webhook_id):
        endpoint = self.get_object()
        secret = signing.rotate(endpoint)
        return Response(
            {"secret": secret, "old_secret_until": endpoint.old_secret_until}, headers={"Cache-Control": "no-store"}
        )


class PingView(OwnEndpoints, GenericAPIView):
    serializer_class = DeliverySerializer

    @swagger_auto_schema(**schema.PING_WEBHOOK)
    def post(self, request, webhook_id):
        delivery = ping(self.get_object())
        return Response(self.get_serializer(delivery).data, status.HTTP_202_ACCEPTED)


class RecoverView(OwnEndpoints, GenericAPIView):
    serializer_class = RecoveredSerializer

    @swagger_auto_schema(**schema.RECOVER_WEBHOOK)
    def post(self, request, webhook_id):
        endpoint = self.get_object()
        wish = RecoverSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        count = recover(endpoint, since=wish.validated_data["since"])
        return Response({"count": count}, status.HTTP_202_ACCEPTED)
