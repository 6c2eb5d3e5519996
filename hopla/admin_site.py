"""The admin: Django's own, under hopla's name and look (templates/admin/, static/hopla/admin.css).

Without a theme from PyPI, on purpose: what is well kept runs on inline scripts or on code in attributes, which the
Content-Security-Policy keeps out, and speaks neither Spanish nor Polish.
"""

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _

from hopla.dashboard import dashboard_for


class HoplaAdminSite(AdminSite):
    site_header = site_title = "hopla"
    site_url = "/documentation/"
    index_title = _("Overview")

    def index(self, request, extra_context=None):
        return super().index(request, {"dashboard": dashboard_for(request.user)} | (extra_context or {}))
