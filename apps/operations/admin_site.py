"""The admin: Django's own, under hopla's name and look (templates/admin/, static/hopla/admin.css).

It uses no theme from PyPI, on purpose: the maintained ones need inline scripts or code in attributes, which the
Content-Security-Policy forbids, and have no Spanish or Polish translation.
"""

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _

from apps.operations.dashboard import dashboard_for

# The apps on the first page and in the sidebar, the most used first.
ORDER = ("tickets", "guests", "support", "integrations", "accounts", "django_rq")
# Third-party apps whose models are about accounts.
ABOUT_ACCOUNTS = ("auth", "token_blacklist")


class HoplaAdminSite(AdminSite):
    site_header = site_title = "hopla"
    index_title = _("Overview")

    def get_app_list(self, request, app_label=None):
        """The apps under hopla's own headings; for the page of a single app, as in Django."""
        apps = {app["app_label"]: app for app in super().get_app_list(request, app_label)}
        if app_label is not None:
            return list(apps.values())
        if "accounts" in apps:
            for label in ABOUT_ACCOUNTS:
                apps["accounts"]["models"] += apps.pop(label, {"models": []})["models"]
        if "django_rq" in apps:
            apps["django_rq"]["name"] = _("Queue")
            apps["django_rq"]["models"][0]["name"] = _("RQ dashboard")
        return sorted(apps.values(), key=lambda app: ([*ORDER, app["app_label"]].index(app["app_label"]), app["name"]))

    def index(self, request, extra_context=None):
        return super().index(request, {"dashboard": dashboard_for(request.user)} | (extra_context or {}))
