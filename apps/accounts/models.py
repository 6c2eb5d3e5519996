"""The users of hopla, their opaque tokens, and the verification of their e-mail addresses."""

import math
import secrets
from datetime import timedelta
from itertools import product
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.hashers import verify_password
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Upper
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken, AuthTokenManager

from apps.accounts.passwords import normal_password, spellings
from apps.common.mail.addresses import mailbox_digest, one_form
from apps.common.public_url import public_url

CODE_DIGITS = 8
CODE_LIFETIME = timedelta(days=1)
UNVERIFIED_MAILS_PER_DAY = 5
DAY_SECONDS = 24 * 60 * 60


class HoplaUserManager(UserManager):
    use_in_migrations = False

    @classmethod
    def normalize_email(cls, email):
        """Returns the normalized address; Django's forms, `clean` and `create_user` all call it."""
        return one_form(email or "")

    def create_user(self, username, email=None, password=None, **fields):
        return super().create_user(username, email, password and normal_password(password), **fields)

    def create_superuser(self, username, email=None, password=None, **fields):
        """Create a superuser with a verified address: access to a shell on the server is proof enough."""
        fields.setdefault("verified_email", self.normalize_email(email))
        return super().create_superuser(username, email, password and normal_password(password), **fields)

    def named(self, name: str, *, by: tuple[str, ...] = ("username", "email")):
        """Returns the user with this username or address, in any spelling, or None.

        Of two users from before addresses were normalized, each is found by its own spelling.
        """
        spelled = Q()
        for field, spelling in product(by, dict.fromkeys([name, one_form(name)])):
            spelled |= Q(**{f"{field}__iexact": spelling})
        found = list(self.filter(spelled).order_by("id"))
        to_the_letter = [user for user in found if name.lower() in (getattr(user, field).lower() for field in by)]
        return next(iter(to_the_letter or found), None)


class User(AbstractUser):
    """A person or a client system. Username and e-mail are each unique without regard to case, and to the spelling of
    an address's domain.
    """

    first_name = None
    last_name = None
    name = models.CharField(_("name"), max_length=150, blank=True)
    email = models.EmailField(_("email address"))
    # Compared with `email`, so that a changed address is never verified, however it was changed.
    verified_email = models.EmailField(blank=True, default="", db_default="", editable=False)
    phone = models.CharField(_("phone"), max_length=16, blank=True, help_text=_("In E.164, such as +34600123456."))
    language = models.CharField(
        _("language"), max_length=8, blank=True, choices=settings.LANGUAGES, help_text=_("Of the e-mails.")
    )
    jwt_generation = models.PositiveIntegerField(default=0, editable=False)  # see apps.accounts.tokens

    objects = HoplaUserManager()

    class Meta(AbstractUser.Meta):
        # Upper, not Lower: Django's `iexact` compares it on PostgreSQL, so log-in can use these indexes.
        constraints = [
            models.UniqueConstraint(
                Upper("username"), name="user_username_unique", violation_error_message=_("This username is taken.")
            ),
            models.UniqueConstraint(
                Upper("email"), name="user_email_unique", violation_error_message=_("This e-mail address is taken.")
            ),
        ]

    guest_link_id = None  # as of a Guest, see apps/guests/rights.py: this is a user
    password_disabled = False  # True once set_unusable_password was called on this instance

    @transaction.atomic  # a changed password and the end of the sessions come together, see apps.accounts.tokens
    def save(self, *args, **kwargs):
        """Save all but `jwt_generation` and `verified_email`, which only UPDATE statements change: an older instance
        must not set them back.
        """
        if not self._state.adding and kwargs.get("update_fields") is None:
            names = {field.attname for field in self._meta.concrete_fields if not field.primary_key}
            kwargs["update_fields"] = names - {"jwt_generation", "verified_email"}
        super().save(*args, **kwargs)

    @classmethod
    def normalize_username(cls, username):
        """An address may serve as a username: its domain is normalised like that of an e-mail address."""
        return one_form(super().normalize_username(username))

    def set_password(self, raw_password):
        super().set_password(raw_password if raw_password is None else normal_password(raw_password))

    def check_password(self, raw_password):
        """Whether this is the user's password. One that was hashed in an old way is rehashed."""
        for spelling in spellings(raw_password) if raw_password is not None else ():
            is_correct, must_update = verify_password(spelling, self.password)
            if is_correct:
                if must_update or spelling != normal_password(raw_password):
                    self._rehash(raw_password)
                return True
        return False

    def _rehash(self, raw_password: str) -> None:
        """Save the same password with the current hasher, unless it was changed meanwhile. No session ends."""
        same = type(self)(pk=self.pk)
        same.set_password(raw_password)
        mine = type(self).objects.filter(pk=self.pk)
        if mine.filter(password=self.password).update(password=same.password):
            self.password = same.password
            return
        now = mine.values_list("password", flat=True).first()
        if now and verify_password(normal_password(raw_password), now)[0]:  # another log-in has rehashed it
            self.password = now

    def set_unusable_password(self):
        super().set_unusable_password()
        self.password_disabled = True

    def clean(self):
        """Refuse a username or e-mail address that is another user's username or e-mail address: log-in takes either.

        The constraints above refuse the same, race or not, but cannot say which field is at fault.
        """
        super().clean()
        others = type(self).objects.exclude(pk=self.pk)
        taken = {"username": _("This username is taken."), "email": _("This e-mail address is taken.")}
        errors = {
            field: ValidationError(message, code="unique")
            for field, message in taken.items()
            if (value := getattr(self, field))
            and others.filter(Q(username__iexact=value) | Q(email__iexact=value)).exists()
        }
        if len(self.email) > self._meta.get_field("email").max_length:  # its one form may be longer than what was sent
            errors["email"] = ValidationError(_("This e-mail address is too long."), code="max_length")
        if errors:
            raise ValidationError(errors)

    @property
    def email_verified(self) -> bool:
        """Returns whether the user has proved that they read mail sent to this address."""
        return self.has_verified(self.email)

    def has_verified(self, address: str) -> bool:
        return bool(address) and self.verified_email == address

    def may_be_mailed(self, address: str, *, mail_id: str) -> bool:
        """Returns whether this mail may be sent to this address. Counts it, unless the address is verified."""
        return self.has_verified(address) or MailAllowance.objects.take(address, mail_id=mail_id)

    def first_code(self) -> "NewCode | None":
        """Returns the code for the first mail to an unverified address; None if an earlier mail contained one."""
        return None if self.email_verified or EmailCode.objects.is_out(self) else EmailCode.objects.renew(self)

    def get_full_name(self):
        return self.name

    def get_short_name(self):
        return self.name.split(" ")[0] or self.username


