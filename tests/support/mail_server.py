"""A real SMTP server on a free port of this machine, which keeps what it is sent."""

import email
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from django.test import override_settings

from script.serve import free_port


class Mailbox:
    """`mails` are the messages taken in. With `answer` set, recipients are answered that instead."""

    def __init__(self):
        self.mails: list[EmailMessage] = []
        self.answer = None

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=default)
        message.recipients = envelope.rcpt_tos
        self.mails.append(message)
        return "250 OK"


@contextmanager
def running_mail_server():
    """Django's SMTP back end talks to it inside the block."""
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    try:
        with override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=port,
            EMAIL_HOST_USER="",
            EMAIL_HOST_PASSWORD="",
            EMAIL_USE_TLS=False,
            EMAIL_USE_SSL=False,
        ):
            yield mailbox
    finally:
        controller.stop()
