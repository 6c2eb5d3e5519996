from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import F

USERNAME = "demo"
PASSWORD = "hopla-demo"  # noqa: S105 (public on purpose; see handle)


class Command(BaseCommand):
    help = f"Make the user {USERNAME}, with the password {PASSWORD} and the run of the admin, to try hopla with."
    requires_system_checks = []

    def handle(self, **options):
        """Create or reset the user; safe to run again."""
        if not settings.DEBUG:
            raise CommandError("Everyone knows the demo user's password: there is one only with DEBUG on.")
        users = get_user_model().objects
        user = users.filter(username__iexact=USERNAME).first()
        if user is None:
            users.create_superuser(USERNAME, f"{USERNAME}@example.com", PASSWORD)
        elif not user.check_password(PASSWORD):
            user.set_password(PASSWORD)
            user.save(update_fields=["password"])
        users.filter(username__iexact=USERNAME).update(verified_email=F("email"))
        self.stdout.write(f"{USERNAME} {PASSWORD}")
