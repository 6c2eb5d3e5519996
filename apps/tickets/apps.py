from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "apps.tickets"
    label = "tickets"

    def ready(self):
        from apps.tickets import checks, signals  # noqa: F401  connects the receivers and registers the checks
