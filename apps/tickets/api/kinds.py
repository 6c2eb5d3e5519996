"""Kinds of tickets through the API: list them, read one."""

from drf_yasg.utils import swagger_auto_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.db.snapshot import one_snapshot
from apps.tickets.api import schema
from apps.tickets.api.serializers import KindSerializer
from apps.tickets.models import TicketKind


class KindsView(ListQueryMixin, ListAPIView):
    """What tickets can be opened by; anyone who may open one may read it."""

    queryset = TicketKind.objects.none()
    serializer_class = KindSerializer
    pagination_class = NumberedPages

    def get_queryset(self):
        return TicketKind.objects.offered()

    @swagger_auto_schema(**schema.LIST_KINDS)
    def get(self, request):
        with one_snapshot():
            return super().get(request)


class KindView(RetrieveAPIView):
    queryset = TicketKind.objects.none()
    serializer_class = KindSerializer
    lookup_field = "name"

    def get_queryset(self):
        return TicketKind.objects.offered()

    @swagger_auto_schema(**schema.READ_KIND)
    def get(self, request, name):
        with one_snapshot():
            return super().get(request)
