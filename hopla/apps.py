from django.contrib.admin.apps import AdminConfig


class HoplaAdminConfig(AdminConfig):
    default_site = "hopla.admin_site.HoplaAdminSite"

    def ready(self):
        super().ready()
        # hopla/ is no app of its own, and this one is loaded in every process. Imported here: it needs the models.
        from apps import queue  # noqa: F401  RQ reads no pickles once this is imported
        from hopla import telemetry

        telemetry.start()
