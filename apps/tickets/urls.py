from django.urls import path

from apps.common.api import path_ids  # noqa: F401 (registers the converter)
from apps.tickets.api import direct, handover, images, kinds, tickets, uploads

urlpatterns = [
    # First, as Django tries them in this order, at four calls each.
    path("tickets/<int:ticket_id>/images/", images.ImagesView.as_view(), name="ticket-images"),
    path("kinds/", kinds.KindsView.as_view(), name="kinds"),
    path("kinds/<slug:name>/", kinds.KindView.as_view(), name="kind"),
    path("tickets/", tickets.TicketsView.as_view(), name="tickets"),
    path("tickets/<int:ticket_id>/", tickets.TicketView.as_view(), name="ticket"),
    path("tickets/<int:ticket_id>/status/", tickets.TicketStatusView.as_view(), name="ticket-status"),
    path("tickets/<int:ticket_id>/manifest/", handover.ManifestView.as_view(), name="ticket-manifest"),
    path("tickets/<int:ticket_id>/archive/", handover.ArchiveView.as_view(), name="ticket-archive"),
    path("tickets/<int:ticket_id>/uploads/", uploads.UploadsView.as_view(), name="ticket-uploads"),
    path("tickets/<int:ticket_id>/uploads/<any_case_uuid:upload_id>/", uploads.UploadView.as_view(), name="upload"),
    path("tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/", images.ImageView.as_view(), name="image"),
    path(
        "tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/confirm/",
        direct.ConfirmationView.as_view(),
        name="image-confirmation",
    ),
    path("tickets/<int:ticket_id>/direct-uploads/", direct.DirectUploadsView.as_view(), name="ticket-direct-uploads"),
    path(
        "tickets/<int:ticket_id>/direct-uploads/<any_case_uuid:image_id>/",
        direct.DirectUploadView.as_view(),
        name="direct-upload",
    ),
    path("cloudinary/notifications/", direct.NotificationsView.as_view(), name="cloudinary-notifications"),
]
