from django.contrib.admin.apps import AdminConfig


class HoplaAdminConfig(AdminConfig):
    default_site = "hopla.admin_site.HoplaAdminSite"
