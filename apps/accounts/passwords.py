"""Passwords: one form for each, and a change that fails if another came before it.

A password is put into the form NFKC before it is hashed (NIST SP 800-63B, section 3.1.1.2): keyboards and systems spell
the same letters differently. Hashes from before that rule are of the password as typed, so that is tried, too.

Private parts of Django 5.2.19: `django.contrib.auth.base_user.AbstractBaseUser._password`.
"""

import unicodedata

from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode


def normal_password(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def spellings(password: str) -> list[str]:
    """What to compare with a hash: the normal form, and the password as typed if that differs."""
    return list(dict.fromkeys([normal_password(password), password]))


def encode_uid(pk) -> str:
    """A user's id as the mail about a forgotten password spells it: the `uid` of Django's own password reset."""
    return urlsafe_base64_encode(force_bytes(pk))


def decode_uid(uid: str) -> str:
    """The id, not yet looked up. Raises ValueError for what is no `uid`."""
    return urlsafe_base64_decode(uid).decode()


class ChangedMeanwhile(Exception):
    """The password has changed since the user was authenticated by it; or the user is deleted or inactive."""


def lock_unchanged(user) -> None:
    """Lock the user's row until the transaction ends. Raises ChangedMeanwhile unless its password is still the one that
    `user` was read and authenticated with.
    """
    rows = type(user).objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
    if list(rows.values_list("password", flat=True)) != [user.password]:
        raise ChangedMeanwhile


def change_password(user, password: str, *, surviving_token=None) -> None:
    """Save the new password and end every token but `surviving_token`. Raises ChangedMeanwhile."""
    changed = type(user)(pk=user.pk)
    changed.set_password(password)  # hashing is slow, so it comes before the lock
    with transaction.atomic():
        lock_unchanged(user)
        user.password, user._password = changed.password, changed._password
        user.surviving_token = surviving_token
        user.save(update_fields=["password"])
