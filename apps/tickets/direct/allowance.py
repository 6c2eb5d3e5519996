"""What a direct upload takes of its user's bytes a day: the announced size, or the most that a photo may have, from the
signed form until the photo has come; and then what has come.
"""

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from apps.tickets.intake import quota
from apps.tickets.lifecycle.signals import image_failed, image_stored
from apps.tickets.models import Image, Ticket

SLACK_SECONDS = 60  # for Cloudinary to say that a photo of the last second has come


def take(image: Image, *, user_id: int) -> None:
    """Raises UploadQuotaExceededError. What is not taken for good is given back in the end by itself."""
    quota.lease_for_upload(
        user_id,
        image.pk,
        size=image.size or settings.IMAGE_MAX_BYTES,
        seconds=settings.DIRECT_UPLOAD_TTL_SECONDS + SLACK_SECONDS,
    )


@receiver(image_stored, sender=Image)
def count_what_has_come(*, image: Image, ticket: Ticket, **kwargs):
    if image.is_direct:
        settle(image, user_id=ticket.owner_id, came=image.size)


@receiver(image_failed, sender=Image)
def give_back_what_has_not_come(*, image: Image, ticket: Ticket, **kwargs):
    if image.is_direct:
        settle(image, user_id=ticket.owner_id, came=0)


def settle(image: Image, *, user_id: int, came: int) -> None:
    image_id = image.pk
    transaction.on_commit(lambda: quota.end_lease(user_id, image_id, came=came), robust=True)
