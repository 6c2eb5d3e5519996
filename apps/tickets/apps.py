from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TicketsConfig(AppConfig):
    name = "apps.tickets"
    label = "tickets"
    verbose_name = _("Tickets")

    def ready(self):
        from apps.common.jobs import periodic
        from apps.tickets import checks  # noqa: F401  registers them
        from apps.tickets.delivery.leases import leases
        from apps.tickets.lifecycle import signals  # noqa: F401  connects receivers
        from apps.tickets.storage import removal  # noqa: F401  connects receivers
        from apps.tickets.storage.cloudinary import interrupt_calls
        from apps.tickets.upkeep.reconcile import reconcile

        periodic.register("reconcile", reconcile, every_seconds=1)
        periodic.register_companion("leases", leases.keep)
        periodic.on_stop(interrupt_calls)
