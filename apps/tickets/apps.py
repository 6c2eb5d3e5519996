from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "apps.tickets"
    label = "tickets"

    def ready(self):
        from apps.tickets import checks, removal, signals  # noqa: F401  connects receivers, registers checks
