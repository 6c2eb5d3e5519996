from django.urls import path

from bench.textbook import views

urlpatterns = [
    path("api/v1/auth/register/", views.RegisterView.as_view()),
    path("api/v1/tickets/", views.TicketsView.as_view()),
    path("api/v1/tickets/<int:pk>/", views.TicketView.as_view()),
    path("api/v1/tickets/<int:pk>/status/", views.TicketStatusView.as_view()),
    path("api/v1/tickets/<int:pk>/images/", views.ImagesView.as_view()),
]
