"""The API of the support desk, and the page behind the link to unsubscribe."""

from django.shortcuts import get_object_or_404
from django.utils.translation import get_language
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.mail import subscriptions
from apps.support import schema
from apps.support.conversations import change_status, open_ticket, write_message
from apps.support.filters import SupportTicketFilter
from apps.support.models import Message, SupportTicket
from apps.support.permissions import StaffChangeStatus
from apps.support.serializers import (
    MessageSerializer,
    NewMessageSerializer,
    NewSupportTicketSerializer,
    StatusChangeSerializer,
    SupportTicketSerializer,
)
from apps.support.subscriptions import set_subscribed, ticket_of


class SupportTicketsView(ListQueryMixin, ListAPIView):
    queryset = SupportTicket.objects.none()
    serializer_class = SupportTicketSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = SupportTicketFilter
    pagination_class = NumberedPages
    throttle_scope = "tickets"

    def get_queryset(self):
        return SupportTicket.objects.visible_to(self.request.user).prefetch_related("messages")

    @swagger_auto_schema(**schema.LIST_TICKETS)
    def get(self, request):
        return super().get(request)

    @swagger_auto_schema(**schema.OPEN_TICKET)
    def post(self, request):
        new = NewSupportTicketSerializer(data=request.data, context={"request": request})
        new.is_valid(raise_exception=True)
        ticket = open_ticket(owner=request.user, language=get_language(), **new.validated_data)
        location = reverse("support-ticket", kwargs={"support_ticket_id": ticket.pk}, request=request)
        return Response(self.get_serializer(ticket).data, status.HTTP_201_CREATED, headers={"Location": location})


class SupportTicketView(GenericAPIView):
    queryset = SupportTicket.objects.none()
    serializer_class = SupportTicketSerializer
    permission_classes = [IsAuthenticated, StaffChangeStatus]
    lookup_url_kwarg = "support_ticket_id"

    def get_queryset(self):
        return SupportTicket.objects.visible_to(self.request.user)

    @swagger_auto_schema(**schema.READ_TICKET)
    def get(self, request, support_ticket_id):
        return Response(self.get_serializer(self.get_object()).data)

    @swagger_auto_schema(**schema.PUT_STATUS)
    def put(self, request, support_ticket_id):
        ticket = self.get_object()
        change = StatusChangeSerializer(data=request.data)
        change.is_valid(raise_exception=True)
        change_status(ticket_id=ticket.pk, actor=request.user, status=change.validated_data["status"])
        return Response(self.get_serializer(self.get_object()).data)

    @swagger_auto_schema(**schema.PATCH_STATUS)
    def patch(self, request, support_ticket_id):
        return self.put(request, support_ticket_id)


class MessagesView(ListQueryMixin, ListAPIView):
    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    pagination_class = NumberedPages
    throttle_scope = "tickets"

    def get_ticket(self) -> SupportTicket:
        visible = SupportTicket.objects.visible_to(self.request.user)
        return get_object_or_404(visible, pk=self.kwargs["support_ticket_id"])

    def get_queryset(self):
        return self.get_ticket().messages.all()

    @swagger_auto_schema(**schema.LIST_MESSAGES)
    def get(self, request, support_ticket_id):
        return super().get(request)

    @swagger_auto_schema(**schema.WRITE_MESSAGE)
    def post(self, request, support_ticket_id):
        ticket = self.get_ticket()
        new = NewMessageSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        message = write_message(ticket_id=ticket.pk, author=request.user, text=new.validated_data["text"])
        return Response(self.get_serializer(message).data, status.HTTP_201_CREATED)


class SubscriptionView(APIView):
    """Base: the owner unsubscribes from, or subscribes to, the e-mails of one ticket."""

    subscribed: bool

    def set(self, request, support_ticket_id):
        ticket = get_object_or_404(SupportTicket.objects.owned_by(request.user), pk=support_ticket_id)
        set_subscribed(ticket, self.subscribed)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UnsubscribeView(SubscriptionView):
    subscribed = False

    @swagger_auto_schema(**schema.UNSUBSCRIBE)
    def post(self, request, support_ticket_id):
        return self.set(request, support_ticket_id)


class SubscribeView(SubscriptionView):
    subscribed = True

    @swagger_auto_schema(**schema.SUBSCRIBE)
    def post(self, request, support_ticket_id):
        return self.set(request, support_ticket_id)


class SubscriptionPage(subscriptions.SubscriptionPage):
    find = staticmethod(ticket_of)
    set_subscribed = staticmethod(set_subscribed)
    template = "support/subscription.html"
