from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuestsConfig(AppConfig):
    name = "apps.guests"
    label = "guests"
    verbose_name = _("Guests")

    def ready(self):
        from apps.common.jobs import periodic
        from apps.guests.emails import outbox  # connects receivers

        periodic.register("queueing e-mails to guests", outbox.enqueue_due, every_seconds=1)
