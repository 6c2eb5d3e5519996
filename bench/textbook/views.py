import django_rq
from django.contrib.auth import get_user_model
from django.shortcuts import get_object_or_404
from rest_framework import generics, permissions, serializers, views
from rest_framework.authtoken.models import Token
from rest_framework.response import Response

from bench.textbook.jobs import upload_photo
from bench.textbook.models import Image, Ticket


class ImageSerializer(serializers.ModelSerializer):
    class Meta:
        model = Image
        fields = ["id", "url", "created_at"]


class TicketSerializer(serializers.ModelSerializer):
    stored = serializers.SerializerMethodField()

    class Meta:
        model = Ticket
        fields = ["id", "title", "num_images", "status", "stored", "created_at"]

    def get_stored(self, ticket):
        return ticket.images.exclude(url="").count()


class TicketDetailSerializer(TicketSerializer):
    images = ImageSerializer(many=True)

    class Meta(TicketSerializer.Meta):
        fields = [*TicketSerializer.Meta.fields, "images"]


class RegisterView(views.APIView):
    permission_classes = [permissions.AllowAny]

    def post(self, request):
        fields = {name: request.data[name] for name in ("username", "email", "password")}
        user = get_user_model().objects.create_user(**fields)
        return Response({"token": Token.objects.create(user=user).key}, status=201)


class OwnTickets:
    def get_queryset(self):
        return Ticket.objects.filter(owner=self.request.user)


class TicketsView(OwnTickets, generics.ListCreateAPIView):
    serializer_class = TicketSerializer
    filterset_fields = {"status": ["exact"], "created_at": ["gte", "lte"]}
    ordering_fields = ["created_at", "num_images", "status"]
    search_fields = ["title"]

    def perform_create(self, serializer):
        serializer.save(owner=self.request.user)


class TicketView(OwnTickets, generics.RetrieveAPIView):
    serializer_class = TicketDetailSerializer


class TicketStatusView(OwnTickets, generics.RetrieveAPIView):
    serializer_class = TicketSerializer


class ImagesView(views.APIView):
    def post(self, request, pk):
        ticket = get_object_or_404(Ticket, pk=pk, owner=request.user)
        if ticket.images.count() >= ticket.num_images:
            return Response({"detail": "The ticket is full."}, status=409)
        photo = request.FILES["image"]
        image = Image.objects.create(ticket=ticket)
        django_rq.enqueue(upload_photo, image.pk, photo.read())
        return Response(ImageSerializer(image).data, status=202)
