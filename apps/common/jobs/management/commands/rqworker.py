from django_rq.management.commands import rqworker

from apps.common.jobs.queue_names import QueueCommand


class Command(QueueCommand, rqworker.Command):
    pass
