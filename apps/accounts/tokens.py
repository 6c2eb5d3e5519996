"""Tokens of both kinds: opaque ones (knox: hashed at rest, expiring, several per user) and JWT pairs (simplejwt).

Every JWT of a user contains the user's `jwt_generation`. Raising it ends them all, access tokens included, at once.

Private parts of Django 5.2.19: `django.contrib.auth.base_user.AbstractBaseUser._password`.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token

from apps.accounts.models import DAY_SECONDS, AuthToken, EmailCode, MailAllowance, User
from apps.accounts.passwords import lock_unchanged

GENERATION_CLAIM = "generation"
FORGET_BATCH = 1000


def new_opaque_token(user: User) -> tuple[AuthToken, str]:
    """Returns a new token and its secret, which cannot be read later. The user's expired tokens are deleted.

    Raises ChangedMeanwhile if the password has changed since it was checked: the change has ended all tokens, and must
    not miss this one.
    """
    user.auth_token_set.filter(expiry__lt=timezone.now()).delete()
    with transaction.atomic():
        lock_unchanged(user)
        return AuthToken.objects.create(user=user)


class SingleUseRefreshToken(RefreshToken):
    def blacklist(self):
        """Raise TokenError for a token on the blacklist: of two concurrent requests, both have seen it off the list."""
        listed, is_new = super().blacklist()
        if not is_new:
            raise TokenError(_("This token is not valid."))
        return listed, is_new


@receiver(pre_save, sender=OutstandingToken)
def keep_refresh_tokens_by_their_id_alone(*, instance: OutstandingToken, **kwargs):
    """Clear their text, which simplejwt would store: it is as good as a password, and never read."""
    instance.token = ""


def blacklist(token: OutstandingToken) -> bool:
    """Blacklist the refresh token, so that it gives no new pair. Returns whether this call did."""
    return BlacklistedToken.objects.get_or_create(token=token)[1]


def new_jwt_pair(user: User) -> RefreshToken:
    """Returns a new refresh token; its `access_token` completes the pair. Raises ChangedMeanwhile as above."""
    with transaction.atomic():
        lock_unchanged(user)
        refresh = SingleUseRefreshToken.for_user(user)
    refresh[GENERATION_CLAIM] = user.jwt_generation
    return refresh


def forget_expired_tokens() -> int:
    """Delete a batch of what has expired: tokens of both kinds, codes, and counts of mails. Returns how many.

    The worker does it hourly.
    """
    now = timezone.now()
    expired = (
        AuthToken.objects.filter(expiry__lt=now),
        OutstandingToken.objects.filter(expires_at__lt=now),
        EmailCode.objects.filter(expires_at__lt=now),
        MailAllowance.objects.filter(last_at__lt=now - timedelta(seconds=DAY_SECONDS)),
    )
    forgotten = 0
    for tokens in expired:
        batch = list(tokens.values_list("pk", flat=True)[:FORGET_BATCH])
        forgotten += len(batch)
        tokens.model.objects.filter(pk__in=batch).delete()
    return forgotten


def is_ended(token: Token, user: User) -> bool:
    return token.get(GENERATION_CLAIM) != user.jwt_generation


def end_jwt_sessions(user: User) -> None:
    User.objects.filter(pk=user.pk).update(jwt_generation=F("jwt_generation") + 1)


def end_sessions(user: User, *, but: AuthToken | None = None) -> None:
    """End all tokens of the user, except the opaque one given."""
    with transaction.atomic():
        tokens = user.auth_token_set.all()
        (tokens.exclude(pk=but.pk) if but else tokens).delete()
        end_jwt_sessions(user)


@receiver(post_save, sender=User)
def end_other_sessions_when_the_password_changes(*, instance: User, created: bool, **kwargs):
    """End all sessions after a password change, by the API, a reset or the admin. A view may name a token to keep."""
    was_set = instance._password is not None  # set_password was called since the last save
    if not created and (was_set or instance.password_disabled):
        end_sessions(instance, but=getattr(instance, "surviving_token", None))
