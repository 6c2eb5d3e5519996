from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "apps.integrations"
    label = "integrations"
    verbose_name = _("Integrations")

    def ready(self):
        from apps.integrations.events import occasions  # noqa: F401  connects receivers
        from apps.integrations.keys.polls import AUTHORIZATION, is_unchanged_for_key
        from apps.tickets.api import polls

        polls.register(AUTHORIZATION, is_unchanged_for_key)