class HoplaTokenManager(AuthTokenManager):
    def live(self, *, digest, now):
        """Returns the token with this digest, unless it has expired. Each argument may be an expression."""
        return self.filter(Q(expiry=None) | Q(expiry__gte=now), digest=digest)


class AuthToken(AbstractAuthToken):
    """An opaque token, hashed. Deleting it ends its session."""

    # The admin shows `last_used_at` to the minute, so that not every request writes it.
    LAST_USE_PRECISION = timedelta(minutes=1)

    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    objects = HoplaTokenManager()

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self):
        return f"{self.token_key}…"


class NewCode(NamedTuple):
    """A code in clear text, which exists only between its creation and its mail."""

    code: str
    link: str
    digest: str  # of the link


class EmailCodeManager(models.Manager):
    def renew(self, user: User) -> NewCode:
        """Return a new code and a new link for the user's address; earlier ones are void."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        token = secrets.token_urlsafe(32)
        kept = {
            "address": user.email,
            "code_digest": code_digest(user.pk, code),
            "link_digest": link_digest(token),
            "attempts": 0,
            "expires_at": timezone.now() + CODE_LIFETIME,
            "used_at": None,
        }
        self.update_or_create(user=user, defaults=kept)
        path = reverse("email-verification", kwargs={"token": token})
        return NewCode(code, public_url(path), kept["link_digest"])

    def usable(self):
        return self.filter(used_at=None, expires_at__gt=timezone.now())

    def is_out(self, user: User) -> bool:
        """Returns whether a mail to the user's address contained a code that can still be used."""
        return self.usable().filter(user=user, address=user.email).exists()


class EmailCode(models.Model):
    """A code to type and a link to follow, both hashed, that prove that a user reads an address. One per user."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    address = models.EmailField()
    code_digest = models.CharField(max_length=64)
    link_digest = models.CharField(max_length=64, unique=True)
    attempts = models.PositiveSmallIntegerField(default=0)  # to enter the code; a link cannot be guessed
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    objects = EmailCodeManager()

    class Meta:
        verbose_name = _("code of an e-mail address")
        verbose_name_plural = _("codes of e-mail addresses")

    def __str__(self):
        return self.address


def code_digest(user_id: int, code: str) -> str:
    """Returns a digest keyed with SECRET_KEY: a stolen plain hash of so few digits could be guessed."""
    return salted_hmac("accounts.EmailCode", f"{user_id}:{code}", algorithm="sha256").hexdigest()


def link_digest(token: str) -> str:
    return salted_hmac("accounts.EmailCode.link", token, algorithm="sha256").hexdigest()


class MailAllowanceManager(models.Manager):
    def take(self, address: str, *, mail_id: str) -> bool:
        """Count this mail and return True, or return False once the limit is reached. A retried mail counts once."""
        now = timezone.now().timestamp()
        with transaction.atomic():
            allowance, _is_new = self.select_for_update().get_or_create(mailbox=mailbox_digest(address))
            recent = allowance.recent(now)
            if mail_id in (known for known, _at in recent):
                return True
            if len(recent) >= UNVERIFIED_MAILS_PER_DAY:
                return False
            allowance.mails, allowance.last_at = [*recent, [mail_id, now]], timezone.now()
            allowance.save()
        return True

    def wait_seconds(self, address: str) -> int:
        """Returns the seconds until another mail may be sent to the address; 0: now."""
        now = timezone.now().timestamp()
        allowance = self.filter(mailbox=mailbox_digest(address)).first()
        recent = allowance.recent(now) if allowance else []
        if len(recent) < UNVERIFIED_MAILS_PER_DAY:
            return 0
        return math.ceil(recent[-UNVERIFIED_MAILS_PER_DAY][1] + DAY_SECONDS - now)


class MailAllowance(models.Model):
    """The mails of the last day to one unverified mailbox, counted over all accounts that have it."""

    mailbox = models.CharField(primary_key=True, max_length=64)  # see mailbox_digest
    mails = models.JSONField(default=list)  # [id of the mail, seconds since the epoch], oldest first
    last_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = MailAllowanceManager()

    class Meta:
        verbose_name = _("count of e-mails")
        verbose_name_plural = _("counts of e-mails")

    def __str__(self):
        return self.mailbox

    def recent(self, now: float) -> list:
        return [[mail_id, at] for mail_id, at in self.mails if at > now - DAY_SECONDS]
