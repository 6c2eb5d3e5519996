"""Who may use hopla, and the opaque tokens they use it with."""

from itertools import product

from django.conf import settings
from django.contrib.auth.hashers import verify_password
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from apps.accounts.addresses import one_form
from apps.accounts.passwords import normal_password, spellings


class HoplaUserManager(UserManager):
    use_in_migrations = False

    @classmethod
    def normalize_email(cls, email):
        """Django's forms, `clean` and `create_user` all ask it."""
        return one_form(email or "")

    def create_user(self, username, email=None, password=None, **fields):
        return super().create_user(username, email, password and normal_password(password), **fields)

    def create_superuser(self, username, email=None, password=None, **fields):
        return super().create_superuser(username, email, password and normal_password(password), **fields)

    def named(self, name: str, *, by: tuple[str, ...] = ("username", "email")):
        """The user whose username or address this is, in any spelling, or None.

        Of two who were there before addresses had one form, each goes by its own spelling.
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
    phone = models.CharField(_("phone"), max_length=16, blank=True, help_text=_("In E.164, such as +34600123456."))
    language = models.CharField(
        _("language"), max_length=8, blank=True, choices=settings.LANGUAGES, help_text=_("Of the e-mails.")
    )
    jwt_generation = models.PositiveIntegerField(default=0, editable=False)  # see apps.accounts.tokens

    objects = HoplaUserManager()

    class Meta(AbstractUser.Meta):
        # Upper, not Lower: it is what Django's `iexact` compares on PostgreSQL, so log-in finds these indexes.
        constraints = [
            models.UniqueConstraint(
                Upper("username"), name="user_username_unique", violation_error_message=_("This username is taken.")
            ),
            models.UniqueConstraint(
                Upper("email"), name="user_email_unique", violation_error_message=_("This e-mail address is taken.")
            ),
        ]

    password_disabled = False  # by set_unusable_password, since this copy was read

    @transaction.atomic  # a changed password and the end of the sessions come together, see apps.accounts.tokens
    def save(self, *args, **kwargs):
        """Save all but `jwt_generation`, which is raised in the database alone: an older copy must not set it back."""
        if not self._state.adding and kwargs.get("update_fields") is None:
            names = {field.attname for field in self._meta.concrete_fields if not field.primary_key}
            kwargs["update_fields"] = names - {"jwt_generation"}
        super().save(*args, **kwargs)

    @classmethod
    def normalize_username(cls, username):
        """An address may serve as a username; it is then in the form of addresses."""
        return one_form(super().normalize_username(username))

    def set_password(self, raw_password):
        super().set_password(raw_password if raw_password is None else normal_password(raw_password))

    def check_password(self, raw_password):
        """Whether it is this user's. One hashed in an old way is hashed anew."""
        for spelling in spellings(raw_password) if raw_password is not None else ():
            is_correct, must_update = verify_password(spelling, self.password)
            if is_correct:
                if must_update or spelling != normal_password(raw_password):
                    self._hash_anew(raw_password)
                return True
        return False

    def _hash_anew(self, raw_password: str) -> None:
        """No change of the password: no session ends, and one that was changed meanwhile is not set back."""
        same = type(self)(pk=self.pk)
        same.set_password(raw_password)
        if type(self).objects.filter(pk=self.pk, password=self.password).update(password=same.password):
            self.password = same.password

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

    def get_full_name(self):
        return self.name

    def get_short_name(self):
        return self.name.split(" ")[0] or self.username


class AuthToken(AbstractAuthToken):
    """An opaque token, hashed. Deleting it ends the session that it stands for."""

    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self):
        return f"{self.token_key}…"
