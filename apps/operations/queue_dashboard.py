"""The RQ dashboard, a page of the admin where jobs can be read (e-mail addresses included), run again and deleted.

django-rq's own lets every staff user in. Here users need the permission that django-rq defines, `django_rq.admin`,
which superusers have and no role has.
"""

from functools import wraps

from csp.decorators import csp_update
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.urls import path
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from django_rq.stats_views import stats
from django_rq.urls import get_admin_urlpatterns, get_api_urlpatterns

PERMISSION = "django_rq.admin"

# The style elements of django-rq 4.2's pages. Their one script is left out by templates/django_rq/; the `onclick` on
# rows of results is not allowed, but the rows have a link as well.
INLINE_STYLES = {
    "style-src": [
        "'sha256-KKjBAGERxCMkpnyRzzx30Ft5uJyWEE4TggCMJ9MJhMw='",
        "'sha256-3HT4TFoCN6UZR/IBz5IGZ/l8VEv+BIOqCR558/XA3Jg='",
        "'sha256-v5MY146GJAjl1QbCe2MklIw9r0xCNOWCEWSPd53tlgQ='",
    ],
}

admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class QueueDashboard(QueueAdmin):
    def get_urls(self):
        """Only django-rq's pages: those of a model would need a table that does not exist."""
        pages = get_admin_urlpatterns(name_prefix="django_rq_") + get_api_urlpatterns(name_prefix="django_rq_")
        for page in pages:
            page.callback = self._guarded(page.callback)
        return [path("", self._guarded(stats), name="django_rq_dashboard_changelist"), *pages]

    def has_module_permission(self, request):
        return request.user.has_perm(PERMISSION)

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(PERMISSION)

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def _guarded(self, view):
        @wraps(view)
        def guarded_view(request, *args, **kwargs):
            if not request.user.has_perm(PERMISSION):
                raise PermissionDenied
            request.current_app = self.admin_site.name
            return view(request, *args, **kwargs)

        return csp_update(INLINE_STYLES)(self.admin_site.admin_view(guarded_view))
