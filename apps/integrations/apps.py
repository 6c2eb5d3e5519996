from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "apps.integrations"
    label = "integrations"
    verbose_name = _("Integrations")

    def ready(self):
        from apps.common.http.deadlines import interrupt_all
        from apps.common.jobs import periodic
        from apps.integrations.events import erasing, occasions  # noqa: F401  connect receivers
        from apps.integrations.events.forgetting import forget_old_events
        from apps.integrations.models.positions import keep_growing
        from apps.integrations.webhooks.emails import outbox
        from apps.integrations.webhooks.leases import leases
        from apps.integrations.webhooks.senders import send_webhooks

        post_migrate.connect(keep_growing, sender=self)
        periodic.register("forgetting events", forget_old_events, every_seconds=60)
        periodic.register("queueing e-mails about webhooks", outbox.enqueue_due, every_seconds=1)
        periodic.register_sideline("webhooks", send_webhooks)
        periodic.register_companion("leases of webhooks", leases.keep)
        periodic.on_stop(interrupt_all)
