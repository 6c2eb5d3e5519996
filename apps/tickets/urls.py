from django.urls import path

from apps.common.api import path_ids  # noqa: F401 (registers the converter)
from apps.tickets.api import handover, views

urlpatterns = [
    path("tickets/", views.TicketsView.as_view(), name="tickets"),
    path("tickets/<int:ticket_id>/", views.TicketView.as_view(), name="ticket"),
    path("tickets/<int:ticket_id>/status/", views.TicketStatusView.as_view(), name="ticket-status"),
    path("tickets/<int:ticket_id>/manifest/", handover.ManifestView.as_view(), name="ticket-manifest"),
    path("tickets/<int:ticket_id>/archive/", handover.ArchiveView.as_view(), name="ticket-archive"),
    path("tickets/<int:ticket_id>/images/", views.ImagesView.as_view(), name="ticket-images"),
    path("tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/", views.ImageView.as_view(), name="image"),
]
