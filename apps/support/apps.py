from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SupportConfig(AppConfig):
    name = "apps.support"
    label = "support"
    verbose_name = _("Support desk")

    def ready(self):
        from apps.common.jobs import periodic
        from apps.support.emails import enqueue_due_emails

        periodic.register("queueing e-mails", enqueue_due_emails, every_seconds=1)
