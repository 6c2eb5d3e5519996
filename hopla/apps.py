from django.contrib.admin.apps import AdminConfig


class HoplaAdminConfig(AdminConfig):
    default_site = "apps.operations.admin_site.HoplaAdminSite"

    def ready(self):
        super().ready()
        # hopla/ is not an app, and this one is loaded in every process. Imported here because it needs the models.
        from apps.common.jobs import queue  # noqa: F401  RQ reads no pickles once this is imported
        from apps.common.observability import telemetry

        telemetry.start()
