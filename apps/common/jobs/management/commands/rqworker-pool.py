from importlib import import_module

from apps.common.jobs.queue_names import QueueCommand

rqworker_pool = import_module("django_rq.management.commands.rqworker-pool")


class Command(QueueCommand, rqworker_pool.Command):
    pass
