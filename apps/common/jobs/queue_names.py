"""What hopla's own `rqworker` and `rqworker-pool` have in common."""

from django.conf import settings
from django.core.management import CommandError


class QueueCommand:
    """Mixin of django-rq's commands that take queue names: JSON is the default, and unknown queues are refused."""

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.set_defaults(serializer="json")

    def handle(self, *queues, **options):
        unknown = [queue for queue in queues if queue not in settings.RQ_QUEUES]
        if unknown:
            known = ", ".join(settings.RQ_QUEUES)
            raise CommandError(f"There is no queue named {' or '.join(unknown)}. hopla has one queue: {known}.")
        super().handle(*queues, **options)
