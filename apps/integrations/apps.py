from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "apps.integrations"
    label = "integrations"
    verbose_name = _("Integrations")

    def ready(self):
        from apps.integrations.events import occasions  # noqa: F401  connects receivers
        from apps.integrations.models.positions import keep_growing

        post_migrate.connect(keep_growing, sender=self)
