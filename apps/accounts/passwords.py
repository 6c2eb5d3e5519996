"""Passwords: one form for each, and a change that looks whether another came before it.

A password is put into the form NFKC before it is hashed (NIST SP 800-63B, section 3.1.1.2): keyboards and systems spell
the same letters differently. Hashes from before that rule are of what was typed, so that is tried, too.

Private parts of Django 5.2.19: `django.contrib.auth.base_user.AbstractBaseUser._password`.
"""

import unicodedata

from django.db import transaction


def normal_password(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def spellings(password: str) -> list[str]:
    """What to compare with a hash: the normal form, and what was typed where it is another."""
    return list(dict.fromkeys([normal_password(password), password]))


class ChangedMeanwhile(Exception):
    """The password is not the one any more by which somebody showed who they are; or the user is gone or shut out."""


def lock_unchanged(user) -> None:
    """Lock the user's row until the transaction ends. Raises ChangedMeanwhile unless its password is still the one that
    `user` was read with, by which somebody was let in.
    """
    rows = type(user).objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
    if list(rows.values_list("password", flat=True)) != [user.password]:
        raise ChangedMeanwhile


def change_password(user, password: str, *, surviving_token=None) -> None:
    """The user's new password. Every token ends but the opaque one named. Raises ChangedMeanwhile."""
    changed = type(user)(pk=user.pk)
    changed.set_password(password)  # takes long, so it comes before the lock
    with transaction.atomic():
        lock_unchanged(user)
        user.password, user._password = changed.password, changed._password
        user.surviving_token = surviving_token
        user.save(update_fields=["password"])
