"""What the published schema says of each operation beyond what the serializers tell. Errors carry the problem schema,
which hopla/schema.py adds to every response of 400 and above.
"""

from drf_yasg import openapi

from apps.tickets.serializers import (
    ImageSerializer,
    NewTicketSerializer,
    TicketDetailSerializer,
    TicketSerializer,
    TicketStatusSerializer,
)

LIST_TICKETS = {
    "operation_id": "tickets_list",
    "operation_summary": "List your tickets",
    "tags": ["tickets"],
}
OPEN_TICKET = {
    "operation_id": "tickets_create",
    "operation_summary": "Open a ticket",
    "tags": ["tickets"],
    "request_body": NewTicketSerializer,
    "responses": {201: openapi.Response("The ticket.", TicketSerializer), 400: "Invalid input."},
}
READ_TICKET = {
    "operation_id": "tickets_read",
    "operation_summary": "Read a ticket with its images",
    "tags": ["tickets"],
    "responses": {200: openapi.Response("The ticket and its images.", TicketDetailSerializer)},
}
WATCH_TICKET = {
    "operation_id": "tickets_status",
    "operation_summary": "Watch a ticket",
    "tags": ["tickets"],
    "responses": {200: openapi.Response("Status and progress.", TicketStatusSerializer)},
}
LIST_IMAGES = {
    "operation_id": "images_list",
    "operation_summary": "List the images of a ticket",
    "tags": ["images"],
}
POST_IMAGE = {
    "operation_id": "images_create",
    "operation_summary": "Post one photo",
    "tags": ["images"],
    "manual_parameters": [
        openapi.Parameter("image", openapi.IN_FORM, "The photo.", type=openapi.TYPE_FILE, required=True)
    ],
    "responses": {202: openapi.Response("The image, queued.", ImageSerializer)},
}
READ_IMAGE = {
    "operation_id": "images_read",
    "operation_summary": "Read one image",
    "tags": ["images"],
    "responses": {200: openapi.Response("The image.", ImageSerializer)},
}
