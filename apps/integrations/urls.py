from django.urls import path

from apps.integrations.api import keys

urlpatterns = [
    path("api-keys/", keys.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<int:api_key_id>/", keys.ApiKeyView.as_view(), name="api-key"),
]
