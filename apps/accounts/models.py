"""Who may use hopla."""

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person or a client system. Username and e-mail are each unique without regard to case."""

    first_name = None
    last_name = None
    name = models.CharField(_("name"), max_length=150, blank=True)
    email = models.EmailField(_("email address"))
    phone = models.CharField(_("phone"), max_length=16, blank=True, help_text=_("In E.164, such as +34600123456."))

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

    def clean(self):
        """Refuse a username that is another user's e-mail address, and the reverse: log-in takes either."""
        super().clean()
        others = type(self).objects.exclude(pk=self.pk)
        if others.filter(email__iexact=self.username).exists():
            raise ValidationError({"username": ValidationError(_("This username is taken."), code="unique")})
        if others.filter(username__iexact=self.email).exists():
            raise ValidationError({"email": ValidationError(_("This e-mail address is taken."), code="unique")})

    def get_full_name(self):
        return self.name

    def get_short_name(self):
        return self.name.split(" ")[0] or self.username
