"""Somebody shows that they read an address: by the code that was sent there, or by the link.

A code takes so many attempts, and each is counted before it is compared. Both work once.
"""

import re

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from apps.accounts.models import EmailCode, User, code_digest, link_digest

MAX_ATTEMPTS = 5


def verify_by_code(user: User, code: str) -> bool:
    """Whether this was the code, so that the user's address is verified now. Spaces and hyphens in it do not count."""
    with transaction.atomic():
        usable = EmailCode.objects.usable().select_for_update()
        sent = usable.filter(user=user, attempts__lt=MAX_ATTEMPTS).first()
        if sent is None:
            return False
        sent.attempts += 1
        sent.save(update_fields=["attempts"])
        is_right = constant_time_compare(sent.code_digest, code_digest(user.pk, re.sub(r"[\s-]", "", code)))
        return is_right and _use(sent)


def sent_with_link(token: str) -> EmailCode | None:
    """What was sent with this link, used or not; None for one that never was, has expired, or was sent again since."""
    return EmailCode.objects.filter(link_digest=link_digest(token), expires_at__gt=timezone.now()).first()


def verify_by_link(token: str) -> bool:
    """Whether the link has verified its address, now or before."""
    with transaction.atomic():
        sent = EmailCode.objects.usable().select_for_update().filter(link_digest=link_digest(token)).first()
        if sent is not None:
            return _use(sent)
    return (before := sent_with_link(token)) is not None and before.user.has_verified(before.address)


def _use(sent: EmailCode) -> bool:
    """False when the user has another address by now."""
    sent.used_at = timezone.now()
    sent.save(update_fields=["used_at"])
    return mark_verified(sent.user_id, sent.address)


def mark_verified(user_id: int, address: str) -> bool:
    """False when that is not the user's address."""
    return bool(User.objects.filter(pk=user_id, email=address).exclude(email="").update(verified_email=address))
