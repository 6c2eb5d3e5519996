"""The admin: Django's own, under hopla's name and look (templates/admin/, static/hopla/admin.css).

Without a theme from PyPI, on purpose: what is well kept runs on inline scripts or on code in attributes, which the
Content-Security-Policy keeps out, and speaks neither Spanish nor Polish.
"""

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _

from apps.operations.dashboard import dashboard_for

# The apps on the first page and in the sidebar, those asked for most often first.
ORDER = ("tickets", "support", "accounts", "django_rq")
# Models of other people's apps that are about accounts.
ABOUT_ACCOUNTS = ("auth", "token_blacklist")


class HoplaAdminSite(AdminSite):
    site_header = site_title = "hopla"
    index_title = _("Overview")

    def get_app_list(self, request, app_label=None):
        """Under hopla's own headings; the page of a single app as Django has it."""
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
