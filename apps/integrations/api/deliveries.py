"""What was sent to a webhook endpoint, for its owner, who may have it sent again."""

import django_filters
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.response import Response

from apps.common.api.filters import AnyOfFilter
from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.integrations.api import webhooks_schema as schema
from apps.integrations.api.webhooks import MayBeDeleted
from apps.integrations.api.webhooks_serializers import DeliverySerializer, DeliveryWithDataSerializer
from apps.integrations.endpoints import send_again
from apps.integrations.models import Delivery, DeliveryStatus, Endpoint, EventType


class DeliveryFilter(django_filters.FilterSet):
    status = AnyOfFilter(choices=DeliveryStatus.choices, help_text="Any of these: `status=pending&status=failed`.")
    type = AnyOfFilter(
        field_name="event__type", choices=EventType.choices, help_text="The type of the event; any of these."
    )

    class Meta:
        model = Delivery
        fields = ["status", "type"]


class OwnDeliveries(MayBeDeleted):
    """Mixin of views: the deliveries of one endpoint of whoever asks, newest first."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    lookup_url_kwarg = "delivery_id"
    throttle_scope = "webhooks"

    def get_queryset(self):
        endpoints = Endpoint.objects.visible_to(self.request.user)
        endpoint = get_object_or_404(endpoints, pk=self.kwargs["webhook_id"])
        return endpoint.deliveries.select_related("event", "endpoint").order_by("-id")


class DeliveriesView(OwnDeliveries, ListQueryMixin, ListAPIView):
    filter_backends = [DjangoFilterBackend]
    filterset_class = DeliveryFilter
    pagination_class = NumberedPages

    def get_queryset(self):
        return super().get_queryset().defer("event__text", "event__facts")  # which no list shows

    @swagger_auto_schema(**schema.LIST_DELIVERIES)
    def get(self, request, webhook_id):
        return super().get(request)


class DeliveryView(OwnDeliveries, RetrieveAPIView):
    serializer_class = DeliveryWithDataSerializer

    @swagger_auto_schema(**schema.READ_DELIVERY)
    def get(self, request, webhook_id, delivery_id):
        return super().get(request)


class ReplayView(OwnDeliveries, GenericAPIView):
    @swagger_auto_schema(**schema.REPLAY_DELIVERY)
    def post(self, request, webhook_id, delivery_id):
        delivery = self.get_object()
        send_again(delivery)
        return Response(self.get_serializer(delivery).data, status.HTTP_202_ACCEPTED)
