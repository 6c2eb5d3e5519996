"""Verifies that a user reads an e-mail address: by the code that was sent there, or by the link.

A code can be tried MAX_ATTEMPTS times, and each attempt is counted before it is compared. Both work once.
"""

import re

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from apps.accounts.models import EmailCode, User, code_digest, link_digest

MAX_ATTEMPTS = 5


def verify_by_code(user: User, code: str) -> bool:
    """Verify the user's address if this is its code, and return whether it is. Spaces and hyphens are ignored."""
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
    """Return the code sent with this link, used or not; None if it is unknown, expired or replaced by a newer one."""
    return EmailCode.objects.filter(link_digest=link_digest(token), expires_at__gt=timezone.now()).first()


def verify_by_link(token: str) -> bool:
    """Verify the address of this link. Returns True if it is verified by this link, now or before."""
    with transaction.atomic():
        sent = EmailCode.objects.usable().select_for_update().filter(link_digest=link_digest(token)).first()
        if sent is not None:
            return _use(sent)
    return (before := sent_with_link(token)) is not None and before.user.has_verified(before.address)


def _use(sent: EmailCode) -> bool:
    """Returns False if the user has another address by now."""
    sent.used_at = timezone.now()
    sent.save(update_fields=["used_at"])
    return mark_verified(sent.user_id, sent.address)


def mark_verified(user_id: int, address: str) -> bool:
    """Mark the user's address as verified. Returns False if the user has another address."""
    return bool(User.objects.filter(pk=user_id, email=address).exclude(email="").update(verified_email=address))
