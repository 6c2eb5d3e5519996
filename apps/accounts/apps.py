from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self):
        from apps.accounts.tokens import forget_expired_tokens
        from apps.common.jobs import periodic

        periodic.register("forgetting tokens", forget_expired_tokens, every_seconds=60 * 60)
