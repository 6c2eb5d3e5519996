from django.core.management.base import BaseCommand

from apps.tickets.upkeep.reconcile import reconcile


class Command(BaseCommand):
    help = "Settle once what a crash or a flush left behind. hopla's own worker does this by itself every second."

    def handle(self, *args, **options):
        self.stdout.write(f"{reconcile()} looked at")
