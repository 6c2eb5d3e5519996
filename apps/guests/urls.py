from django.urls import path

from apps.guests import api

urlpatterns = [
    path("tickets/<int:ticket_id>/guest-links/", api.GuestLinksView.as_view(), name="guest-links"),
    path("tickets/<int:ticket_id>/guest-links/<int:guest_link_id>/", api.GuestLinkView.as_view(), name="guest-link"),
]
