"""Who may use hopla, and the opaque tokens they use it with."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class User(AbstractUser):
    """A person or a client system. Username and e-mail are each unique without regard to case."""

    first_name = None
    last_name = None
    name = models.CharField(_("name"), max_length=150, blank=True)
    email = models.EmailField(_("email address"))
    phone = models.CharField(_("phone"), max_length=16, blank=True, help_text=_("In E.164, such as +34600123456."))
    language = models.CharField(
        _("language"), max_length=8, blank=True, choices=settings.LANGUAGES, help_text=_("Of the e-mails.")
    )
    jwt_generation = models.PositiveIntegerField(default=0, editable=False)  # see apps.accounts.tokens

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
