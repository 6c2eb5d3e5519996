from django.urls import path

from apps.common.api import path_ids  # noqa: F401 (registers the converter)
from apps.tickets.api import views

urlpatterns = [
    path("kinds/", views.KindsView.as_view(), name="kinds"),
    path("kinds/<slug:name>/", views.KindView.as_view(), name="kind"),
    path("tickets/", views.TicketsView.as_view(), name="tickets"),
    path("tickets/<int:ticket_id>/", views.TicketView.as_view(), name="ticket"),
    path("tickets/<int:ticket_id>/status/", views.TicketStatusView.as_view(), name="ticket-status"),
    path("tickets/<int:ticket_id>/images/", views.ImagesView.as_view(), name="ticket-images"),
    path("tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/", views.ImageView.as_view(), name="image"),
]
