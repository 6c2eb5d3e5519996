from django.urls import include, path

from apps.support import views

one_ticket = [
    path("", views.SupportTicketView.as_view(), name="support-ticket"),
    path("messages/", views.MessagesView.as_view(), name="support-messages"),
    path("unsubscribe/", views.UnsubscribeView.as_view(), name="support-unsubscribe"),
    path("subscribe/", views.SubscribeView.as_view(), name="support-subscribe"),
]

urlpatterns = [
    path("support/tickets/", views.SupportTicketsView.as_view(), name="support-tickets"),
    path("support/tickets/<int:support_ticket_id>/", include(one_ticket)),
]
