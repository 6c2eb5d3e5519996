from django_rq.management.commands import rqworker

from hopla.commands.queues import QueueCommand


class Command(QueueCommand, rqworker.Command):
    pass
