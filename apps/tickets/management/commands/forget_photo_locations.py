from django.conf import settings
from django.core.management.base import BaseCommand

from apps.tickets.upkeep.locations import forget_locations


class Command(BaseCommand):
    help = "Erase from the database the places that the EXIF of photos names. Switch KEEP_PHOTO_LOCATION off first."

    def handle(self, *args, **options):
        self.stdout.write(f"{forget_locations()} photos had a place, which is erased now")
        if settings.KEEP_PHOTO_LOCATION:
            self.stderr.write("KEEP_PHOTO_LOCATION is on: the places of new photos are stored")
