from django.urls import path

from apps.integrations.api.events import EventsView

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),
]
