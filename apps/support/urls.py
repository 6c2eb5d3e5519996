from django.urls import path

from apps.support import views

urlpatterns = [
    path("support/tickets/", views.SupportTicketsView.as_view(), name="support-tickets"),
    path("support/tickets/<int:support_ticket_id>/", views.SupportTicketView.as_view(), name="support-ticket"),
    path("support/tickets/<int:support_ticket_id>/messages/", views.MessagesView.as_view(), name="support-messages"),
    path(
        "support/tickets/<int:support_ticket_id>/unsubscribe/",
        views.UnsubscribeView.as_view(),
        name="support-unsubscribe",
    ),
    path("support/tickets/<int:support_ticket_id>/subscribe/", views.SubscribeView.as_view(), name="support-subscribe"),
]
