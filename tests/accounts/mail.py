"""A mail server that is unavailable at first."""

from django.core.mail.backends.locmem import EmailBackend


class LateEmailBackend(EmailBackend):
    """Refuses the first `refusals` mails; the others land in django.core.mail.outbox."""

    refusals = 0

    def send_messages(self, messages):
        if type(self).refusals:
            type(self).refusals -= 1
            raise ConnectionRefusedError
        return super().send_messages(messages)
