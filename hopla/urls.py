from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import set_language

from apps.accounts.views import VerificationPage
from apps.common.api.problems import no_such_endpoint
from apps.common.api.schema import redoc, swagger_json, swagger_ui
from apps.common.http.pages import home
from apps.guests.look import theme_css
from apps.guests.page import GuestEmailsPage, GuestPage
from apps.operations.health import healthz, readyz
from apps.operations.queue_dashboard import QueueDashboard  # noqa: F401 (registers itself in the admin)
from apps.support.views import SubscriptionPage
from apps.tickets.api.handover import jwks

urlpatterns = [
    path("api/v1/", include("apps.tickets.urls")),  # first: Django tries them in this order
    path("", home, name="home"),
    path("healthz", healthz),
    path("readyz", readyz, name="readyz"),
    path(".well-known/jwks.json", jwks, name="jwks"),
    path("api/v1/", include("apps.accounts.urls")),
    path("api/v1/", include("apps.support.urls")),
    path("api/v1/", include("apps.guests.urls")),
    path("api/v1/", include("apps.integrations.urls")),
    re_path(r"^api/", no_such_endpoint),
    path("guest-page.css", theme_css, name="guest-page-theme"),
    path("u/<str:token>/", GuestPage.as_view(), name="guest-page"),
    path("guest-emails/<str:token>/", csrf_exempt(GuestEmailsPage.as_view()), name="guest-emails"),
    path("support/subscription/<str:token>/", csrf_exempt(SubscriptionPage.as_view()), name="support-subscription"),
    path("verify-email/<str:token>/", csrf_exempt(VerificationPage.as_view()), name="email-verification"),
    path("documentation/", swagger_ui, name="documentation"),
    path("redoc/", redoc, name="redoc"),
    path("swagger.json", swagger_json, name="schema"),
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
]
