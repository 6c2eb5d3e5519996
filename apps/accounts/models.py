"""Who may use hopla."""

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
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
