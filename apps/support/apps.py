from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SupportConfig(AppConfig):
    name = "apps.support"
    label = "support"
    verbose_name = _("Support desk")

    def ready(self):
        from apps.common.jobs import periodic
        from apps.support.emails import outbox

        periodic.register("queueing e-mails", outbox.enqueue_due, every_seconds=1)
