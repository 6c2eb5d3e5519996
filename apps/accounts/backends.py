"""Log in by username or by e-mail address, without regard to case."""

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password

from apps.accounts.passwords import spellings


class UsernameOrEmailBackend(ModelBackend):
    def authenticate(self, request, username=None, password=None, **kwargs):
        """The active user whose username or e-mail this is and whose password this is, else None.

        An unknown name costs as many password hashes as a known one: the duration must not tell which accounts exist.
        (As in Django, an account whose password is still hashed in an old way is the exception.)
        """
        if not username or password is None:
            return None
        user = get_user_model().objects.named(username)
        if user is None:
            for spelling in spellings(password):
                make_password(spelling)
            return None
        return user if user.check_password(password) and self.user_can_authenticate(user) else None
